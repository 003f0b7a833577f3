"""A model as a program whose equations call layers, and ordinary operations between them.

It is printed, walked and interpreted by calling the layers, and never changed: two calls of one `Dropout` are two draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lamella import tree
from lamella.errors import ArgumentError
from lamella.ir import interpret
from lamella.ir.declared import Declared
from lamella.ir.dim import sizes_from
from lamella.ir.program import Equation, Op, Program, Value, for_sizes
from lamella.ir.spec import spec_of
from lamella.ir.trace import apply_equation

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


def _of_layer(*_: Any, **__: Any) -> Any:
    """The outputs of a layer, whose specs are found by tracing it."""
    raise AssertionError("a call of a layer has no shape rule")


CALL = Op("layer", _of_layer)
"""The op of an equation that calls a layer, its attributes: `layer`, and `arguments`, the pair (args, kwargs) of the call, in
which declared values stand where the equation's inputs go."""


class Graph(Program):
    """The equations between some declared values and others."""

    __slots__ = ()

    @property
    def calls(self) -> Iterator[Equation]:
        """The equations that call layers, in order."""
        return (equation for equation in self.equations if equation.op is CALL)

    @property
    def layers(self) -> list[Any]:
        """The layers that are called, each once, in the order of their first calls."""
        return list({id(e.attrs["layer"]): e.attrs["layer"] for e in self.calls}.values())

    def run(self, arguments: Sequence[Tensor]) -> list[Any]:
        """The outputs for other inputs, symbolic values or arrays: the layers are called with them."""
        sizes = sizes_from((v.shape, spec_of(x).shape) for v, x in zip(self.inputs, arguments, strict=True))

        def apply(equation: Equation, operands: Sequence[Tensor]) -> Sequence[Any]:
            if equation.op is CALL:
                return called(equation, operands)
            attrs = {key: for_sizes(value, sizes) for key, value in equation.attrs.items()}
            return apply_equation(equation, operands, attrs)

        return interpret.run(self, arguments, apply)


def called(equation: Equation, operands: Sequence[Tensor]) -> list[Any]:
    """The outputs of the layer that an equation calls, for other operands."""
    given = dict(zip(equation.inputs, operands, strict=True))
    args, kwargs = tree.map_leaves(lambda x: given[x] if isinstance(x, Declared) else x, equation.attrs["arguments"])
    return list(tree.leaves(equation.attrs["layer"](*args, **kwargs)))


def graph_of(inputs: Sequence[Declared], outputs: Sequence[Declared], name: str) -> Graph:
    """The graph that leads from `inputs` to `outputs`, its equations in the order in which they were written.

    Args:
        inputs: where to stop: values of `Input`, or of layers within another graph.
        outputs: what is computed.
        name: the name of the model, for messages.

    Raises:
        ArgumentError: an output depends on an `Input` that is not among the inputs, or an input reaches no output.
    """
    given, reached = set(inputs), set[Value]()
    found: dict[int, Equation] = {}
    waiting: list[Any] = list(outputs)
    while waiting:
        value = waiting.pop()
        if value in given:
            reached.add(value)
            continue
        if id(value.maker) in found:
            continue
        if value.maker.op is CALL and not value.maker.inputs:
            raise ArgumentError(
                f"Model {name!r}: the outputs depend on the input {value.name!r}, which is not among the model's inputs. Add "
                "it to `inputs=`, or leave out what is made of it."
            )
        found[id(value.maker)] = value.maker
        waiting += value.maker.inputs
    idle = [value.name for value in inputs if value not in reached]
    if idle:
        raise ArgumentError(
            f"Model {name!r}: no output depends on the input {idle[0]!r}. Leave it out of `inputs=`, or use it."
        )
    ordered = sorted(found.values(), key=lambda equation: equation.outputs[0].number)  # type: ignore[attr-defined]
    return Graph(inputs, ordered, outputs)
