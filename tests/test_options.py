"""Options that make no sense, alone or together, are refused when the layer is made, naming the layer."""

from __future__ import annotations

import pytest

from lamella import layers

# Keras 3.15.1 refuses these in the constructor, too
ROWS = [
    ("Conv1D", {"filters": 2, "kernel_size": 3, "strides": 2, "dilation_rate": 2}),
    ("Conv2D", {"filters": 2, "kernel_size": 3, "strides": 2, "dilation_rate": 2}),
    ("Conv2D", {"filters": 2, "kernel_size": 3, "strides": (2, 1), "dilation_rate": (1, 2)}),
    ("Conv3D", {"filters": 2, "kernel_size": 3, "strides": 2, "dilation_rate": 2}),
    ("Conv2D", {"filters": 3, "kernel_size": 3, "groups": 2}),
    ("Conv2D", {"filters": 2, "kernel_size": 3, "padding": "causal"}),
    ("Conv2D", {"filters": 0, "kernel_size": 3}),
    ("Conv2D", {"filters": 2, "kernel_size": 0}),
    ("Conv2D", {"filters": 2, "kernel_size": 3, "strides": 0}),
    ("Conv2D", {"filters": 2, "kernel_size": 3, "groups": 0}),
    ("DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 0}),
    ("DepthwiseConv2D", {"kernel_size": 3, "padding": "causal"}),
    ("SeparableConv2D", {"filters": 2, "kernel_size": 3, "depth_multiplier": 0}),
    ("SeparableConv2D", {"filters": 2, "kernel_size": 3, "padding": "causal"}),
    ("Conv1DTranspose", {"filters": 2, "kernel_size": 3, "strides": 2, "dilation_rate": 2}),
    ("Conv2DTranspose", {"filters": 2, "kernel_size": 3, "strides": 2, "dilation_rate": 2}),
    ("Conv2DTranspose", {"filters": 2, "kernel_size": 3, "strides": 2, "output_padding": 2}),
    ("Conv2DTranspose", {"filters": 2, "kernel_size": 3, "strides": 1, "output_padding": 1}),
    ("Conv2DTranspose", {"filters": 2, "kernel_size": 3, "padding": "causal"}),
    ("Conv3DTranspose", {"filters": 2, "kernel_size": 3, "strides": 2, "dilation_rate": 2}),
    ("MaxPooling2D", {"pool_size": 0}),
    ("LSTM", {"units": 0}),
    ("GRU", {"units": -1}),
    ("SimpleRNN", {"units": 0}),
    ("ConvLSTM2D", {"filters": 2, "kernel_size": 3, "strides": 2, "dilation_rate": 2}),
    ("ConvLSTM1D", {"filters": 2, "kernel_size": 3, "strides": 2, "dilation_rate": 2}),
    ("ConvLSTM2D", {"filters": 2, "kernel_size": 3, "padding": "causal"}),
    ("UpSampling2D", {"size": (2, 2, 2)}),
    ("RepeatVector", {"n": 1.5}),
    ("Permute", {"dims": (0, 1)}),
    ("Permute", {"dims": (1, 3)}),
    ("ZeroPadding2D", {"padding": (1, 2, 3)}),
    ("Cropping2D", {"cropping": -1}),
    ("Cropping1D", {"cropping": (1, 2, 3)}),
    ("Dropout", {"rate": 1.5}),
    ("Dropout", {"rate": -0.1}),
    ("GaussianNoise", {"stddev": -1}),
    ("GaussianDropout", {"rate": 1.2}),
    ("AlphaDropout", {"rate": -1}),
    ("ReLU", {"max_value": -1}),
    ("ReLU", {"negative_slope": -1}),
    ("ReLU", {"threshold": -1}),
    ("LeakyReLU", {"negative_slope": None}),
    ("MultiHeadAttention", {"num_heads": 0, "key_dim": 2}),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 0}),
    ("GroupQueryAttention", {"head_dim": 2, "num_query_heads": 3, "num_key_value_heads": 2}),
    ("Attention", {"score_mode": "x"}),
    ("CategoryEncoding", {"num_tokens": 4, "output_mode": "x"}),
    ("CategoryEncoding", {"output_mode": "one_hot"}),
    ("Discretization", {}),
    ("Discretization", {"bin_boundaries": [0.0], "num_bins": 3}),
    ("Discretization", {"num_bins": -1}),
    ("Normalization", {"mean": 1.0}),
    ("BatchNormalization", {"synchronized": True}),
    ("GroupNormalization", {"groups": 0}),
    ("UnitNormalization", {"axis": "x"}),
    ("SpectralNormalization", {"power_iterations": 0}),
    ("Embedding", {"input_dim": 0, "output_dim": 2}),
    ("Dense", {"units": 0}),
    ("Dense", {"units": -3}),
    ("LayerNormalization", {"axis": "x"}),
    ("BatchNormalization", {"axis": "x"}),
    ("Conv2D", {"filters": 2, "kernel_size": 3, "data_format": "x"}),
    ("Conv2D", {"filters": 2, "kernel_size": (3, 3, 3)}),
    ("Conv2D", {"filters": 2, "kernel_size": 3, "padding": "x"}),
    # Keras finds these later, or never
    ("MaxPooling2D", {"padding": "causal"}),
    ("AveragePooling1D", {"pool_size": 2, "strides": 0}),
    ("UpSampling2D", {"interpolation": "cubic"}),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 2, "dropout": 1.5}),
    ("Attention", {"dropout": 1.5}),
    ("Resizing", {"height": 2, "width": 2, "crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}),
    ("EinsumDense", {"equation": "ab,bc", "output_shape": 3}),
    ("Bidirectional", {"merge_mode": "product"}),
    ("RandomZoom", {"height_factor": -1.0}),
    ("RandomFlip", {"mode": "none"}),
]
WRAPPERS = {"SpectralNormalization": lambda: layers.Dense(2), "Bidirectional": lambda: layers.LSTM(2)}


@pytest.mark.parametrize("name, options", ROWS, ids=lambda v: v if isinstance(v, str) else "-".join(map(str, v)))
def test_options_that_make_no_sense_are_refused_when_the_layer_is_made(name, options):
    wrapped = [WRAPPERS[name]()] if name in WRAPPERS else []
    with pytest.raises((ValueError, TypeError), match=name):
        getattr(layers, name)(*wrapped, **options)


@pytest.mark.parametrize(
    "name, options",
    [
        ("Conv1D", {"padding": "causal", "data_format": "channels_first"}),
        ("Conv2D", {"strides": (2, 1), "dilation_rate": 1}),
        ("Conv2DTranspose", {"strides": 2, "output_padding": 1}),
        ("ConvLSTM1D", {"strides": 2, "padding": "same"}),
    ],
)
def test_options_that_go_together_are_taken(name, options):
    getattr(layers, name)(filters=2, kernel_size=3, **options)
