"""Words and class names of Keras 1 make the layers of today, and say so; what lamella does not have is refused by name."""

from __future__ import annotations

import numpy as np
import pytest

import lamella
from lamella import layers
from lamella.absent import ABSENT


@pytest.mark.parametrize(
    ("name", "args", "old", "new"),
    [
        ("Convolution1D", (4, 3), {"border_mode": "same", "subsample_length": 2}, {"padding": "same", "strides": (2,)}),
        ("Convolution1D", (), {"nb_filter": 4, "filter_length": 3}, {"filters": 4, "kernel_size": (3,)}),
        ("AtrousConvolution1D", (4, 3), {"atrous_rate": 2}, {"dilation_rate": (2,)}),
        ("Convolution2D", (4, 3, 2), {"subsample": (2, 2)}, {"kernel_size": (3, 2), "strides": (2, 2)}),
        ("Convolution2D", (4,), {"nb_row": 3, "nb_col": 2, "bias": False}, {"kernel_size": (3, 2), "use_bias": False}),
        ("Conv2D", (4, 3, 3), {"border_mode": "same"}, {"kernel_size": (3, 3), "padding": "same"}),
        ("AtrousConvolution2D", (4, 3, 3), {"atrous_rate": (2, 2)}, {"kernel_size": (3, 3), "dilation_rate": (2, 2)}),
        ("Deconvolution2D", (4, 3, 3, (None, 9, 9, 4)), {"subsample": (2, 2)}, {"kernel_size": (3, 3), "strides": (2, 2)}),
        ("SeparableConvolution2D", (4, 3, 3), {"dim_ordering": "th"},
         {"kernel_size": (3, 3), "data_format": "channels_first"}),
        ("Convolution3D", (4, 3, 2, 1), {"border_mode": "same"}, {"kernel_size": (3, 2, 1), "padding": "same"}),
        ("Convolution3D", (4,), {"kernel_dim1": 1, "kernel_dim2": 2, "kernel_dim3": 3}, {"kernel_size": (1, 2, 3)}),
        ("MaxPooling1D", (), {"pool_length": 3, "stride": 2, "border_mode": "same"},
         {"pool_size": (3,), "strides": (2,), "padding": "same"}),
        ("AveragePooling1D", (), {"pool_length": 3}, {"pool_size": (3,)}),
        ("MaxPooling3D", (), {"dim_ordering": "tf"}, {"data_format": "channels_last"}),
        ("GlobalAveragePooling3D", (), {"dim_ordering": "th"}, {"data_format": "channels_first"}),
        ("UpSampling1D", (), {"length": 3}, {"size": 3}),
        ("UpSampling2D", (), {"dim_ordering": "th"}, {"data_format": "channels_first"}),
        ("ZeroPadding2D", (), {"padding": {"top_pad": 1, "right_pad": 2}}, {"padding": ((1, 0), (0, 2))}),
        ("ZeroPadding2D", ((1, 2, 3, 4),), {}, {"padding": ((1, 2), (3, 4))}),
        ("ZeroPadding1D", ({"left_pad": 1, "right_pad": 2},), {}, {"padding": ((1, 2),)}),
        ("GaussianNoise", (), {"sigma": 0.2}, {"stddev": 0.2}),
        ("GaussianDropout", (), {"p": 0.2}, {"rate": 0.2}),
        ("SpatialDropout1D", (), {"p": 0.2}, {"rate": 0.2}),
        ("SpatialDropout2D", (), {"p": 0.2, "dim_ordering": "th"}, {"rate": 0.2, "data_format": "channels_first"}),
        ("LeakyReLU", (), {"alpha": 0.2}, {"negative_slope": 0.2}),
        ("Embedding", (5, 4), {"input_length": 7}, {"input_dim": 5, "output_dim": 4}),
    ],
)  # fmt: skip
def test_an_old_word_is_understood(name, args, old, new):
    with pytest.warns(DeprecationWarning, match="earlier Keras"):
        layer = getattr(layers, name)(*args, **old)
    assert {word: getattr(layer, word) for word in new} == new


@pytest.mark.parametrize(
    ("name", "old", "attribute", "kind"),
    [
        ("PReLU", {"init": "one"}, "alpha_initializer", "Ones"),
        ("Embedding", {"input_dim": 5, "output_dim": 4, "init": "normal"}, "embeddings_initializer", "RandomNormal"),
        ("Embedding", {"input_dim": 5, "output_dim": 4, "W_regularizer": "l2"}, "embeddings_regularizer", "L2"),
        ("SeparableConv2D", {"filters": 3, "kernel_size": 2, "init": "one"}, "depthwise_initializer", "Ones"),
        ("Conv1D", {"filters": 3, "kernel_size": 2, "W_constraint": "non_neg"}, "kernel_constraint", "NonNeg"),
    ],
)
def test_an_old_word_for_an_object(name, old, attribute, kind):
    with pytest.warns(DeprecationWarning):
        layer = getattr(layers, name)(**old)
    assert type(getattr(layer, attribute)).__name__ == kind


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Convolution1D", "Conv1D"), ("Convolution2D", "Conv2D"), ("Convolution3D", "Conv3D"),
        ("Convolution2DTranspose", "Conv2DTranspose"), ("SeparableConvolution2D", "SeparableConv2D"),
        ("Deconvolution2D", "Conv2DTranspose"),
    ],
)  # fmt: skip
def test_an_old_class_makes_the_layer_of_today(old, new):
    layer = getattr(layers, old)(2, 3, name="first", weights=None)
    assert type(layer) is getattr(layers, new)
    assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()
    first = getattr(layers, old)(2, 3, input_shape=(*[9] * layer.spatial, 1))
    assert lamella.Sequential([first]).built


@pytest.mark.parametrize("name", ["Conv2D", "Conv2DTranspose", "SeparableConv2D"])
def test_three_numbers_are_asked_about(name):
    with pytest.raises(ValueError, match=rf"{name}\(8, \(3, 3\)\) for the kernel"):
        getattr(layers, name)(8, 3, 3)


def test_half_a_kernel_is_none():
    with pytest.raises(TypeError, match="nb_col is missing"):
        layers.Conv2D(3, nb_row=2)
    with pytest.raises(ValueError, match="SpatialDropout1D"):
        layers.Embedding(5, 4, dropout=0.2)


@pytest.mark.parametrize("name", sorted(name[7:] for name in ABSENT if name.startswith("layers.")))
def test_layers_that_are_not_there_say_why(name):
    sentence = rf"^lamella.layers has no {name}: it .*\.$"
    with pytest.raises(AttributeError, match=sentence):
        getattr(layers, name)
    with pytest.raises(ImportError, match=sentence):
        exec(f"from lamella.layers import {name}")
    assert name not in dir(layers) and not hasattr(layers, name)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Dens"):
        layers.Dens  # noqa: B018
    assert not hasattr(layers, "__wrapped__")


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: layers.Dense(3, lora_rank=2), "lora_rank"),
        (lambda: layers.Embedding(3, 2, quantization_config={"mode": "int8"}), "quantization_config"),
        (lambda: layers.CategoryEncoding(3, sparse=True), "sparse"),
    ],
)
def test_options_that_are_not_there_say_why(make, word):
    with pytest.raises(ValueError, match=f"`{word}` is not supported"):
        make()
    layers.CategoryEncoding(3, sparse=False)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Conv1D(3, 2, strides=2, dilation_rate=2), "must be 1"),
        (lambda: layers.Conv2D(3, 2, padding="causal"), "padding"),
        (lambda: layers.Conv1D(5, 2, groups=2), "groups"),
        (lambda: layers.Conv2DTranspose(3, 2, strides=2, output_padding=2), "below strides"),
        (lambda: layers.Conv2DTranspose(3, 2, strides=2, dilation_rate=2), "must be 1"),
        (lambda: layers.DepthwiseConv2D(2, depth_multiplier=0), "depth_multiplier"),
        (lambda: layers.Permute((0, 1)), "dims"),
        (lambda: layers.Permute((1, 3)), "dims"),
        (lambda: layers.RepeatVector(0), "n must"),
        (lambda: layers.Cropping2D(((1, 2), (1, -2))), "cropping"),
        (lambda: layers.ZeroPadding2D((1, 2, 3)), "padding"),
        (lambda: layers.UpSampling2D(interpolation="area"), "interpolation"),
        (lambda: layers.EinsumDense("ab->ac", 3), "equation"),
        (lambda: layers.EinsumDense("ab,bc->ac", 3, bias_axes="d"), "bias axis"),
        (lambda: layers.GroupNormalization(groups=0), "groups"),
        (lambda: layers.BatchNormalization(renorm_clipping={"rmax": 2.0}), "renorm_clipping needs renorm=True"),
        (lambda: layers.BatchNormalization(renorm=True, renorm_clipping={"rmax": 0.5, "rmin": 1.0}), "rmin <= rmax"),
        (lambda: layers.BatchNormalization(synchronized=True), "several devices"),
        (lambda: layers.LeakyReLU(negative_slope=-1), "negative_slope"),
    ],
)
def test_options_that_make_no_sense_are_refused_at_once(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (layers.Conv1D(2, 3), (4, 4, 1, 1), "expected inputs with 3 dimensions"),
        (layers.Conv1D(2, 5), (2, 3, 1), "does not fit"),
        (layers.GroupNormalization(groups=3), (2, 4), "do not divide into 3 groups"),
        (layers.LayerNormalization(axis=0), (2, 4), "is the batch"),
        (layers.Cropping1D(2), (2, 4, 1), "leaves nothing"),
        (layers.Permute((1, 2)), (2, 3), "expected 3 dimensions"),
        (layers.RepeatVector(2), (2, 3, 4), "batch, features"),
        (layers.EinsumDense("ab,bc->ac", 3), (2, 3, 4), "does not describe"),
        (layers.EinsumDense("abc,cd->abd", (5, 2)), (2, 3, 4), "has size 3 in the input and 5"),
        (layers.Resizing(2, 2), (2, 3), "expected images"),
        (layers.PReLU(shared_axes=3), (2, 3), "do not exist"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(layer, shape, message):
    with pytest.raises(ValueError, match=message):
        layer(np.ones(shape, "float32"))


@pytest.mark.parametrize("name, today, more", [("CuDNNLSTM", "LSTM", {}), ("CuDNNGRU", "GRU", {"reset_after": True})])
def test_layers_of_cudnn_are_the_recurrent_layers(name, today, more):
    with pytest.warns(DeprecationWarning, match=f"{name} .* write {today}"):
        layer = getattr(layers, name)(3, "ones", return_sequences=True)
    expected = getattr(layers, today)(3, kernel_initializer="ones", return_sequences=True, **more)
    assert type(layer) is type(expected)
    assert {**layer.get_config(), "name": ""} == {**expected.get_config(), "name": ""}
    with pytest.raises(ValueError, match=rf"{name}: it has no argument 'dropout'; write {today}"):
        getattr(layers, name)(3, dropout=0.5)
    with pytest.raises(ValueError, match="time_major must be False"):
        getattr(layers, name)(3, time_major=True)
