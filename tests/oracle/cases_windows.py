"""The catalogue's layers of windows: convolution, transposed, depthwise and separable convolution, and pooling."""

from __future__ import annotations

from typing import Any

from .rows import Constructor, Kwargs, LayerCase

FIRST: Kwargs = {"data_format": "channels_first"}
SAME: Kwargs = {"padding": "same"}


def row(id: str, name: str, layer_kwargs: Kwargs, input_shape: tuple[int, ...], **fields: Any) -> LayerCase:
    return LayerCase(id, ((name, layer_kwargs),), input_shape, kind="catalogue", **fields)


def stack(id: str, layers: tuple[Constructor, ...], input_shape: tuple[int, ...], **fields: Any) -> LayerCase:
    return LayerCase(id, layers, input_shape, kind="catalogue", **fields)


def rows(prefix: str, name: str, *rows: tuple[str, Kwargs, tuple[int, ...]], **fields: Any) -> tuple[LayerCase, ...]:
    """Rows of one layer, each (id, options, input shape)."""
    return tuple(row(f"{prefix}-{id}", name, kwargs, shape, **fields) for id, kwargs, shape in rows)


def _shape(data_format: str, batch: int, spatial: tuple[int, ...], channels: int) -> tuple[int, ...]:
    return (batch, channels, *spatial) if data_format == "channels_first" else (batch, *spatial, channels)


def _convolution(**options: Any) -> Kwargs:
    return {"filters": 3, "kernel_size": 3, **options}


CONVOLUTION = (
    *rows(
        "conv1d", "Conv1D",
        ("3", _convolution(), (2, 8, 2)),
        ("1", _convolution(kernel_size=1), (2, 5, 3)),
        ("same", _convolution(padding="same"), (2, 7, 2)),
        ("2-same", _convolution(kernel_size=2, padding="same"), (2, 6, 2)),
        ("strides-2", _convolution(strides=2), (2, 9, 2)),
        ("strides-2-same", _convolution(strides=2, padding="same"), (2, 8, 2)),
        ("strides-3-4-same", _convolution(kernel_size=4, strides=3, padding="same"), (2, 10, 2)),
        ("causal", _convolution(padding="causal"), (2, 7, 2)),
        ("causal-dilation-2", _convolution(kernel_size=2, padding="causal", dilation_rate=2), (2, 8, 2)),
        ("causal-dilation-4", _convolution(padding="causal", dilation_rate=4), (1, 12, 2)),
        ("causal-strides-2", _convolution(padding="causal", strides=2), (2, 9, 2)),
        ("dilation-2", _convolution(dilation_rate=2), (2, 9, 2)),
        ("dilation-3-same", _convolution(dilation_rate=3, padding="same"), (2, 9, 2)),
        ("groups-2", _convolution(filters=4, groups=2), (2, 7, 4)),
        ("groups-3-causal", _convolution(filters=6, groups=3, padding="causal"), (2, 6, 3)),
        ("no-bias-relu", _convolution(use_bias=False, activation="relu"), (2, 6, 2)),
        ("channels-first", _convolution(**FIRST), (2, 2, 8)),
        ("channels-first-causal", _convolution(padding="causal", dilation_rate=2, **FIRST), (2, 2, 8)),
        ("channels-first-softmax", _convolution(activation="softmax", use_bias=False, **FIRST), (2, 2, 6)),
    ),
    row("convolution1d", "Convolution1D", _convolution(), (2, 6, 2)),
    row("convolution2d", "Convolution2D", _convolution(kernel_size=2), (2, 4, 4, 2)),
    row("convolution3d", "Convolution3D", _convolution(kernel_size=2), (1, 3, 3, 3, 2)),
    *rows(
        "conv3d", "Conv3D",
        ("2", _convolution(filters=2, kernel_size=2), (2, 3, 4, 3, 2)),
        ("same", _convolution(filters=2, kernel_size=(1, 2, 3), padding="same"), (1, 3, 4, 3, 2)),
        ("strides-2-same", _convolution(filters=2, strides=2, padding="same"), (1, 4, 5, 4, 2)),
        ("strides-1x2x1", _convolution(filters=2, kernel_size=2, strides=(1, 2, 1)), (1, 3, 5, 3, 2)),
        ("dilation-2", _convolution(filters=2, kernel_size=2, dilation_rate=2), (1, 4, 4, 5, 2)),
        ("groups-2", _convolution(filters=4, kernel_size=2, groups=2), (1, 3, 3, 3, 4)),
        ("no-bias-tanh", _convolution(filters=2, kernel_size=2, use_bias=False, activation="tanh"), (1, 3, 3, 3, 2)),
        ("channels-first", _convolution(filters=2, kernel_size=2, padding="same", **FIRST), (1, 2, 3, 4, 3)),
    ),
)  # fmt: skip

TRANSPOSED = (
    *rows(
        "conv1d-transpose", "Conv1DTranspose",
        ("3", _convolution(), (2, 5, 2)),
        ("strides-2", _convolution(strides=2), (2, 5, 2)),
        ("strides-2-same", _convolution(strides=2, padding="same"), (2, 5, 2)),
        ("4-strides-2-same", _convolution(kernel_size=4, strides=2, padding="same"), (2, 4, 2)),
        ("5-strides-3-same", _convolution(kernel_size=5, strides=3, padding="same"), (2, 4, 2)),
        ("2-strides-4", _convolution(kernel_size=2, strides=4), (2, 3, 2)),
        ("2-strides-4-same", _convolution(kernel_size=2, strides=4, padding="same"), (2, 3, 2)),
        ("output-padding-0-same", _convolution(strides=2, padding="same", output_padding=0), (2, 4, 2)),
        ("output-padding-1-same", _convolution(strides=2, padding="same", output_padding=1), (2, 4, 2)),
        ("output-padding-1", _convolution(strides=2, output_padding=1), (2, 4, 2)),
        ("output-padding-2-4", _convolution(kernel_size=4, strides=3, padding="same", output_padding=2), (2, 4, 2)),
        ("dilation-2", _convolution(dilation_rate=2), (2, 5, 2)),
        ("dilation-2-same", _convolution(dilation_rate=2, padding="same"), (2, 5, 2)),
        ("no-bias-relu", _convolution(use_bias=False, activation="relu"), (2, 5, 2)),
        ("channels-first", _convolution(strides=2, padding="same", **FIRST), (2, 2, 4)),
    ),
    *rows(
        "conv2d-transpose", "Conv2DTranspose",
        ("3", _convolution(), (2, 3, 4, 2)),
        ("same", _convolution(padding="same"), (2, 3, 4, 2)),
        ("strides-2", _convolution(strides=2), (2, 3, 4, 2)),
        ("strides-2-same", _convolution(strides=2, padding="same"), (2, 3, 4, 2)),
        ("4-strides-2-same", _convolution(kernel_size=4, strides=2, padding="same"), (1, 3, 4, 2)),
        ("2x3-strides-1x2", _convolution(kernel_size=(2, 3), strides=(1, 2)), (2, 3, 3, 2)),
        ("strides-over-kernel", _convolution(kernel_size=2, strides=3), (2, 3, 3, 2)),
        ("strides-over-kernel-same", _convolution(kernel_size=2, strides=3, padding="same"), (2, 3, 3, 2)),
        ("output-padding", _convolution(strides=2, padding="same", output_padding=(0, 1)), (2, 3, 3, 2)),
        ("output-padding-valid", _convolution(strides=(2, 3), output_padding=(1, 2)), (2, 3, 3, 2)),
        ("dilation-2", _convolution(kernel_size=2, dilation_rate=2), (2, 3, 4, 2)),
        ("dilation-2-same", _convolution(dilation_rate=(1, 2), padding="same"), (2, 3, 4, 2)),
        ("no-bias-relu", _convolution(use_bias=False, activation="relu"), (2, 3, 3, 2)),
        ("channels-first", _convolution(strides=2, padding="same", **FIRST), (2, 2, 3, 4)),
    ),
    *rows(
        "conv3d-transpose", "Conv3DTranspose",
        ("2", _convolution(filters=2, kernel_size=2), (1, 2, 3, 2, 2)),
        ("strides-2-same", _convolution(filters=2, strides=2, padding="same"), (1, 2, 2, 3, 2)),
        ("output-padding", _convolution(filters=2, strides=2, output_padding=1, padding="same"), (1, 2, 2, 2, 2)),
        ("dilation-2", _convolution(filters=2, kernel_size=2, dilation_rate=2), (1, 2, 3, 2, 2)),
        ("no-bias-tanh", _convolution(filters=2, kernel_size=2, use_bias=False, activation="tanh"), (1, 2, 2, 2, 2)),
        ("channels-first", _convolution(filters=2, kernel_size=2, strides=(1, 2, 1), **FIRST), (1, 2, 2, 3, 2)),
    ),
    row("convolution1d-transpose", "Convolution1DTranspose", _convolution(), (2, 4, 2)),
    row("convolution2d-transpose", "Convolution2DTranspose", _convolution(kernel_size=2), (1, 3, 3, 2)),
    row("convolution3d-transpose", "Convolution3DTranspose", _convolution(kernel_size=2), (1, 2, 2, 2, 2)),
)  # fmt: skip

DEPTHWISE = (
    *rows(
        "depthwise-conv1d", "DepthwiseConv1D",
        ("3", {"kernel_size": 3}, (2, 7, 3)),
        ("multiplier-2-same", {"kernel_size": 3, "depth_multiplier": 2, **SAME}, (2, 6, 2)),
        ("strides-2", {"kernel_size": 2, "strides": 2}, (2, 7, 3)),
        ("dilation-2", {"kernel_size": 3, "dilation_rate": 2}, (2, 8, 2)),
        ("no-bias-relu", {"kernel_size": 3, "use_bias": False, "activation": "relu"}, (2, 6, 2)),
        ("channels-first", {"kernel_size": 3, "depth_multiplier": 2, **FIRST}, (2, 2, 6)),
    ),
    *rows(
        "depthwise-conv2d", "DepthwiseConv2D",
        ("3", {"kernel_size": 3}, (2, 5, 6, 3)),
        ("one-channel", {"kernel_size": 2}, (2, 4, 4, 1)),
        ("multiplier-2", {"kernel_size": 2, "depth_multiplier": 2}, (2, 4, 5, 3)),
        ("multiplier-3-same", {"kernel_size": 3, "depth_multiplier": 3, **SAME}, (1, 4, 5, 2)),
        ("strides-2-same", {"kernel_size": 3, "strides": 2, **SAME}, (2, 5, 6, 2)),
        ("strides-2x2", {"kernel_size": (3, 2), "strides": (2, 2)}, (2, 6, 5, 2)),
        ("dilation-2", {"kernel_size": 2, "dilation_rate": 2}, (2, 5, 5, 2)),
        ("dilation-2-same", {"kernel_size": 3, "dilation_rate": (2, 2), **SAME}, (1, 5, 6, 2)),
        ("no-bias-relu", {"kernel_size": 3, "use_bias": False, "activation": "relu"}, (2, 4, 4, 2)),
        ("channels-first", {"kernel_size": 3, "depth_multiplier": 2, **SAME, **FIRST}, (2, 2, 4, 5)),
    ),
    *rows(
        "separable-conv1d", "SeparableConv1D",
        ("3", _convolution(), (2, 7, 2)),
        ("multiplier-2-same", _convolution(depth_multiplier=2, padding="same"), (2, 6, 2)),
        ("strides-2", _convolution(kernel_size=2, strides=2), (2, 7, 3)),
        ("dilation-2", _convolution(dilation_rate=2), (2, 8, 2)),
        ("no-bias-relu", _convolution(use_bias=False, activation="relu"), (2, 6, 2)),
        ("channels-first", _convolution(**FIRST), (2, 2, 6)),
    ),
    *rows(
        "separable-conv2d", "SeparableConv2D",
        ("3", _convolution(), (2, 5, 6, 2)),
        ("multiplier-2", _convolution(kernel_size=2, depth_multiplier=2), (2, 4, 5, 2)),
        ("same", _convolution(kernel_size=(2, 3), padding="same"), (2, 4, 5, 2)),
        ("strides-2-same", _convolution(strides=2, padding="same"), (2, 5, 6, 2)),
        ("dilation-2", _convolution(kernel_size=2, dilation_rate=2), (2, 5, 5, 2)),
        ("no-bias-relu", _convolution(use_bias=False, activation="relu"), (2, 4, 4, 2)),
        ("channels-first", _convolution(depth_multiplier=2, padding="same", **FIRST), (2, 2, 4, 5)),
    ),
    row("separable-convolution1d", "SeparableConvolution1D", _convolution(), (2, 5, 2)),
    row("separable-convolution2d", "SeparableConvolution2D", _convolution(kernel_size=2), (1, 4, 4, 2)),
)  # fmt: skip


def _pools(prefix: str, name: str, spatial: tuple[int, ...]) -> tuple[LayerCase, ...]:
    last, first = _shape("channels_last", 2, spatial, 2), _shape("channels_first", 2, spatial, 2)
    return rows(
        prefix, name,
        ("2", {"pool_size": 2}, last),
        ("3-strides-1", {"pool_size": 3, "strides": 1}, last),
        ("strides-over-pool", {"pool_size": 2, "strides": 3}, last),
        ("same", {"pool_size": 3, "strides": 2, **SAME}, last),
        ("channels-first-same", {"pool_size": 2, **SAME, **FIRST}, first),
    )  # fmt: skip


def _global_pools(prefix: str, name: str, spatial: tuple[int, ...]) -> tuple[LayerCase, ...]:
    last, first = _shape("channels_last", 2, spatial, 3), _shape("channels_first", 2, spatial, 3)
    return rows(
        prefix, name,
        ("default", {}, last),
        ("keepdims", {"keepdims": True}, last),
        ("channels-first", FIRST, first),
        ("channels-first-keepdims", {"keepdims": True, **FIRST}, first),
    )  # fmt: skip


def _adaptive_pools(prefix: str, name: str, n: int) -> tuple[LayerCase, ...]:
    spatial = (7, 5, 4)[:n]
    last, first = _shape("channels_last", 2, spatial, 2), _shape("channels_first", 2, spatial, 2)
    return rows(
        prefix, name,
        ("3", {"output_size": 3}, last),
        ("mixed", {"output_size": (4, 5, 2)[:n]}, last),
        ("more-than-cells", {"output_size": (9, 5, 6)[:n]}, last),
        ("one", {"output_size": 1}, last),
        ("channels-first", {"output_size": 3, **FIRST}, first),
    )  # fmt: skip


POOLING = (
    row("max-pooling1d-default", "MaxPooling1D", {}, (2, 7, 2)),
    row("max-pooling3d-default", "MaxPooling3D", {}, (2, 4, 3, 4, 2)),
    *_pools("max-pooling1d", "MaxPooling1D", (8,)),
    *_pools("average-pooling1d", "AveragePooling1D", (8,)),
    *_pools("max-pooling3d", "MaxPooling3D", (4, 5, 3)),
    *_pools("average-pooling3d", "AveragePooling3D", (4, 5, 3)),
    *_global_pools("global-average-pooling1d", "GlobalAveragePooling1D", (5,)),
    *_global_pools("global-max-pooling1d", "GlobalMaxPooling1D", (5,)),
    *_global_pools("global-average-pooling3d", "GlobalAveragePooling3D", (3, 2, 4)),
    *_global_pools("global-max-pooling3d", "GlobalMaxPooling3D", (3, 2, 4)),
    row("global-average-pooling1d-mask", "GlobalAveragePooling1D", {}, (4, 6, 2), mask="holes"),
    row("global-average-pooling1d-mask-keepdims", "GlobalAveragePooling1D", {"keepdims": True}, (4, 6, 2), mask="right"),
    stack("stack-embedding-global-average-pooling1d",
           (("Embedding", {"input_dim": 5, "output_dim": 3, "mask_zero": True}), ("GlobalAveragePooling1D", {}),
            ("Dense", {"units": 2})), (2, 4), input_dtype="int32", x_values=(1, 2, 0, 0, 3, 0, 4, 1)),
    *(
        case
        for kind in ("average", "max")
        for n in (1, 2, 3)
        for case in _adaptive_pools(f"adaptive-{kind}-pooling{n}d", f"Adaptive{kind.capitalize()}Pooling{n}D", n)
    ),
    *(
        row(f"alias-{alias.lower()}-{n}d", f"{alias}{n}D", kwargs, (2, *(4, 3, 4)[:n], 2))
        for alias, kwargs in (("MaxPool", {}), ("AvgPool", {"pool_size": 2}), ("GlobalMaxPool", {}), ("GlobalAvgPool", {}))
        for n in (1, 2, 3)
    ),
)  # fmt: skip
