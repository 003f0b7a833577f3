"""Operations between layers as plain data: as Keras's operations where an equation is one, else as lamella's own.

An operation is described by a module, a class and a configuration, as a layer is, and by the arguments of its call.
"""

from __future__ import annotations

import operator
import re
import string
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from lamella import ops
from lamella.errors import ArgumentError, ShapeError
from lamella.graph.order import maker_of, spread_from
from lamella.ir.declared import Declared
from lamella.ir.dim import Dim, maximum, minimum, symbol
from lamella.ir.program import OPS, Equation, Program, bodies_of, for_sizes
from lamella.ir.settings import floatx
from lamella.ir.spec import DTYPES, Spec
from lamella.names import snake_case
from lamella.tree import leaves

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Attribute

OWN = "lamella.ops"
"""The module of operations that Keras does not have."""

_KERAS = "keras.src.ops."


Expression: TypeAlias = "int | str | list[Expression]"
"""A dimension as plain data: a size, an input with an axis, or a sign with two expressions."""


class SerializedOperation(NamedTuple):
    """An operation as plain data.

    Attributes:
        module: the module of its class.
        class_name: the class.
        config: its configuration, without a name.
        arguments: what it is called with: declared values, numbers and arrays.
    """

    module: str
    class_name: str
    config: dict[str, Any]
    arguments: list[Any]


class Body:
    """A program among the attributes of an operation, as `ops.scan` has: a copy of a model takes it, a file cannot.

    Attributes:
        op: the operation.
        program: the program.
        sizes: for each free dimension of the model what describes it.
        hint: what to do where a file is to hold it.
    """

    hint = "put the operation into the `call` of a layer of your own"

    def __init__(self, op: str, program: Program, sizes: dict[str, Any]) -> None:
        self.op, self.program, self.sizes = op, for_sizes(program, {}), sizes

    def __repr__(self) -> str:
        return f"a function that {_FUNCTIONS_TAKEN_BY.get(self.op, f'`ops.{self.op}`')} applies between its layers"


_FUNCTIONS_TAKEN_BY = {
    "scan": "`ops.scan`, or a loop that is one,",
    "switch": "`ops.cond` or `ops.switch`",
}


# ---- to plain data ----

_SAME: dict[str, str] = {
    **dict.fromkeys(
        (
            "add", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "bitwise_and", "bitwise_not",
            "bitwise_or", "bitwise_xor", "cos", "cosh", "divide", "equal", "exp", "expm1", "floor", "floor_divide",
            "left_shift", "less", "less_equal", "log", "log1p", "maximum", "minimum", "multiply", "negative", "power",
            "right_shift", "round", "sign", "sin", "sinh", "sqrt", "subtract", "tan", "tanh",
        ),
        "numpy",
    ),
    **dict.fromkeys(("relu", "sigmoid", "softplus"), "nn"),
    **dict.fromkeys(("erf", "erfinv"), "math"),
    "stop_gradient": "core",
}  # fmt: skip
"""Elementwise ops without attributes that Keras has under the same name: the module that has them."""

_RENAMED = {"abs": "Absolute", "select": "Where"}

_ELEMENTWISE = frozenset((*_SAME, *_RENAMED))


def serialize(equation: Equation, places: Mapping[str, Any]) -> SerializedOperation:
    """An equation that calls no layer as plain data.

    Args:
        equation: the equation.
        places: see `serialize_dim`.
    """
    name, operands = equation.op.name, equation.inputs
    if name in _ELEMENTWISE:
        arguments = _spread(equation)
        if arguments is not None:
            module = _SAME.get(name, "numpy")
            return SerializedOperation(_KERAS + module, _RENAMED.get(name, _camel_case(name)), {}, arguments)
    elif name == "concatenate":
        return SerializedOperation(_KERAS + "numpy", "Concatenate", {"axis": equation.attrs["axis"]}, [list(operands)])
    elif name in _WITH_ATTRIBUTES and not is_constant(operands[0]):
        found = _WITH_ATTRIBUTES[name](equation)
        if found is not None:
            module, class_name, config, further = found
            return SerializedOperation(_KERAS + module, class_name, config, [operands[0], *further])
    config = {word: _plain(value, name, places) for word, value in equation.attrs.items()}
    return SerializedOperation(OWN, name, config, [number_of(v) if is_constant(v) else v for v in operands])


def _camel_case(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def is_constant(value: Any) -> bool:
    """Whether a declared value is an array that is known."""
    return value.maker.op.name == "constant"


def number_of(value: Any) -> Any:
    """The array of a known declared value: a number where it has no axes and its dtype follows from that."""
    array: np.ndarray = value.maker.attrs["value"]
    dtype = value.maker.attrs["dtype"]
    return array.item() if array.ndim == 0 and dtype in (floatx(), "int32", "bool") else array


def _spread(equation: Equation) -> list[Any] | None:
    """The operands of an elementwise operation, before broadcasting; None where that does not make them what they are."""
    found: list[Any] = []
    for value in equation.inputs:
        source = spread_from(maker_of(value))
        source = value if source is None else source
        found.append(number_of(source) if is_constant(source) else source)
    shapes = [x.shape if isinstance(x, Declared) else np.shape(x) for x in found]
    for i, dim in enumerate(reversed(equation.outputs[0].shape), 1):
        if dim not in [shape[-i] for shape in shapes if len(shape) >= i]:
            return None
    computed = equation.op.name == "select"  # the condition does not tell the dtype
    if not any(isinstance(x, Declared) for x in found[computed:]) and equation.inputs[-1].dtype != floatx():
        return None
    return found


_Further = tuple[str, str, dict[str, Any], list[Any]]


def _axis(class_name: str, module: str = "numpy", **more: Any) -> Callable[[Equation], _Further]:
    return lambda e: (module, class_name, {"axis": e.attrs["axis"], **more}, [])


def _reduction(class_name: str) -> Callable[[Equation], _Further]:
    return lambda e: ("numpy", class_name, {"axis": list(e.attrs["axes"]), "keepdims": False}, [])


def _reshape(equation: Equation) -> _Further | None:
    shape = equation.attrs["shape"]
    if sum(isinstance(d, Dim) for d in shape) > 1 or (0 in shape and any(isinstance(d, Dim) for d in shape)):
        return None
    return "numpy", "Reshape", {"newshape": [-1 if isinstance(d, Dim) else int(d) for d in shape]}, []


def _slice(equation: Equation) -> _Further | None:
    slices: list[slice] = []
    attrs = equation.attrs
    for dim, start, stop, step in zip(
        equation.inputs[0].shape, attrs["start"], attrs["stop"], attrs["strides"], strict=True
    ):
        end = None if stop == dim else stop
        if isinstance(start, Dim) or isinstance(end, Dim):
            return None
        slices.append(slice(start or None, end, step if step != 1 else None))
    return "numpy", "GetItem", {}, [slices]


def _clip(equation: Equation) -> _Further | None:
    bounds = [spread_from(maker_of(value)) for value in equation.inputs[1:]]
    if not all(bound is not None and is_constant(bound) and not bound.shape for bound in bounds):
        return None
    return "numpy", "Clip", dict(zip(("x_min", "x_max"), map(number_of, bounds), strict=True)), []


def _pad(equation: Equation) -> _Further | None:
    attrs = equation.attrs
    widths = [[low, high] for low, high in zip(attrs["low"], attrs["high"], strict=True)]
    if (
        attrs["value"]
        or any(attrs["interior"])
        or not all(isinstance(n, int) and n >= 0 for pair in widths for n in pair)
    ):
        return None
    return "numpy", "Pad", {"pad_width": widths, "mode": "constant"}, []


def _take(equation: Equation) -> _Further | None:
    indices = equation.inputs[1]
    if not is_constant(indices):
        return None
    return "numpy", "Take", {"axis": equation.attrs["axis"]}, [maker_of(indices).attrs["value"]]


def _contraction(equation: Equation) -> _Further | None:
    x, y = equation.inputs
    if len(x.shape) + len(y.shape) > len(string.ascii_letters):
        return None
    letters = iter(string.ascii_letters)
    left = [next(letters) for _ in x.shape]
    right = [next(letters) for _ in y.shape]
    of_x: list[int] = []
    of_y: list[int] = []
    for word in ("contracting", "batch"):
        for a, b in zip(*equation.attrs[word], strict=True):
            right[b] = left[a]
            of_x.append(a)
            of_y.append(b)
    together: list[str] = [left[a] for a in equation.attrs["batch"][0]]
    together += [letter for a, letter in enumerate(left) if a not in of_x]
    together += [letter for b, letter in enumerate(right) if b not in of_y]
    subscripts = f"{''.join(left)},{''.join(right)}->{''.join(together)}"
    return "numpy", "Einsum", {"subscripts": subscripts}, [number_of(y) if is_constant(y) else y]


_WITH_ATTRIBUTES: dict[str, Callable[[Equation], _Further | None]] = {
    "argmax": _axis("Argmax", keepdims=False),
    "argsort": _axis("Argsort"),
    "cumsum": _axis("Cumsum"),
    "softmax": _axis("Softmax", "nn"),
    "log_softmax": _axis("LogSoftmax", "nn"),
    "clip": _clip,
    "contract": _contraction,
    "convert": lambda e: ("core", "Cast", {"dtype": e.attrs["dtype"]}, []),
    "pad": _pad,
    "reduce_max": _reduction("Max"),
    "reduce_min": _reduction("Min"),
    "reduce_sum": _reduction("Sum"),
    "reshape": _reshape,
    "reverse": lambda e: ("numpy", "Flip", {"axis": list(e.attrs["axes"])}, []),
    "slice": _slice,
    "take": _take,
    "transpose": lambda e: ("numpy", "Transpose", {"axes": list(e.attrs["permutation"])}, []),
}
"""Ops with attributes that are an operation of Keras: its module, its class, its configuration, and further arguments."""


def _plain(value: Attribute, name: str, places: Mapping[str, Any]) -> Any:
    """An attribute of the operation `name` as plain data, but for programs."""
    if isinstance(value, Dim):
        return serialize_dim(value, places)
    if isinstance(value, Program):
        return Body(name, value, {free: serialize_dim(symbol(free), places) for free in places})
    if isinstance(value, tuple | list):
        return [_plain(item, name, places) for item in value]
    return value.item() if isinstance(value, np.generic) else value


# ---- back ----

_FUNCTIONS = frozenset(
    (
        *_SAME, "absolute", "all", "amax", "amin", "any", "argmax", "argmin", "argsort", "average", "broadcast_to",
        "cast", "cbrt", "ceil", "celu", "clip", "concatenate", "cross", "cumprod", "cumsum", "deg2rad", "diff",
        "divide_no_nan", "dot", "dot_product_attention", "einsum", "elu", "exp2", "expand_dims", "flip", "full_like",
        "gelu", "get_item", "glu", "greater", "greater_equal", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh",
        "heaviside", "hypot", "inner", "isclose", "isfinite", "isinf", "isnan", "layer_normalization", "leaky_relu",
        "log10", "log2", "log_sigmoid", "log_softmax", "logaddexp", "logical_and", "logical_not", "logical_or",
        "logical_xor", "logsumexp", "matmul", "max", "mean", "min", "mish", "mod", "moveaxis", "nan_to_num", "norm",
        "normalize", "not_equal", "one_hot", "ones_like", "outer", "pad", "prod", "rad2deg", "ravel", "reciprocal",
        "relu6", "repeat", "reshape", "rms_normalization", "roll", "rsqrt", "selu", "signbit", "silu", "soft_shrink",
        "softmax", "softsign", "sort", "sparse_plus", "sparsemax", "split", "square", "squareplus", "squeeze", "stack",
        "std", "sum", "swapaxes", "take", "take_along_axis", "tanh_shrink", "tensordot", "threshold", "tile", "top_k",
        "transpose", "tril", "triu", "true_divide", "trunc", "unstack", "var", "vdot", "where", "zeros_like",
    )
)  # fmt: skip
"""The functions of `lamella.ops` whose operations a configuration may name."""

_WITHOUT_BODIES = frozenset(OPS) - {"constant", "custom_gradient", "foreach", "scan", "switch"}
"""The ops that a configuration may name: of those with programs in their attributes no file tells."""

_CLASS = re.compile(r"([A-Z][a-z0-9]*)+")


def is_operation(module: Any) -> bool:
    """Whether classes of a module are operations, of Keras or of lamella."""
    return isinstance(module, str) and (module == OWN or module.startswith((_KERAS, "keras.ops")))


def known(module: str, class_name: str) -> bool:
    """Whether there is an operation of this class."""
    if module == OWN:
        return class_name in _WITHOUT_BODIES
    return bool(_CLASS.fullmatch(class_name)) and snake_case(class_name) in _FUNCTIONS


def applied(
    module: str, class_name: str, config: Mapping[str, Any], args: Sequence[ArrayLike | str], kwargs: Mapping[str, Any]
) -> Any:
    """What an operation makes of declared values: the function of its name in `lamella.ops`, or the op, is called.

    Raises:
        ArgumentError: there is no such operation, or no declared value among its arguments.
        ShapeError: it does not take them.
    """
    given = {word: value for word, value in config.items() if word != "name"}
    attrs = {word: _tuples(value) for word, value in given.items()} if module == OWN else {}
    if not known(module, class_name) and not bodies_of(attrs):
        raise ArgumentError(f"there is no operation {class_name[:100]!r} that could be read.")
    if module == OWN:
        return _bound(class_name, attrs, args)
    if not any(isinstance(leaf, Declared) for leaf in leaves((list(args), dict(kwargs)))):
        raise ArgumentError(f"the operation {class_name!r} has no input.")
    if class_name == "GetItem":  # JSON has no tuples
        args = [tuple(item) if isinstance(item, list) else item for item in args]
    if class_name == "Einsum":
        args = [given.pop("subscripts", None), *args]
    function: Any = getattr(ops, snake_case(class_name))
    return function(*args, **{**given, **{word: value for word, value in kwargs.items() if value is not None}})


def _bound(name: str, attrs: Mapping[str, Any], args: Sequence[Any]) -> Any:
    operands = [
        x if isinstance(x, Declared) else np.asarray(x, None if isinstance(x, np.ndarray) else _dtype(x)) for x in args
    ]
    result = OPS[name].bind(*operands, **attrs)
    for value in leaves(result):
        if not isinstance(value, Declared):
            raise ArgumentError(f"the operation {name!r} has no input.")
        if not _is_spec(value.spec):
            raise ShapeError(f"the operation {name!r} does not take {attrs}.")
    return result


def _tuples(value: Attribute) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _dtype(number: Any) -> str:
    return "bool" if isinstance(number, bool) else "int32" if isinstance(number, int) else floatx()


def _is_spec(spec: Spec) -> bool:
    sound = all(isinstance(d, Dim) or (isinstance(d, int) and not isinstance(d, bool) and d >= 0) for d in spec.shape)
    return sound and spec.dtype in DTYPES


# ---- dimensions that are left free ----


def serialize_dim(dim: Dim, places: Mapping[str, Any]) -> dict[str, Any]:
    """A dimension as plain data: an expression over the dimensions of inputs.

    Args:
        dim: the dimension.
        places: for each symbol the name of an input and the axis that has it.
    """
    symbols = {name: _Written(list(place)) for name, place in places.items()}

    def larger(a: Any, b: Any) -> _Written:
        return _Written(["max", _operand(a), _operand(b)])

    def smaller(a: Any, b: Any) -> _Written:
        return _Written(["min", _operand(a), _operand(b)])

    return {"class_name": "__dim__", "config": _operand(dim.at(symbols, larger, smaller))}


class _Written:
    """An expression that arithmetic writes down."""

    def __init__(self, expression: list[Any]) -> None:
        self.expression = expression

    def _with(self, sign: str, other: Any) -> _Written:
        return _Written([sign, self.expression, _operand(other)])

    def __add__(self, other: Any) -> _Written:
        return self._with("+", other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> _Written:
        return self + other * -1

    def __mul__(self, other: Any) -> _Written:
        return self._with("*", other)

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> _Written:
        return self._with("//", other)

    def __rfloordiv__(self, other: Any) -> _Written:
        return _Written(["//", other, self.expression])

    def __mod__(self, other: Any) -> _Written:
        return self._with("%", other)

    def __rmod__(self, other: Any) -> _Written:
        return _Written(["%", other, self.expression])


def _operand(value: Any) -> Any:
    return value.expression if isinstance(value, _Written) else value


_MOST_PARTS = 16
"""Sizes in an expression: more could multiply out to very many terms."""

_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "*": operator.mul,
    "//": lambda a, b: a // b,
    "%": operator.mod,
    "max": maximum,
    "min": minimum,
}


def dim_from(expression: Expression, sizes: Callable[[str, int], Any]) -> Any:
    """The dimension that `serialize_dim` returned.

    Args:
        expression: its configuration.
        sizes: gives the dimension of an input, by name, along an axis.

    Raises:
        ArgumentError: it is no such description.
    """
    count = 0

    def value(part: Expression) -> Any:
        nonlocal count
        count += 1
        if count > 2 * _MOST_PARTS:
            raise ArgumentError(f"a dimension is described by more than {_MOST_PARTS} sizes.")
        if isinstance(part, int):
            return part
        if isinstance(part, list) and len(part) == 2 and isinstance(part[0], str) and isinstance(part[1], int):
            return sizes(part[0], part[1])
        if isinstance(part, list) and len(part) == 3 and isinstance(part[0], str) and part[0] in _SIGNS:
            return _SIGNS[part[0]](value(part[1]), value(part[2]))
        raise ArgumentError(f"{str(part)[:60]} describes no dimension.")

    return value(expression)
