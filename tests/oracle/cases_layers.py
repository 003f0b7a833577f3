"""Layers and their options."""

from __future__ import annotations

from typing import Any

from .rows import ELEMENTWISE, EXACT, LayerCase

ACTIVATION_NAMES = (
    "linear", "relu", "sigmoid", "tanh", "softmax", "softplus", "softsign", "elu", "selu", "gelu", "silu",
    "exponential", "hard_sigmoid", "leaky_relu", "relu6", "log_softmax", "mish",
)  # fmt: skip


def _row(id: str, name: str, layer_kwargs: dict[str, Any], input_shape: tuple[int, ...], **fields: Any) -> LayerCase:
    return LayerCase(id, ((name, layer_kwargs),), input_shape, **fields)


def _exact(id: str, name: str, layer_kwargs: dict[str, Any], input_shape: tuple[int, ...], *values: float) -> LayerCase:
    return _row(id, name, layer_kwargs, input_shape, x_values=values, tolerance=1e-7, reason=EXACT)


DENSE = (
    *(_row(f"dense-{name}", "Dense", {"units": 4, "activation": name}, (5, 3)) for name in ACTIVATION_NAMES),
    _row("dense-no-bias", "Dense", {"units": 4, "use_bias": False}, (5, 3)),
    _row("dense-one-unit", "Dense", {"units": 1}, (5, 3)),
    _row("dense-rank-3", "Dense", {"units": 4, "activation": "tanh"}, (2, 5, 3)),
    _row("dense-rank-3-no-bias", "Dense", {"units": 2, "use_bias": False, "activation": "relu"}, (2, 5, 3)),
    _row("dense-rank-4", "Dense", {"units": 4}, (2, 3, 2, 3)),
    _row("dense-int32-input", "Dense", {"units": 4}, (5, 3), input_dtype="int32"),
)

ACTIVATION = (
    *(
        _row(f"activation-{name}", "Activation", {"activation": name}, (4, 6), tolerance=2e-6, reason=ELEMENTWISE)
        for name in ACTIVATION_NAMES
    ),
    _row("activation-softmax-rank-3", "Activation", {"activation": "softmax"}, (2, 4, 3)),
)

CONV2D = (
    _row("conv2d-3x3", "Conv2D", {"filters": 4, "kernel_size": 3}, (2, 6, 6, 3)),
    _row("conv2d-1x1", "Conv2D", {"filters": 4, "kernel_size": 1}, (2, 5, 4, 3)),
    _row("conv2d-2x2", "Conv2D", {"filters": 4, "kernel_size": 2}, (2, 5, 5, 3)),
    _row("conv2d-4x4-same", "Conv2D", {"filters": 2, "kernel_size": 4, "padding": "same"}, (2, 6, 5, 2)),
    _row("conv2d-2x2-same", "Conv2D", {"filters": 4, "kernel_size": 2, "padding": "same"}, (2, 5, 4, 2)),
    _row("conv2d-same", "Conv2D", {"filters": 4, "kernel_size": 3, "padding": "same"}, (2, 5, 6, 3)),
    _row("conv2d-rectangular", "Conv2D", {"filters": 3, "kernel_size": (1, 3)}, (2, 4, 7, 2)),
    _row("conv2d-3x2-same", "Conv2D", {"filters": 3, "kernel_size": (3, 2), "padding": "same"}, (2, 4, 7, 2)),
    _row("conv2d-strides-2", "Conv2D", {"filters": 3, "kernel_size": 3, "strides": 2}, (2, 7, 8, 2)),
    _row("conv2d-strides-2-same-odd", "Conv2D",
         {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}, (2, 5, 7, 2)),
    _row("conv2d-strides-2-same-even", "Conv2D",
         {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}, (2, 4, 6, 2)),
    _row("conv2d-strides-2x1-same", "Conv2D",
         {"filters": 3, "kernel_size": (2, 3), "strides": (2, 1), "padding": "same"}, (2, 5, 4, 2)),
    _row("conv2d-strides-over-kernel", "Conv2D", {"filters": 3, "kernel_size": 2, "strides": 3}, (2, 8, 7, 2)),
    _row("conv2d-dilation-2", "Conv2D", {"filters": 3, "kernel_size": 3, "dilation_rate": 2}, (2, 7, 8, 2)),
    _row("conv2d-dilation-2-same", "Conv2D",
         {"filters": 3, "kernel_size": 3, "dilation_rate": 2, "padding": "same"}, (2, 6, 5, 2)),
    _row("conv2d-dilation-2x3-same", "Conv2D",
         {"filters": 2, "kernel_size": 2, "dilation_rate": (2, 3), "padding": "same"}, (2, 6, 7, 2)),
    _row("conv2d-groups-2", "Conv2D", {"filters": 4, "kernel_size": 3, "groups": 2}, (2, 5, 5, 4)),
    _row("conv2d-groups-3-same", "Conv2D",
         {"filters": 6, "kernel_size": 2, "groups": 3, "padding": "same", "strides": 2}, (2, 5, 4, 3)),
    _row("conv2d-no-bias", "Conv2D", {"filters": 4, "kernel_size": 3, "use_bias": False}, (2, 5, 5, 2)),
    _row("conv2d-relu", "Conv2D", {"filters": 4, "kernel_size": 3, "activation": "relu"}, (2, 5, 5, 2)),
    _row("conv2d-softmax", "Conv2D", {"filters": 3, "kernel_size": 2, "activation": "softmax"}, (2, 4, 4, 2)),
    _row("conv2d-channels-first", "Conv2D",
         {"filters": 4, "kernel_size": 3, "data_format": "channels_first"}, (2, 3, 5, 6)),
    _row("conv2d-channels-first-same-strides", "Conv2D",
         {"filters": 4, "kernel_size": (3, 2), "strides": 2, "padding": "same", "data_format": "channels_first"},
         (2, 2, 5, 6)),
    _row("conv2d-channels-first-groups", "Conv2D",
         {"filters": 4, "kernel_size": 2, "groups": 2, "data_format": "channels_first", "activation": "tanh"},
         (2, 4, 4, 5)),
)  # fmt: skip

# Keras gives AveragePooling2D no default pool_size, so only MaxPooling2D has a default row.
POOLING = (
    _row("max-pooling2d-default", "MaxPooling2D", {}, (2, 6, 5, 3)),
    *(
        _row(f"{prefix}-{id}", name, kwargs, shape)
        for prefix, name in (("max-pooling2d", "MaxPooling2D"), ("average-pooling2d", "AveragePooling2D"))
        for id, kwargs, shape in (
            ("2", {"pool_size": 2}, (2, 6, 5, 3)),
            ("3x2", {"pool_size": (3, 2)}, (2, 7, 6, 2)),
            ("overlapping", {"pool_size": 3, "strides": 1}, (2, 5, 6, 2)),
            ("overlapping-strides-2", {"pool_size": (3, 3), "strides": (2, 2)}, (2, 7, 8, 2)),
            ("gaps", {"pool_size": 2, "strides": 3}, (2, 8, 7, 2)),
            ("same", {"pool_size": 2, "padding": "same"}, (2, 5, 7, 2)),
            ("same-overlapping", {"pool_size": 3, "strides": 2, "padding": "same"}, (2, 6, 5, 2)),
            ("same-strides-1", {"pool_size": 2, "strides": 1, "padding": "same"}, (2, 4, 5, 2)),
            ("channels-first", {"pool_size": 2, "data_format": "channels_first"}, (2, 3, 5, 6)),
            ("channels-first-same",
             {"pool_size": 3, "strides": 2, "padding": "same", "data_format": "channels_first"}, (2, 2, 5, 4)),
        )
    ),
)  # fmt: skip

GLOBAL_POOLING = tuple(
    _row(f"{prefix}-{id}", name, kwargs, shape)
    for prefix, name in (
        ("global-average-pooling2d", "GlobalAveragePooling2D"),
        ("global-max-pooling2d", "GlobalMaxPooling2D"),
    )
    for id, kwargs, shape in (
        ("default", {}, (2, 4, 5, 3)),
        ("keepdims", {"keepdims": True}, (2, 4, 5, 3)),
        ("channels-first", {"data_format": "channels_first"}, (2, 3, 4, 5)),
        ("channels-first-keepdims", {"data_format": "channels_first", "keepdims": True}, (2, 3, 4, 5)),
    )
)

SHAPING = (
    _row("flatten", "Flatten", {}, (2, 3, 4, 2)),
    _row("flatten-rank-2", "Flatten", {}, (3, 4)),
    _row("flatten-channels-first", "Flatten", {"data_format": "channels_first"}, (2, 3, 4, 2)),
    _row("flatten-int32", "Flatten", {}, (2, 3, 2), input_dtype="int32"),
    _row("reshape", "Reshape", {"target_shape": (4, 3)}, (2, 12)),
    _row("reshape-unknown-last", "Reshape", {"target_shape": (2, -1)}, (2, 3, 4)),
    _row("reshape-unknown-first", "Reshape", {"target_shape": (-1, 2, 2)}, (2, 12)),
    _row("reshape-to-one-axis", "Reshape", {"target_shape": (-1,)}, (2, 3, 2, 2)),
    _row("reshape-int32", "Reshape", {"target_shape": (3, 2)}, (2, 6), input_dtype="int32"),
    _row("dropout", "Dropout", {"rate": 0.4}, (4, 5), training="random"),
    _row("dropout-noise-shape", "Dropout", {"rate": 0.4, "noise_shape": (4, 1, 3)}, (4, 5, 3), training="random"),
    _row("dropout-rate-0", "Dropout", {"rate": 0.0}, (4, 5)),
)

BATCH_NORMALIZATION = tuple(
    _row(f"batch-normalization-{id}", "BatchNormalization", kwargs, shape, training="differs")
    for id, kwargs, shape in (
        ("rank-2", {}, (8, 4)),
        ("rank-3", {}, (4, 5, 3)),
        ("rank-4", {}, (3, 4, 5, 2)),
        ("rank-4-axis-1", {"axis": 1}, (3, 2, 4, 5)),
        ("rank-3-axis-1", {"axis": 1}, (4, 3, 5)),
        ("no-center", {"center": False}, (8, 4)),
        ("no-scale", {"scale": False}, (8, 4)),
        ("no-center-no-scale", {"center": False, "scale": False}, (3, 4, 4, 2)),
        ("momentum", {"momentum": 0.7}, (8, 4)),
        ("epsilon", {"epsilon": 0.1}, (8, 4)),
        ("axis-1-options", {"axis": 1, "momentum": 0.5, "epsilon": 1e-5, "scale": False}, (3, 2, 4, 3)),
    )
)

RELU_SOFTMAX = (
    _row("relu", "ReLU", {}, (4, 6)),
    _row("relu-max-value", "ReLU", {"max_value": 0.8}, (4, 6)),
    _row("relu-max-value-6", "ReLU", {"max_value": 6.0}, (4, 6)),
    _row("relu-negative-slope", "ReLU", {"negative_slope": 0.2}, (4, 6)),
    _row("relu-threshold", "ReLU", {"threshold": 0.5}, (4, 6)),
    _row("relu-threshold-negative-slope", "ReLU", {"threshold": 0.5, "negative_slope": 0.3}, (4, 6)),
    _row("relu-all", "ReLU", {"max_value": 1.2, "negative_slope": 0.1, "threshold": 0.4}, (4, 6)),
    _row("softmax", "Softmax", {}, (4, 5)),
    _row("softmax-axis-1", "Softmax", {"axis": 1}, (2, 4, 3)),
    _row("softmax-axis-minus-2", "Softmax", {"axis": -2}, (2, 3, 4, 2)),
)

LSTM = (
    _row("lstm", "LSTM", {"units": 4}, (3, 5, 2)),
    _row("lstm-return-sequences", "LSTM", {"units": 4, "return_sequences": True}, (3, 5, 2)),
    _row("lstm-three-steps", "LSTM", {"units": 2}, (2, 3, 3)),
    _row("lstm-twelve-steps", "LSTM", {"units": 3, "return_sequences": True}, (2, 12, 2)),
    _row("lstm-go-backwards", "LSTM", {"units": 4, "go_backwards": True}, (3, 5, 2)),
    _row("lstm-go-backwards-sequences", "LSTM",
         {"units": 3, "go_backwards": True, "return_sequences": True}, (3, 5, 2)),
    _row("lstm-no-bias", "LSTM", {"units": 4, "use_bias": False}, (3, 5, 2)),
    _row("lstm-no-unit-forget-bias", "LSTM", {"units": 4, "unit_forget_bias": False}, (3, 5, 2)),
    _row("lstm-hard-sigmoid", "LSTM",
         {"units": 4, "recurrent_activation": "hard_sigmoid", "return_sequences": True}, (3, 6, 2)),
    _row("lstm-relu", "LSTM", {"units": 4, "activation": "relu"}, (3, 5, 2)),
    _row("lstm-mask-right", "LSTM", {"units": 3}, (4, 6, 2), mask="right"),
    _row("lstm-mask-right-sequences", "LSTM", {"units": 3, "return_sequences": True}, (4, 6, 2), mask="right"),
    _row("lstm-mask-left-sequences", "LSTM", {"units": 3, "return_sequences": True}, (4, 6, 2), mask="left"),
    _row("lstm-mask-holes", "LSTM", {"units": 3}, (4, 7, 2), mask="holes"),
    _row("lstm-mask-holes-sequences", "LSTM", {"units": 3, "return_sequences": True}, (4, 7, 2), mask="holes"),
    _row("lstm-mask-row-sequences", "LSTM", {"units": 3, "return_sequences": True}, (4, 5, 2), mask="row"),
    _row("lstm-mask-holes-backwards", "LSTM",
         {"units": 3, "go_backwards": True, "return_sequences": True}, (4, 7, 2), mask="holes"),
    _row("lstm-mask-right-backwards", "LSTM", {"units": 3, "go_backwards": True}, (4, 6, 2), mask="right"),
)  # fmt: skip

STACKS = (
    LayerCase("stack-masking-lstm", (("Masking", {}), ("LSTM", {"units": 3})), (4, 6, 2), mask="right", mask_value=0.0),
    LayerCase("stack-masking-value-lstm",
              (("Masking", {"mask_value": -1.0}), ("LSTM", {"units": 3, "return_sequences": True})),
              (4, 7, 2), mask="holes", mask_value=-1.0),
    LayerCase("stack-masking-lstm-lstm-dense",
              (("Masking", {}), ("LSTM", {"units": 3, "return_sequences": True}), ("LSTM", {"units": 2}),
               ("Dense", {"units": 3, "activation": "softmax"})),
              (4, 6, 2), mask="holes", mask_value=0.0),
    LayerCase("stack-masking-dropout-lstm",
              (("Masking", {}), ("Dropout", {"rate": 0.5}), ("LSTM", {"units": 3})),
              (4, 6, 2), training="random", mask="right", mask_value=0.0),
    LayerCase("stack-masking", (("Masking", {}),), (3, 4, 2), mask="holes", mask_value=0.0),
    # No bias before batch normalization: its gradient is zero, and what is left of it is rounding noise.
    LayerCase("stack-dense-batch-normalization-relu",
              (("Dense", {"units": 5, "use_bias": False}), ("BatchNormalization", {}), ("ReLU", {}), ("Dense", {"units": 2})),
              (6, 3), training="differs"),
    LayerCase("stack-conv2d-max-pooling2d-flatten-dense",
              (("Conv2D", {"filters": 3, "kernel_size": 3, "activation": "relu"}), ("MaxPooling2D", {}),
               ("Flatten", {}), ("Dense", {"units": 3, "activation": "softmax"})),
              (2, 6, 6, 2)),
)  # fmt: skip

# Kinks and ties are part of an op's meaning; random points never hit one.
KINKS = (
    _exact("kink-relu", "ReLU", {}, (1, 3), -1.0, 0.0, 1.0),
    _exact("kink-relu-max-value", "ReLU", {"max_value": 4.0}, (1, 5), -1.0, 0.0, 2.0, 4.0, 5.0),
    _exact("kink-relu-max-value-6", "ReLU", {"max_value": 6.0}, (1, 5), -1.0, 0.0, 2.0, 6.0, 7.0),
    _exact("kink-relu-negative-slope", "ReLU", {"negative_slope": 0.25}, (1, 3), -1.0, 0.0, 1.0),
    _exact("kink-relu-threshold", "ReLU", {"threshold": 1.0}, (1, 4), 0.0, 0.5, 1.0, 2.0),
    _exact("kink-relu-threshold-negative-slope", "ReLU",
           {"threshold": 1.0, "negative_slope": 0.25}, (1, 4), 0.0, 0.5, 1.0, 2.0),
    _exact("kink-max-pooling2d-tie", "MaxPooling2D", {}, (1, 2, 4, 1), 1.0, 1.0, 0.0, 2.0, 1.0, 1.0, 2.0, 2.0),
    _exact("kink-max-pooling2d-overlapping-tie", "MaxPooling2D", {"pool_size": 2, "strides": 1, "padding": "same"},
           (1, 3, 3, 1), 1.0, 2.0, 2.0, 2.0, 2.0, 1.0, 0.0, 2.0, 2.0),
    _exact("kink-global-max-pooling2d-tie", "GlobalMaxPooling2D", {}, (1, 2, 2, 2),
           3.0, 1.0, 3.0, 0.0, 2.0, 1.0, 3.0, 1.0),
)  # fmt: skip

LAYERS: tuple[LayerCase, ...] = (
    *DENSE,
    *ACTIVATION,
    *CONV2D,
    *POOLING,
    *GLOBAL_POOLING,
    *SHAPING,
    *BATCH_NORMALIZATION,
    *RELU_SOFTMAX,
    *LSTM,
    *STACKS,
    *KINKS,
)
