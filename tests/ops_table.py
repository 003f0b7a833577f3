"""What every function of `lamella.ops` is tried on: rows of a call, its operands, and what NumPy or Keras says of it.

Arrays among the arguments are operands; everything else is part of the call. This module imports NumPy alone, so that the
script that asks Keras can use it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

KERAS = "keras"
"""Instead of a reference: the answer of Keras on JAX, recorded."""


@dataclass(frozen=True)
class Row:
    """One call.

    Attributes:
        name: the function of `lamella.ops`.
        args: its arguments, operands among them.
        words: its keyword arguments, operands among them.
        reference: what computes the same in NumPy; None is NumPy's function of that name, `KERAS` a recorded answer.
        gradients: whether its derivative is compared with differences.
        tolerance: how far max|a - b| may be above 0, as a part of max|b|, in float64.
        reason: what the row shows.
        call: calls the function otherwise: `(ops, *args)`.
    """

    name: str
    args: tuple[Any, ...]
    words: dict[str, Any] = field(default_factory=dict)
    reference: Any = None
    gradients: bool = False
    tolerance: float = 1e-12
    reason: str = ""
    call: Callable[..., Any] | None = None

    @property
    def label(self) -> str:
        words = ", ".join(f"{k}={v}" for k, v in self.words.items() if not isinstance(v, np.ndarray))
        return " ".join(filter(None, [self.name, words, self.reason]))

    def operands(self) -> list[np.ndarray]:
        return [x for x in _leaves((*self.args, *self.words.values())) if isinstance(x, np.ndarray)]

    def apply(self, ops: Any, operands: list[Any]) -> Any:
        """The call on other operands."""
        given = iter(operands)
        args = _filled(self.args, given)
        kwargs = dict(zip(self.words, _filled(tuple(self.words.values()), given), strict=True))
        return getattr(ops, self.name)(*args, **kwargs) if self.call is None else self.call(ops, *args, **kwargs)

    def expected(self) -> Any:
        reference = self.reference or getattr(np, self.name)
        return reference(*self.args, **self.words)


def _leaves(items: Any) -> list[Any]:
    return [leaf for x in items for leaf in (_leaves(x) if isinstance(x, tuple | list) else [x])]


def _filled(items: Any, given: Any) -> Any:
    return type(items)(
        next(given) if isinstance(x, np.ndarray) else _filled(x, given) if isinstance(x, tuple | list) else x
        for x in items
    )


def R(
    name: str,
    *args: Any,
    ref: Any = None,
    d: bool = False,
    tol: float = 1e-12,
    why: str = "",
    call: Any = None,
    **kwargs: Any,
) -> Row:
    """A row: `name(*args, **kwargs)`, compared with `ref`; `d`: differentiated."""
    return Row(name, args, kwargs, ref, d, tol, why, call)


draw = np.random.default_rng(20260101)
# no two entries are near each other, and none is near a non-differentiable point of an activation function
A = (draw.permutation(24).reshape(2, 3, 4) - 12) * 0.13 + 0.09
B = draw.standard_normal((3, 4))
C = draw.standard_normal((4, 4))
V = np.array([0.3, -1.2, 2.5, 0.9, -0.4])
W = np.array([1.1, 0.6, -2.2, 0.9, 1.7])
P = draw.uniform(0.3, 2.5, (3, 4))
Q = draw.uniform(-0.9, 0.9, (3, 4))
I = draw.integers(-5, 6, (3, 4)).astype(np.int32)  # noqa: E741
J = draw.integers(1, 7, (3, 4)).astype(np.int32)
M = draw.integers(0, 2, (3, 4)).astype(bool)
N = np.array([[1.0, np.nan, -2.0, 4.0], [np.nan, np.nan, 3.0, 0.5], [2.0, 7.0, -1.0, 6.0]])
Z = np.array([0.0, -0.0, 1.5, -2.5, np.inf, -np.inf, np.nan])
T = np.array([2.0, 1.0, 2.0, 3.0, 1.0, 3.0])
IMAGE = draw.standard_normal((2, 6, 5, 4))
FAR_APART = np.random.default_rng(1).permutation(IMAGE.size).reshape(IMAGE.shape) / 10.0
"""No two entries so close that a difference quotient could swap them."""
VOLUME = draw.standard_normal((1, 4, 5, 3, 2))
SEQUENCE = draw.standard_normal((2, 7, 4))
IDS = np.array([2, 0, 2, 1, 2, 7], np.int32)
DATA = draw.standard_normal((6, 2))
PROBABILITIES = draw.uniform(0.1, 1.0, (3, 4))
CLASSES = np.array([1, 3, 0], np.int32)


def _erf(x: np.ndarray) -> np.ndarray:
    return np.vectorize(math.erf)(x)


def _erfinv(x: float) -> float:
    low, high = -8.0, 8.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle) < x else (low, middle)
    return low


def _nearest_in_the_simplex(x: np.ndarray) -> np.ndarray:
    """Keras's rows do not sum to 1 in float64."""
    high = np.sort(x, -1)[..., ::-1]
    tau = (np.cumsum(high, -1) - 1) / np.arange(1, x.shape[-1] + 1)
    size = (high > tau).sum(-1, keepdims=True)
    return np.maximum(x - np.take_along_axis(tau, size - 1, -1), 0)


ELEMENTWISE = [
    *[
        R(n, A, d=True)
        for n in (
            "exp",
            "expm1",
            "sin",
            "cos",
            "tanh",
            "sinh",
            "cosh",
            "arctan",
            "arcsinh",
            "exp2",
            "sinc",
            "negative",
            "square",
        )
    ],
    *[R(n, P, d=True) for n in ("log", "log2", "log10", "log1p", "sqrt", "cbrt", "reciprocal")],
    *[R(n, Q, d=True) for n in ("arcsin", "arccos", "arctanh", "deg2rad", "rad2deg", "tan", "fabs", "abs", "absolute")],
    R("arccosh", P + 1, d=True),
    R("cbrt", V, why="of either sign"),
    R("rsqrt", P, ref=lambda x: 1 / np.sqrt(x), d=True),
    R("erf", A, ref=_erf, d=True),
    R("erfc", A, ref=lambda x: np.vectorize(math.erfc)(x), d=True),
    R("erfinv", Q, ref=lambda x: np.vectorize(_erfinv)(x), d=True),
    *[R(n, 3 * A) for n in ("floor", "ceil", "trunc", "sign")],
    R("round", 3 * A),
    R("round", 30 * A, decimals=1),
    R("round", 30 * A, decimals=-1),
    R("round", np.array([14, 15, 25, -16], np.int32), decimals=-1, why="integers"),
    *[R(n, Z) for n in ("isnan", "isinf", "isfinite", "isposinf", "isneginf", "nan_to_num")],
    R("isinf", I, why="integers"),
    R("nan_to_num", Z, nan=1.0, posinf=2.0, neginf=3.0),
    R("signbit", Z[:-1]),
    *[R(n, A, B, d=True) for n in ("add", "subtract", "multiply", "logaddexp", "logaddexp2", "hypot", "arctan2")],
    R(
        "arctan2",
        np.array([0.0, -0.0, 0.0, -0.0, 1.0, np.inf, -np.inf]),
        np.array([-1.0, -1.0, -0.0, 0.0, 0.0, -np.inf, np.inf]),
        why="the axes",
    ),
    R(
        "logaddexp",
        np.array([-np.inf, np.inf, -np.inf, 1e300]),
        np.array([-np.inf, np.inf, 1.0, 1.0]),
        why="infinities",
    ),
    R("hypot", np.array([0.0, 1e300, np.inf]), np.array([0.0, 1e300, 1.0]), why="without overflow"),
    *[R(n, A, P, d=True) for n in ("divide", "true_divide", "mod", "remainder", "fmod")],
    *[R(n, A, P) for n in ("floor_divide",)],
    R("mod", I, J, why="integers"),
    R("fmod", I, J, why="integers"),
    R("floor_divide", I, J, why="integers"),
    R("power", P, B, d=True),
    *[R(n, A, B, d=True) for n in ("maximum", "minimum", "fmax", "fmin")],
    R("fmax", N, B, why="NaN"),
    R("fmin", N, B, why="NaN"),
    R("heaviside", Z, np.array(0.5)),
    R("ldexp", V, np.array([3, -2, 0, 5, 1], np.int32)),
    R("gcd", I * 6, J * 4),
    R("lcm", I, J),
    R(
        "divide_no_nan",
        V,
        np.array([1.0, 0.0, 2.0, 0.0, -4.0]),
        ref=lambda a, b: np.divide(a, b, where=b != 0, out=np.zeros(5)),
    ),
    R("divide_no_nan", V, np.array([1.0, 3.0, 2.0, -0.5, -4.0]), ref=np.divide, d=True, why="no zeros"),
    R("clip", A, -0.5, 0.5, d=True),
    R("isclose", V, V + np.array([0.0, 1e-9, 1e-6, 1e-4, 0.1])),
    R("isclose", Z, Z, equal_nan=True),
    R("allclose", V, V + 1e-9),
    R("saturate_cast", np.array([-5.0, 3.7, 300.0]), "uint8", ref=lambda x, dtype: np.clip(x, 0, 255).astype(dtype)),
    R(
        "saturate_cast",
        np.array([3e9, -3e9, 1.5]),
        "int32",
        ref=lambda x, dtype: np.array([2**31 - 1, -(2**31), 1], dtype),
    ),
    R("cast", A, "int32", ref=lambda x, dtype: x.astype(dtype)),
    R("stop_gradient", A, ref=lambda x: x),
    *[R(n, A, B) for n in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")],
    *[R(n, M, ~M | (I > 0)) for n in ("logical_and", "logical_or", "logical_xor")],
    R("logical_not", M),
    *[R(n, I, J) for n in ("bitwise_and", "bitwise_or", "bitwise_xor")],
    R("bitwise_not", I),
    R("bitwise_invert", I, ref=np.bitwise_not),
    *[R(n, J, J % 4, ref=np.left_shift) for n in ("left_shift", "bitwise_left_shift")],
    *[R(n, J, J % 4, ref=np.right_shift) for n in ("right_shift", "bitwise_right_shift")],
    R("where", M, B, 0.0, d=True),
    R("select", [M, B > 0], [B, B * 2], 7.0, call=lambda ops, c, x, default: ops.select(c, x, default)),
]

_ACTIVATIONS = [
    "celu",
    "elu",
    "gelu",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "log_sigmoid",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_shrink",
    "hard_shrink",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "squareplus",
    "swish",
    "tanh_shrink",
    "softmax",
    "log_softmax",
    "glu",
]


def _largest_of_four(x, *_, **__):
    """The largest of each 2 x 2 window, padded behind."""
    padded = np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=-np.inf)
    return np.lib.stride_tricks.sliding_window_view(padded, (2, 2), (1, 2)).max((-2, -1))


NETWORKS = [
    *[R(n, A * 2, ref=KERAS, d=True) for n in _ACTIVATIONS],
    R("sparsemax", B * 2, ref=_nearest_in_the_simplex, d=True),
    R("mish", A, ref=lambda x: x * np.tanh(np.log1p(np.exp(x))), d=True),
    R("gelu", A, approximate=False, ref=KERAS),
    R("threshold", A, 0.2, -1.0, ref=KERAS),
    R("one_hot", CLASSES, 5, ref=KERAS),
    R("one_hot", CLASSES, 5, axis=0, ref=KERAS),
    R("multi_hot", np.array([[1, 2, 2], [0, 4, 9]], np.int32), 5, ref=KERAS),
    R("normalize", B, ref=KERAS, d=True),
    R("normalize", B, axis=0, order=1, tol=1e-6, ref=KERAS),
    R("batch_normalization", IMAGE, V[:4], P[0], -1, offset=W[:4], scale=P[1], epsilon=0.01, ref=KERAS, d=True),
    R("layer_normalization", A, gamma=P[0], beta=V[:4], epsilon=0.01, tol=1e-6, ref=KERAS, d=True),
    R("rms_normalization", A, scale=P[0], epsilon=0.01, tol=1e-6, ref=KERAS, d=True),
    R("dot_product_attention", IMAGE, IMAGE * 0.5, IMAGE + 1, tol=1e-6, ref=KERAS, d=True),
    R("dot_product_attention", IMAGE, IMAGE * 0.5, IMAGE + 1, is_causal=True, scale=0.3, tol=1e-6, ref=KERAS),
    R("categorical_crossentropy", PROBABILITIES, PROBABILITIES + 0.1, ref=KERAS, d=True),
    R("categorical_crossentropy", PROBABILITIES, B, from_logits=True, ref=KERAS),
    R("sparse_categorical_crossentropy", CLASSES, PROBABILITIES, ref=KERAS, d=True),
    R("sparse_categorical_crossentropy", CLASSES, B, from_logits=True, ref=KERAS),
    R("binary_crossentropy", PROBABILITIES, Q / 2 + 0.5, ref=KERAS, d=True),
    R("binary_crossentropy", PROBABILITIES, B, from_logits=True, ref=KERAS),
    R("psnr", B, C[:3], 2.0, ref=KERAS, d=True),
    R("depth_to_space", IMAGE, 2, ref=KERAS),
    R("depth_to_space", np.moveaxis(IMAGE, -1, 1).copy(), 2, data_format="channels_first", ref=KERAS),
    R("space_to_depth", IMAGE[:, :, :4], 2, ref=KERAS),
    R("unfold", IMAGE, (2, 3), dilation=1, padding=1, stride=2, ref=KERAS, d=True),
    R("fold", draw.standard_normal((2, 12, 6)), (4, 5), (2, 3), stride=(2, 1), ref=KERAS, d=True),
    R("extract_sequences", SEQUENCE, 2, 1, ref=KERAS),
    R("rearrange", A, "b (h p) c -> b h (p c)", p=3, ref=lambda x, *_, p: x.reshape(2, 1, 12)),
    R("rearrange", A, "... c -> c ...", ref=lambda x, _: np.moveaxis(x, -1, 0)),
    R("conv", IMAGE, draw.standard_normal((3, 2, 4, 6)), strides=2, padding="same", ref=KERAS, d=True),
    R("conv", SEQUENCE, draw.standard_normal((3, 2, 6)), padding="valid", dilation_rate=2, ref=KERAS, why="two groups"),
    R("depthwise_conv", IMAGE, draw.standard_normal((3, 2, 4, 2)), padding="same", ref=KERAS),
    R("separable_conv", IMAGE, draw.standard_normal((3, 2, 4, 2)), draw.standard_normal((1, 1, 8, 3)), ref=KERAS),
    R("conv_transpose", IMAGE, draw.standard_normal((3, 2, 6, 4)), strides=2, padding="same", ref=KERAS, d=True),
    R("conv_transpose", SEQUENCE, draw.standard_normal((3, 6, 4)), strides=2, output_padding=1, ref=KERAS),
    R("max_pool", IMAGE, 2, strides=1, padding="same", ref=KERAS),
    R("max_pool", FAR_APART, 2, strides=1, padding="same", ref=_largest_of_four, d=True, why="no near ties"),
    R("average_pool", IMAGE, (2, 2), strides=(2, 2), padding="same", ref=KERAS, d=True),
    R("average_pool", VOLUME, (2, 2, 2), strides=(2, 2, 2), ref=KERAS, why="of volumes"),
    R("adaptive_average_pool", IMAGE, (3, 2), ref=KERAS),
    R("adaptive_max_pool", IMAGE, (3, 2), ref=KERAS),
    R("moments", A, (0, 2), ref=lambda x, axes: (x.mean(axes), x.var(axes)), d=True),
]

REDUCTIONS = [
    *[
        R(n, A, axis=1, d=True)
        for n in ("sum", "max", "min", "mean", "std", "var", "prod", "ptp", "amax", "amin", "median")
    ],
    *[R(n, A, why="of everything") for n in ("sum", "max", "min", "mean", "std", "var", "prod", "ptp", "median")],
    *[R(n, A, axis=(0, -1), keepdims=True) for n in ("sum", "max", "min", "mean", "std", "var", "prod", "median")],
    R("variance", A, axis=1, ref=np.var),
    R("prod", np.array([0.0, 2.0, 0.0, 3.0]), why="two zeros", d=True),
    R("max", A, axis=1, initial=0.7),
    R("min", A, axis=1, initial=0.7),
    *[R(n, M, axis=1) for n in ("any", "all", "count_nonzero")],
    *[R(n, A, axis=1) for n in ("argmax", "argmin")],
    *[R(n, A, axis=1, keepdims=True) for n in ("argmax", "argmin")],
    R("argmin", np.array([3, -(2**31), 5], np.int32), why="the least integer"),
    R("logsumexp", A, axis=1, ref=lambda x, axis: np.log(np.exp(x).sum(axis)), d=True),
    R("average", A, axis=1, weights=W[:3], d=True),
    R("average", B, weights=P),
    R("norm", B, axis=1, ref=np.linalg.norm, d=True),
    *[R("norm", B, ord=o, axis=1, ref=np.linalg.norm) for o in (1, 3, 0, math.inf, -math.inf)],
    *[R("norm", B, ord=o, ref=lambda x, ord: np.linalg.norm(x, ord)) for o in ("fro", 1, -1, math.inf, -math.inf)],
    *[
        R("quantile", A, [0.1, 0.5, 0.85], axis=1, method=m, ref=lambda x, q, **w: np.quantile(x, q, **w))
        for m in ("linear", "lower", "higher", "midpoint", "nearest")
    ],
    R("quantile", A, 0.3, axis=-1, d=True),
    R("quantile", N, 0.3, axis=-1, why="NaN"),
    R("percentile", A, 30.0, axis=(0, 1)),
    *[
        R(n, N, axis=1)
        for n in (
            "nansum",
            "nanmean",
            "nanvar",
            "nanstd",
            "nanmax",
            "nanmin",
            "nanprod",
            "nanmedian",
            "nancumsum",
            "nancumprod",
        )
    ],
    *[R(n, N, axis=1) for n in ("nanargmax", "nanargmin")],
    R("nanmean", np.where(np.isnan(N), 0.5, N), axis=0, d=True),
    R("nanquantile", N, [0.2, 0.7], axis=1, ref=lambda x, q, axis: np.nanquantile(x, q, axis)),
    R("nanpercentile", N, 60.0, axis=1),
    *[R(n, A, axis=1, d=True) for n in ("cumsum", "cumprod")],
    *[R(n, A) for n in ("cumsum", "cumprod")],
    R("cumsum", I, axis=0, why="integers", ref=lambda x, axis: np.cumsum(x, axis, np.int32)),
    R("diff", A, n=2, axis=1, d=True),
    R("trapezoid", B, dx=0.5, d=True),
    R("trapezoid", B, x=np.cumsum(P[0])),
    R("corrcoef", B, d=True, tol=1e-10),
    *[R("correlate", V, W[:k], mode=m) for m in ("valid", "same", "full") for k in (2, 3)],
    R("correlate", W[:2], V, mode="full", why="the longer second"),
    R("correlate", W[:2], V, mode="valid", why="the longer second"),
    R("bincount", np.array([1, 3, 3, 0], np.int32), minlength=6),
    R("bincount", np.array([1, 3, 3, 0], np.int32), weights=V[:4], minlength=6),
    R(
        "bincount",
        np.array([[1, 3], [0, 0]], np.int32),
        minlength=4,
        ref=lambda x, minlength: np.array([[0, 1, 0, 1], [2, 0, 0, 0]]),
    ),
    R("histogram", A, bins=5, ref=lambda x, bins: np.histogram(x, bins)),
    R("histogram", A, bins=4, range=(-1.0, 1.0), ref=lambda x, bins, range: np.histogram(x, bins, range)),
]

ORDER = [
    R("sort", A, axis=1, d=True),
    R("sort", A, axis=None),
    R("sort", N, axis=1, why="NaN"),
    R("argsort", T, ref=lambda x: np.argsort(x, kind="stable")),
    R("argsort", A, axis=0),
    R("argpartition", A, 1, axis=-1, ref=lambda x, kth, axis: np.argsort(x, axis)),
    R("top_k", A, 2, ref=KERAS, d=True),
    R("top_k", T, 4, ref=KERAS, why="ties"),
    R("in_top_k", CLASSES, B, 2, ref=KERAS),
    R("searchsorted", np.sort(V), np.array([[0.0, 2.5], [9.0, -9.0]])),
    R("searchsorted", np.array([1.0, 2.0, 2.0, 3.0]), T, side="right"),
    R("searchsorted", np.array([1.0, 2.0, 2.0, 3.0]), T, side="left"),
    R("digitize", A, np.array([-1.0, 0.0, 0.5])),
    R("digitize", A, np.array([0.5, 0.0, -1.0])),
    R("digitize", A, np.array([0.5, 0.5])),
    R("digitize", A, np.array([0.5])),
    R("isin", I, np.array([1, 2, 5], np.int32)),
    R("isin", I, np.array([1, 2, 5], np.int32), invert=True),
    R("unravel_index", np.array([0, 5, 11], np.int32), (3, 4), ref=np.unravel_index),
    R("segment_sum", DATA, IDS, 4, ref=KERAS, d=True),
    R("segment_max", DATA, IDS, 3, ref=KERAS, d=True),
    R("segment_min", DATA, IDS, 3, ref=KERAS, d=True),
    R("segment_prod", DATA, IDS, 4, ref=KERAS, d=True),
    R("segment_max", (DATA * 9).astype(np.int32), IDS, 3, ref=KERAS, why="integers"),
    R("segment_min", (DATA * 9).astype(np.int32), IDS, 3, ref=KERAS, why="integers"),
    R("scatter", np.array([[0, 1], [2, 3], [0, 1]], np.int32), V[:3], (3, 4), ref=KERAS, d=True),
    R("scatter_update", B, np.array([[0, 1], [2, 3]], np.int32), V[:2], ref=KERAS, d=True),
    R("scatter_update", B, np.array([[2], [0]], np.int32), C[:2], ref=KERAS, why="whole rows"),
    *[
        R("scatter_update", B, np.array([[0, 1], [2, 3], [0, 1]], np.int32), V[:3], reduction=r, ref=KERAS)
        for r in ("add", "max", "min", "mul")
    ],
    R("take", A, np.array([[0, 2], [-1, 1]], np.int32), axis=1, d=True),
    R("take", A, np.array([5, -3], np.int32), why="flattened"),
    R("take_along_axis", A, np.array([[[0, 1, 3, -1]], [[3, 3, 0, 1]]], np.int32), axis=2, d=True),
    R("take_along_axis", A, np.array([3, -1], np.int32), axis=None),
    R("slice", A, (0, 1, 1), (2, 2, 3), ref=lambda x, *_: x[:, 1:3, 1:4], d=True),
    R("slice", A, np.array([0, 5, 1], np.int32), (2, 2, 3), ref=lambda x, *_: x[:, 1:3, 1:4], why="moved inside"),
    R("slice_update", A, (0, 1, 1), A[:, :2, :3] * 2, ref=KERAS, d=True),
    R("get_item", A, (0, slice(1, None), 2), ref=lambda x, key: x[key]),
    R("getitem", A, (slice(None), None, -1), ref=lambda x, key: x[key]),
]

ARRAYS = [
    R("reshape", A, (4, -1), d=True),
    R("ravel", A),
    R("transpose", A, (2, 0, 1)),
    R("swapaxes", A, 0, 2),
    R("moveaxis", A, 0, -1),
    R("moveaxis", A, (0, 1), (2, 0)),
    R("expand_dims", A, 1),
    R("expand_dims", A, (0, -1)),
    R("squeeze", A[:1]),
    R("broadcast_to", B, (2, 3, 4), d=True),
    R("concatenate", [A, A * 2]),
    R("concatenate", [A, B[None]], axis=0, d=True),
    R("stack", [B, C[:3]], axis=1, d=True),
    R("hstack", [B, C[:3]]),
    R("hstack", [V, W]),
    R("vstack", [V, W]),
    R("dstack", [B, C[:3]]),
    R("unstack", B, axis=1, ref=lambda x, axis: [x[:, i] for i in range(4)]),
    R("split", A, 2, axis=2),
    R("split", A, [1, 3], axis=-1),
    R("array_split", V, 3),
    R("hsplit", B, 2),
    R("vsplit", B, 3),
    R("dsplit", A, 2),
    R("append", V, W),
    R("append", B, C, axis=0),
    R("flip", A),
    R("flip", A, axis=(0, 2)),
    R("fliplr", A),
    R("flipud", A),
    *[R("rot90", A, k=k, axes=(1, 2), ref=lambda x, k, axes: np.rot90(x, k, axes)) for k in (1, 2, 3)],
    R("roll", A, 2, d=True),
    R("roll", A, (1, -2), axis=(0, 2)),
    R("tile", B, (2, 1, 2), d=True),
    R("tile", V, 2),
    R("repeat", A, 2, axis=1, d=True),
    R("repeat", A, 3),
    R("repeat", B, [1, 0, 2], axis=0),
    R("pad", B, ((1, 2), (0, 1)), d=True),
    R("pad", B, ((1, 2), (0, 1)), constant_values=3.0),
    *[
        R("pad", B, ((1, 2), (2, 0)), mode=m, d=m not in ("maximum", "minimum", "median"))
        for m in ("edge", "reflect", "symmetric", "wrap", "maximum", "mean", "median", "minimum", "linear_ramp")
    ],
    R("pad", B, 7, mode="reflect", why="wider than the array"),
    R("diag", V, d=True),
    R("diag", V, k=-2),
    R("diag", B, k=1),
    R("diagflat", B),
    R("diagonal", A, offset=-1, axis1=1, axis2=2, d=True),
    R("trace", A, offset=1, axis1=1, axis2=2, d=True),
    R("tril", A, k=-1),
    R("triu", A, k=1, d=True),
    R("tri", 3, 4, k=1),
    R("eye", 3, 4, k=-1),
    R("identity", 3),
    R("zeros", (2, 3)),
    R("ones", (2, 3)),
    R("full", (2, 3), 7.5),
    R("empty", (2, 3), ref=np.zeros),
    *[
        R(n, B, ref=getattr(np, r))
        for n, r in (("zeros_like", "zeros_like"), ("ones_like", "ones_like"), ("empty_like", "zeros_like"))
    ],
    R("full_like", B, 2.0),
    R("arange", 7),
    R("arange", 2, 9, 3),
    R("arange", 3, 0, -1),
    R("arange", 8, -1, -3),
    R("arange", 0, 5, -1),
    R("arange", 0.5, 2.0, 0.25),
    R("linspace", 0.5, 3.0, 7),
    R("linspace", V, W, 4, endpoint=False, axis=-1, d=True),
    R("linspace", 0.0, 1.0, 5, retstep=True),
    R("logspace", 0.0, 2.0, 5),
    R("geomspace", 1.0, 100.0, 5),
    R("meshgrid", V, W, V * 2),
    R("meshgrid", V, W, indexing="ij"),
    R("vander", V),
    R("vander", V, N=3, increasing=True),
    *[R(n, 7, ref=lambda n, f=n: getattr(np, f)(n)) for n in ("bartlett", "blackman", "hamming", "hanning")],
    R("kaiser", 7, 8.0),
    R("matmul", A, C, d=True),
    R("dot", B, C, d=True),
    R("dot", A, np.stack([C, C + 1]), why="of many dimensions"),
    R("vdot", B, C[:3], d=True),
    R("inner", A, B, d=True),
    R("outer", V, W, d=True),
    R("kron", B[:, :2], C[:2], d=True),
    R("tensordot", A, B, axes=2, d=True),
    R("einsum", "ijk,lk->ijl", A, C, d=True),
    R("cross", B[:, :3], C[:3, :3], d=True),
    R(
        "cross",
        B[:, :3],
        C[:3, :2],
        ref=lambda a, b: np.cross(a, np.concatenate([b, np.zeros((3, 1))], 1)),
        why="of two and three",
    ),
    R("cross", B[:, :2], C[:3, :2], ref=lambda a, b: a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0], why="in the plane"),
    R("cdist", B, C, ref=lambda x, y: np.linalg.norm(x[:, None] - y, axis=-1), d=True),
    R("array", B, ref=lambda x: x),
    R("copy", B),
    R("convert_to_tensor", B, ref=lambda x: x),
]


def _running(ops: Any, xs: Any) -> Any:
    return ops.scan(lambda h, x: (h + x, h * x), xs[0], xs, reverse=True)


def _powers(ops: Any, x: Any) -> Any:
    return ops.fori_loop(0, 3, lambda i, v: v * x + ops.cast(i, "float64"), x)


def _halved(ops: Any, x: Any) -> Any:
    return ops.while_loop(lambda v: ops.sum(v) > 1.0, lambda v: (v * 0.5,), (x,), maximum_iterations=8)


def _choose(ops: Any, x: Any) -> Any:
    return ops.cond(ops.sum(x) > 0, lambda: ops.sin(x), lambda: x * 2.0)


def _halved_there(x: np.ndarray) -> tuple[np.ndarray]:
    while x.sum() > 1.0:
        x = x * 0.5
    return (x,)


CONTROL = [
    R(
        "scan",
        B,
        call=_running,
        d=True,
        ref=lambda x: (x.sum(0) + x[0], np.stack([x[0] * (x[0] + x[1] + x[2]), x[1] * (x[0] + x[2]), x[2] * x[0]])),
    ),
    R("fori_loop", P, call=_powers, ref=lambda x: (x * x * x + 1) * x + 2, d=True),
    R("while_loop", P, call=_halved, ref=_halved_there, d=True),
    R("cond", P, call=_choose, ref=np.sin, d=True),
    R("cond", -P, call=_choose, ref=lambda x: 2 * x, d=True),
    R("switch", P, call=lambda ops, x: ops.switch(1, [lambda x: x, lambda x: x * x], x), ref=np.square, d=True),
    R("map", B, call=lambda ops, x: ops.map(lambda r: ops.cumsum(r), x), ref=lambda x: np.cumsum(x, 1), d=True),
    R("vectorized_map", B, call=lambda ops, x: ops.vectorized_map(lambda r: ops.sum(r), x), ref=lambda x: x.sum(1)),
    R(
        "associative_scan",
        B,
        call=lambda ops, x: ops.associative_scan(lambda a, b: a * b, x, axis=1),
        ref=lambda x: np.cumprod(x, 1),
        d=True,
    ),
    R(
        "associative_scan",
        V,
        call=lambda ops, x: ops.associative_scan(lambda a, b: a + b, x, reverse=True),
        ref=lambda x: np.cumsum(x[::-1])[::-1],
    ),
    R(
        "custom_gradient",
        B,
        call=lambda ops, x: ops.custom_gradient(lambda x: (ops.sin(x), lambda g: g * ops.cos(x)))(x),
        ref=np.sin,
        d=True,
    ),
    R(
        "foreach",
        B,
        V,
        call=lambda ops, x, y: ops.foreach(lambda x: [x * x], [[x, y]])[0],
        ref=lambda x, y: [x * x, y * y],
    ),
]

ROWS = [*ELEMENTWISE, *NETWORKS, *REDUCTIONS, *ORDER, *ARRAYS, *CONTROL]

ELSEWHERE = {
    "affine_transform": "tests/test_random_image.py",
    "convolve": "tests/test_conformance.py",
    "convolve_input_gradient": "tests/test_conformance.py",
    "fold_in": "tests/test_threefry.py",
    "random_bits": "tests/test_threefry.py",
    "normal_from_bits": "tests/test_threefry.py",
    "same_padding": "tests/test_layers_oracle.py",
    "scatter_add": "tests/test_conformance.py",
    "resize": "tests/test_catalogue_oracle.py",
    "shape": "tests/test_ops_table.py",
    "ndim": "tests/test_ops_table.py",
    "size": "tests/test_ops_table.py",
    "dtype": "tests/test_ops_table.py",
    "is_tensor": "tests/test_ops_table.py",
    "convert_to_numpy": "tests/test_ops_table.py",
}
"""Functions that return no arrays, or are tested on a page of their own."""
