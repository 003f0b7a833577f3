"""Rows of models whose input has free dimensions: each family of layers that allows one."""

from __future__ import annotations

from typing import Any

from .rows import Constructor, FreeCase, Kwargs

FIRST: Kwargs = {"data_format": "channels_first"}


def _dense(units: int = 3) -> Constructor:
    return "Dense", {"units": units, "activation": "tanh"}


def _row(id: str, shape: tuple[int | None, ...], sizes: Any, *layers: Constructor, **fields: Any) -> FreeCase:
    return FreeCase(id, layers, shape, sizes, **fields)


def _words(id: str, *layers: Constructor, mask: bool = True, **fields: Any) -> FreeCase:
    """A model of integers, padded with zeros, of 5 and 9 steps; it begins with an Embedding."""
    embedding = ("Embedding", {"input_dim": 7, "output_dim": 3, "mask_zero": mask})
    return _row(id, (None,), ((5,), (9,)), embedding, *layers, input_dtype="int32", padded=True, **fields)


def _steps(id: str, *layers: Constructor, width: int = 2, sizes: Any = ((5,), (8,)), **fields: Any) -> FreeCase:
    """A model of sequences of two features."""
    return _row(id, (None, width), sizes, *layers, **fields)


def _image(id: str, *layers: Constructor, channels: int = 3, sizes: Any = ((6, 7), (9, 5)), **fields: Any) -> FreeCase:
    """A model of images of free height and width."""
    return _row(id, (None, None, channels), sizes, *layers, **fields)


def _volume(id: str, *layers: Constructor, sizes: Any = ((4, 5, 4), (6, 4, 5)), **fields: Any) -> FreeCase:
    """A model of volumes of one channel."""
    return _row(id, (None, None, None, 1), sizes, *layers, **fields)


SEQUENCES: Kwargs = {"return_sequences": True}
LSTM: Constructor = ("LSTM", {"units": 3})
MASKING: Constructor = ("Masking", {})
ONE: Constructor = ("Dense", {"units": 1})
TWO: Constructor = ("Dense", {"units": 2})
MEAN1: Constructor = ("GlobalAveragePooling1D", {})
MEAN2: Constructor = ("GlobalAveragePooling2D", {})
MEAN3: Constructor = ("GlobalAveragePooling3D", {})


def _conv(rank: int, **options: Any) -> Constructor:
    return f"Conv{rank}D", {"filters": 2, "kernel_size": 2, "activation": "tanh", **options}


RECURRENT = (
    _words("embedding-mask-lstm", LSTM, ONE),
    _words("embedding-mask-gru-sequences", ("GRU", {"units": 3, **SEQUENCES}), TWO),
    _words("embedding-mask-bidirectional", ("Bidirectional", {"layer": LSTM}), ONE),
    _steps("lstm", LSTM, TWO),
    _steps("lstm-backwards-sequences", ("LSTM", {"units": 3, "go_backwards": True, **SEQUENCES}), TWO),
    _steps("gru-gru", ("GRU", {"units": 3, **SEQUENCES}), ("GRU", {"units": 2, "reset_after": False})),
    _steps("simple-rnn", ("SimpleRNN", {"units": 3}), TWO),
    _steps("masking-lstm", MASKING, LSTM, TWO, padded=True),
    _steps("masking-simple-rnn-zeros", MASKING,
           ("SimpleRNN", {"units": 3, "zero_output_for_mask": True, **SEQUENCES}), TWO, padded=True),
    _steps("rnn-cells", ("RNN", {"cell": [("LSTMCell", {"units": 2}), ("GRUCell", {"units": 3})]}), TWO),
    _steps("rnn-stacked-cells",
           ("RNN", {"cell": ("StackedRNNCells", {"cells": [("SimpleRNNCell", {"units": 2}), ("LSTMCell", {"units": 2})]}),
                    **SEQUENCES}), TWO),
    *(
        _steps(f"bidirectional-{mode}", ("Bidirectional", {"layer": layer, "merge_mode": mode}), TWO)
        for mode, layer in (("concat", ("GRU", {"units": 2})), ("sum", LSTM), ("mul", ("SimpleRNN", {"units": 3})),
                            ("ave", ("RNN", {"cell": ("GRUCell", {"units": 2})})))
    ),
    *(
        _steps(f"bidirectional-{mode}-sequences-mask", MASKING,
               ("Bidirectional", {"layer": ("LSTM", {"units": 2, **SEQUENCES}), "merge_mode": mode}), TWO, padded=True)
        for mode in ("concat", "sum", "mul", "ave")
    ),
    _row("conv-lstm1d", (None, 4, 2), ((3,), (5,)), ("ConvLSTM1D", {"filters": 2, "kernel_size": 2}), MEAN1, ONE),
    _row("conv-lstm2d-sequences", (None, 4, 3, 1), ((2,), (4,)),
         ("ConvLSTM2D", {"filters": 2, "kernel_size": 2, **SEQUENCES}), MEAN3, ONE),
    _row("conv-lstm3d", (None, 2, 3, 2, 1), ((2,), (3,)), ("ConvLSTM3D", {"filters": 1, "kernel_size": 2}), MEAN3, ONE),
    _steps("time-distributed-dense", ("TimeDistributed", {"layer": _dense()}), LSTM),
    _steps("time-distributed-mask", MASKING, ("TimeDistributed", {"layer": _dense()}), LSTM, padded=True),
    _row("time-distributed-lstm", (None, 4, 2), ((3,), (5,)), ("TimeDistributed", {"layer": ("LSTM", {"units": 2})}), LSTM),
    _row("time-distributed-conv2d", (None, 4, 4, 1), ((3,), (5,)), ("TimeDistributed", {"layer": _conv(2)}), MEAN3, ONE),
    _row("time-distributed-free-images", (None, None, None, 2), ((3, 4, 5), (2, 6, 4)),
         ("TimeDistributed", {"layer": _conv(2)}), ("TimeDistributed", {"layer": MEAN2}), LSTM),
)  # fmt: skip

WINDOWS = (
    _steps("conv1d-valid", _conv(1, kernel_size=3), ("GlobalMaxPooling1D", {}), ONE),
    _steps("conv1d-same-strides", _conv(1, kernel_size=3, strides=2, padding="same"), TWO),
    _steps("conv1d-valid-strides", _conv(1, strides=3), TWO),
    _steps("conv1d-causal-dilation", _conv(1, padding="causal", dilation_rate=2), TWO),
    _row("conv1d-channels-first", (2, None), ((5,), (8,)), _conv(1, padding="same", **FIRST),
         ("GlobalAveragePooling1D", FIRST), ONE),
    _words("conv1d-words", _conv(1, kernel_size=3), ("GlobalMaxPooling1D", {}), ONE, mask=False),
    _image("conv2d-valid", _conv(2, kernel_size=3), MEAN2, TWO),
    _image("conv2d-same-strides", _conv(2, kernel_size=3, strides=2, padding="same"), TWO),
    _image("conv2d-dilation", _conv(2, dilation_rate=(2, 1), padding="same"), ONE),
    _image("conv2d-groups", _conv(2, filters=4, groups=2), MEAN2, channels=2),
    _image("conv2d-two-strides", _conv(2, strides=2, padding="same"), _conv(2, strides=(1, 2)), MEAN2),
    _volume("conv3d-same", _conv(3, padding="same"), MEAN3, ONE),
    _volume("conv3d-strides", _conv(3, strides=2), _conv(3, kernel_size=1)),
    _steps("depthwise-conv1d", ("DepthwiseConv1D", {"kernel_size": 3, "depth_multiplier": 2}), TWO),
    _image("depthwise-conv2d", ("DepthwiseConv2D", {"kernel_size": 3, "padding": "same", "strides": 2}), MEAN2, ONE),
    _steps("separable-conv1d", ("SeparableConv1D", {"filters": 3, "kernel_size": 2, "padding": "same"}), MEAN1),
    _image("separable-conv2d", ("SeparableConv2D", {"filters": 2, "kernel_size": 3}), MEAN2),
    _steps("conv1d-transpose", ("Conv1DTranspose", {"filters": 2, "kernel_size": 3, "strides": 2}), TWO),
    _image("conv2d-transpose-same", ("Conv2DTranspose", {"filters": 2, "kernel_size": 3, "strides": 2, "padding": "same"}),
           ONE),
    _volume("conv3d-transpose", ("Conv3DTranspose", {"filters": 2, "kernel_size": 2}), MEAN3, ONE),
    _steps("max-pooling1d", _dense(), ("MaxPooling1D", {}), TWO),
    _steps("average-pooling1d-same", _dense(), ("AveragePooling1D", {"pool_size": 3, "strides": 2, "padding": "same"}), TWO),
    _image("max-pooling2d-same", _conv(2), ("MaxPooling2D", {"padding": "same"}), _conv(2), MEAN2),
    _image("average-pooling2d", _conv(2), ("AveragePooling2D", {"pool_size": (2, 3), "strides": 1}), TWO),
    _volume("max-pooling3d", _dense(2), ("MaxPooling3D", {}), ONE),
    _volume("average-pooling3d-same", _dense(2), ("AveragePooling3D", {"pool_size": 2, "padding": "same"}), ONE),
    _words("global-average-pooling1d-mask", _dense(), MEAN1, ONE),
    _steps("global-max-pooling1d-keepdims", _dense(), ("GlobalMaxPooling1D", {"keepdims": True}), ONE),
    _image("global-average-pooling2d", _dense(), MEAN2, ONE),
    _image("global-max-pooling2d", _dense(), ("GlobalMaxPooling2D", {}), ONE),
    _volume("global-average-pooling3d", _dense(2), MEAN3, ONE),
    _volume("global-max-pooling3d", _dense(2), ("GlobalMaxPooling3D", {}), ONE),
    _steps("adaptive-average-pooling1d", _dense(), ("AdaptiveAveragePooling1D", {"output_size": 3}), ("Flatten", {}), ONE),
    _image("adaptive-max-pooling2d", _dense(), ("AdaptiveMaxPooling2D", {"output_size": (2, 3)}), ("Flatten", {}), ONE),
    _image("adaptive-average-pooling2d", _dense(), ("AdaptiveAveragePooling2D", {"output_size": 4}), ("Flatten", {}), ONE),
    _volume("adaptive-average-pooling3d", _dense(2), ("AdaptiveAveragePooling3D", {"output_size": 2}), ("Flatten", {}), ONE),
)  # fmt: skip

RESHAPING = (
    _steps("up-sampling1d", _dense(), ("UpSampling1D", {"size": 3}), TWO),
    _image("up-sampling2d-nearest", _conv(2), ("UpSampling2D", {"size": (2, 3)}), ONE),
    _image("up-sampling2d-bilinear", _conv(2), ("UpSampling2D", {"interpolation": "bilinear"}), ONE),
    _volume("up-sampling3d", _conv(3), ("UpSampling3D", {}), ONE),
    _steps("zero-padding1d", _dense(), ("ZeroPadding1D", {"padding": (1, 2)}), _conv(1, kernel_size=3)),
    _image("zero-padding2d", _dense(), ("ZeroPadding2D", {"padding": ((1, 0), (2, 1))}), _conv(2)),
    _volume("zero-padding3d", _dense(1), ("ZeroPadding3D", {}), _conv(3, filters=1)),
    _steps("cropping1d", _dense(), ("Cropping1D", {"cropping": (1, 2)}), TWO),
    _image("cropping2d", _dense(), ("Cropping2D", {"cropping": ((1, 0), (2, 1))}), MEAN2, ONE),
    _volume("cropping3d", _dense(2), ("Cropping3D", {}), ONE),
    _steps("permute", _dense(), ("Permute", {"dims": (2, 1)}), ("Softmax", {}), ("Permute", {"dims": (2, 1)}), TWO),
    _image("permute-images", _dense(), ("Permute", {"dims": (2, 1, 3)}), _conv(2), ONE),
    _steps("reshape", ("Reshape", {"target_shape": (-1, 2)}), _dense(), LSTM, width=4),
    _image("reshape-images", _dense(4), ("Reshape", {"target_shape": (-1, 4)}), MEAN1, ONE),
    _image("resizing-bilinear", _dense(2), ("Resizing", {"height": 4, "width": 5}), ("Flatten", {}), ONE),
    _image("resizing-nearest", _dense(2), ("Resizing", {"height": 7, "width": 3, "interpolation": "nearest"}), MEAN2, ONE),
    _image("resizing-crop", _dense(2), ("Resizing", {"height": 4, "width": 4, "crop_to_aspect_ratio": True}),
           ("Flatten", {}), ONE),
    _image("center-crop", _dense(2), ("CenterCrop", {"height": 4, "width": 3}), ("Flatten", {}), ONE),
    _image("center-crop-resizes", _dense(2), ("CenterCrop", {"height": 8, "width": 6}), ("Flatten", {}), ONE),
)  # fmt: skip

OTHERS = (
    _row("dense", (None, None, 3), ((2, 5), (4, 3)), _dense(), TWO),
    _row("dense-rank-4", (None, 2, None, 3), ((2, 3), (3, 4)), _dense(), TWO),
    _steps("einsum-dense", ("EinsumDense", {"equation": "abc,cd->abd", "output_shape": (None, 4), "bias_axes": "d"}), TWO),
    _steps("einsum-dense-heads", ("EinsumDense", {"equation": "abc,cde->abde", "output_shape": (None, 2, 3)}), MEAN2),
    _words("embedding-mask-dense", _dense(), ONE),
    _steps("masking-dense", MASKING, _dense(), ONE, padded=True),
    _steps("softmax-over-time", _dense(), ("Softmax", {"axis": 1}), ONE),
    _image("softmax-over-space", _dense(), ("Softmax", {"axis": (1, 2)}), ONE),
    _steps("activations", TWO, ("Activation", {"activation": "gelu"}), _dense(), ("ELU", {}), ("LeakyReLU", {}), TWO),
    _image("p-relu-shared-axes", ("PReLU", {"shared_axes": [1, 2]}), _conv(2), MEAN2),
    _steps("merge-add", ("Branches", {"first": _dense(), "second": ("LSTM", {"units": 3, **SEQUENCES}),
                                      "merge": ("Add", {})}), TWO),
    _steps("merge-multiply", ("Branches", {"first": _dense(), "second": _conv(1, filters=3, padding="causal"),
                                           "merge": ("Multiply", {})}), MEAN1),
    _image("merge-concatenate", ("Branches", {"first": _conv(2, padding="same"), "second": _dense(),
                                              "merge": ("Concatenate", {})}), MEAN2, ONE),
    _steps("merge-concatenate-time", ("Branches", {"first": _dense(2), "second": ("MaxPooling1D", {}),
                                                   "merge": ("Concatenate", {"axis": 1})}), LSTM),
    _steps("merge-average-strides", ("Branches", {"first": _conv(1, strides=2, padding="same"),
                                                  "second": _conv(1, kernel_size=3, strides=2, padding="same"),
                                                  "merge": ("Average", {})}), TWO),
    _steps("merge-dot-time", ("Branches", {"first": _dense(), "second": _dense(2), "merge": ("Dot", {"axes": 1})}), ONE),
    _steps("rescaling", ("Rescaling", {"scale": [0.5, 2.0], "offset": 0.1}), _conv(1), TWO),
    _image("normalization-given", ("Normalization", {"mean": [0.1, 0.2, 0.3], "variance": [1.0, 2.0, 0.5]}), _conv(2), MEAN2),
    _row("discretization", (None,), ((5,), (9,)), ("Discretization", {"bin_boundaries": [-0.5, 0.0, 0.5]}),
         ("Embedding", {"input_dim": 4, "output_dim": 3}), MEAN1, ONE),
    _row("category-encoding", (None,), ((5,), (9,)), ("CategoryEncoding", {"num_tokens": 7, "output_mode": "multi_hot"}),
         _dense(), ONE, input_dtype="int32"),
    _steps("batch-normalization", ("BatchNormalization", {}), _conv(1), TWO),
    _image("batch-normalization-images", _conv(2), ("BatchNormalization", {"momentum": 0.8}), ("ReLU", {}), MEAN2, ONE),
    _steps("batch-normalization-mask", MASKING, _dense(), ("BatchNormalization", {}), LSTM, padded=True),
    _steps("layer-normalization", ("LayerNormalization", {}), _dense(), LSTM, width=4),
    _image("group-normalization", _conv(2, filters=4), ("GroupNormalization", {"groups": 2}), MEAN2, ONE),
    _steps("instance-normalization", _dense(4), ("GroupNormalization", {"groups": -1}), LSTM),
    _steps("rms-normalization", ("RMSNormalization", {}), _dense(), ONE, width=4),
    _image("unit-normalization", _dense(), ("UnitNormalization", {}), MEAN2, ONE),
    _steps("attention", _dense(), ("SelfAttention", {"layer": ("Attention", {"use_scale": True}), "as_list": True}), TWO),
    _words("attention-mask-causal",
           ("SelfAttention", {"layer": ("Attention", {}), "as_list": True, "causal": True}), TWO),
    _steps("additive-attention", _dense(),
           ("SelfAttention", {"layer": ("AdditiveAttention", {}), "as_list": True, "causal": True}), TWO),
    _steps("multi-head-attention", ("SelfAttention", {"layer": ("MultiHeadAttention", {"num_heads": 2, "key_dim": 2})}), TWO),
    _words("multi-head-attention-mask-causal",
           ("SelfAttention", {"layer": ("MultiHeadAttention", {"num_heads": 2, "key_dim": 2}), "causal": True}), TWO),
    _words("group-query-attention-mask", ("SelfAttention", {
        "layer": ("GroupQueryAttention", {"head_dim": 2, "num_query_heads": 4, "num_key_value_heads": 2})}), TWO),
    _steps("group-query-attention-causal", ("SelfAttention", {
        "layer": ("GroupQueryAttention", {"head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 1}),
        "causal": True}), TWO),
    _row("multi-head-attention-images", (None, None, 4), ((2, 3), (3, 2)),
         ("SelfAttention", {"layer": ("MultiHeadAttention", {"num_heads": 1, "key_dim": 2})}), TWO),
    _words("transformer-block",
           ("Branches", {"first": ("Identity", {}), "merge": ("Add", {}), "second": (
               "SelfAttention", {"layer": ("MultiHeadAttention", {"num_heads": 1, "key_dim": 3})})}),
           ("LayerNormalization", {}), _dense(), MEAN1, ONE),
    _steps("activity-regularization", _dense(), ("ActivityRegularization", {"l2": 0.1}), TWO),
    _steps("spatial-dropout1d", _dense(), ("SpatialDropout1D", {"rate": 0.3}), TWO, random=True),
    _image("spatial-dropout2d", _dense(), ("SpatialDropout2D", {"rate": 0.3}), _conv(2), MEAN2, random=True),
    _volume("spatial-dropout3d", _dense(2), ("SpatialDropout3D", {"rate": 0.3}), ONE, random=True),
    _steps("dropout-noise", _dense(), ("Dropout", {"rate": 0.3}), ("GaussianNoise", {"stddev": 0.1}),
           ("GaussianDropout", {"rate": 0.2}), ("AlphaDropout", {"rate": 0.2}), TWO, random=True),
    _steps("dropout-in-lstm", ("LSTM", {"units": 3, "dropout": 0.3, "recurrent_dropout": 0.2}), ONE, random=True),
    _image("random-images", ("RandomFlip", {}), ("RandomRotation", {"factor": 0.1}), ("RandomTranslation",
           {"height_factor": 0.1, "width_factor": 0.1}), ("RandomZoom", {"height_factor": 0.1}), _conv(2), MEAN2,
           random=True),
)  # fmt: skip

FREE: tuple[FreeCase, ...] = (*RECURRENT, *WINDOWS, *RESHAPING, *OTHERS)
