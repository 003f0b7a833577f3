"""Graphs of images: residual and dense blocks, inception, U-Nets, pyramids, ResNet-50."""

from __future__ import annotations

from typing import Any

from .cases_graphs_sequences import positions
from .graphs import Library, Table, floats

TABLE = Table()
graph = TABLE.graph


def _conv(
    lib: Library, filters: int, size: int = 3, norm: bool = True, activation: str | None = "relu", **kwargs: Any
) -> Any:
    """A convolution, batch normalization and an activation, as a function of a declared value."""

    def applied(x: Any) -> Any:
        x = lib.layers.Conv2D(filters, size, padding="same", use_bias=not norm, **kwargs)(x)
        x = lib.layers.BatchNormalization()(x) if norm else x
        return x if activation is None else lib.layers.Activation(activation)(x)

    return applied


def _headed(lib: Library, x: Any, value: Any) -> Any:
    return lib.Model(x, lib.layers.Dense(2)(lib.layers.GlobalAveragePooling2D()(value)))


# ---- residual blocks ----


@graph(floats(6, 6, 3), fast=True)
def residual_identity(lib: Library) -> Any:
    x = lib.Input((6, 6, 3))
    h = _conv(lib, 3, activation=None)(_conv(lib, 3)(x))
    return _headed(lib, x, lib.layers.ReLU()(lib.layers.Add()([x, h])))


@graph(floats(6, 6, 2))
def residual_projection(lib: Library) -> Any:
    x = lib.Input((6, 6, 2))
    h = _conv(lib, 4, activation=None)(_conv(lib, 4, strides=2)(x))
    short = _conv(lib, 4, 1, activation=None, strides=2)(x)
    return _headed(lib, x, lib.ops.relu(h + short))


@graph(floats(6, 6, 3))
def residual_preactivation(lib: Library) -> Any:
    x = value = lib.Input((6, 6, 3))
    for _ in range(2):
        h = lib.layers.ReLU()(lib.layers.BatchNormalization()(value))
        value = lib.layers.add([value, lib.layers.Conv2D(3, 3, padding="same")(h)])
    return _headed(lib, x, value)


def _bottleneck(lib: Library, x: Any, filters: int, strides: int = 1, project: bool = False) -> Any:
    h = _conv(lib, filters, 1, strides=strides)(x)
    h = _conv(lib, 4 * filters, 1, activation=None)(_conv(lib, filters)(h))
    short = _conv(lib, 4 * filters, 1, activation=None, strides=strides)(x) if project else x
    return lib.layers.ReLU()(lib.layers.Add()([short, h]))


def _resnet(lib: Library, blocks: tuple[int, ...], filters: int, size: int) -> Any:
    x = lib.Input((size, size, 3))
    value = lib.layers.ZeroPadding2D(1)(_conv(lib, filters, 7, strides=2)(x))
    value = lib.layers.MaxPooling2D(3, 2)(value)
    for stage, count in enumerate(blocks):
        for i in range(count):
            value = _bottleneck(lib, value, filters << stage, 2 if stage and not i else 1, project=not i)
    return lib.Model(x, lib.layers.Dense(3, activation="softmax")(lib.layers.GlobalAveragePooling2D()(value)))


CLASSES = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}


@graph(floats(16, 16, 3), "sparse", compiled=CLASSES)
def resnet_of_bottlenecks(lib: Library) -> Any:
    return _resnet(lib, (1, 1), 2, 16)


# Its last maps are of one pixel, so that batch normalization divides by the variance of two or four values: what a step
# changes is amplified ten thousandfold in the next. In float64, where Keras is also made to normalize in float64, both
# libraries agree in the first step to 4e-13 in every layer, 2e-9 in the loss (of means that Keras takes in float32), 1e-7 in
# the updated weights and 2e-15 in the moving statistics, and after two epochs to 3 % in the loss. In float32 a change of
# 1e-7 in Keras's own inputs moves its own losses by 2 % and 9 %. `resnet_of_bottlenecks` has the same blocks over more
# values, and its two epochs agree.
@graph(floats(32, 32, 3), "sparse", compiled=CLASSES, rate=0.01, slow=True, one_step=True)
def resnet_50(lib: Library) -> Any:
    return _resnet(lib, (3, 4, 6, 3), 2, 32)


@graph(floats(6, 6, 2))
def inverted_residual(lib: Library) -> Any:
    x = lib.Input((6, 6, 2))
    h = _conv(lib, 6, 1, activation="relu6")(x)
    h = lib.layers.ReLU(max_value=6.0)(lib.layers.DepthwiseConv2D(3, padding="same", use_bias=False)(h))
    return _headed(lib, x, lib.layers.Add()([x, _conv(lib, 2, 1, activation=None)(h)]))


@graph(floats(6, 6, 2))
def separable_residual(lib: Library) -> Any:
    x = lib.Input((6, 6, 2))
    h = lib.layers.SeparableConv2D(4, 3, padding="same")(lib.layers.Activation("relu")(x))
    h = lib.layers.MaxPooling2D(3, strides=2, padding="same")(h)
    return _headed(lib, x, lib.layers.add([h, lib.layers.Conv2D(4, 1, strides=2, padding="same")(x)]))


@graph(floats(5, 5, 4))
def convnext_block(lib: Library) -> Any:
    class Scale(lib.Layer):
        def build(self, input_shape: Any) -> None:
            self.gamma = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="gamma")

        def call(self, x: Any) -> Any:
            return x * self.gamma

    x = lib.Input((5, 5, 4))
    h = lib.layers.LayerNormalization(epsilon=1e-3)(lib.layers.DepthwiseConv2D(5, padding="same")(x))
    h = lib.layers.Dense(4)(lib.layers.Dense(8, activation="gelu")(h))
    return _headed(lib, x, x + lib.noted(Scale())(h))


@graph(floats(5, 5, 4))
def residual_group_normalization(lib: Library) -> Any:
    x = lib.Input((5, 5, 4))
    h = lib.layers.GroupNormalization(2)(lib.layers.Conv2D(4, 3, padding="same")(x))
    h = lib.layers.Activation("silu")(h)
    return _headed(lib, x, lib.layers.Average()([x, h]))


# ---- branches ----


@graph(floats(6, 6, 3))
def inception(lib: Library) -> Any:
    x = lib.Input((6, 6, 3))
    branches = [
        _conv(lib, 2, 1, norm=False)(x),
        _conv(lib, 2, norm=False)(_conv(lib, 2, 1, norm=False)(x)),
        _conv(lib, 2, 5, norm=False)(_conv(lib, 1, 1, norm=False)(x)),
        _conv(lib, 2, 1, norm=False)(lib.layers.MaxPooling2D(3, strides=1, padding="same")(x)),
    ]
    return _headed(lib, x, lib.layers.Concatenate()(branches))


@graph(floats(6, 6, 2))
def inception_factored(lib: Library) -> Any:
    x = lib.Input((6, 6, 2))
    one = lib.layers.Conv2D(3, (3, 1), padding="same")(lib.layers.Conv2D(3, (1, 3), padding="same")(x))
    two = lib.layers.Conv2D(3, 1)(lib.layers.AveragePooling2D(3, strides=1, padding="same")(x))
    reduced = [_conv(lib, 2, strides=2)(one), lib.layers.MaxPooling2D(2)(two)]
    return _headed(lib, x, lib.layers.concatenate(reduced))


@graph(floats(6, 6, 3))
def dense_block(lib: Library) -> Any:
    x = value = lib.Input((6, 6, 3))
    for _ in range(3):
        h = lib.layers.ReLU()(lib.layers.BatchNormalization()(value))
        value = lib.layers.Concatenate()([value, lib.layers.Conv2D(2, 3, padding="same", use_bias=False)(h)])
    return _headed(lib, x, lib.layers.AveragePooling2D(2)(lib.layers.Conv2D(4, 1)(value)))


@graph(floats(5, 5, 4))
def squeeze_excite(lib: Library) -> Any:
    x = lib.Input((5, 5, 4))
    h = lib.layers.Conv2D(4, 3, padding="same")(x)
    weight = lib.layers.Dense(2, activation="relu")(lib.layers.GlobalAveragePooling2D()(h))
    weight = lib.layers.Reshape((1, 1, 4))(lib.layers.Dense(4, activation="sigmoid")(weight))
    return _headed(lib, x, lib.layers.Multiply()([h, weight]))


@graph(floats(5, 5, 3))
def attention_of_places(lib: Library) -> Any:
    x = lib.Input((5, 5, 3))
    seen = [lib.ops.mean(x, axis=-1, keepdims=True), lib.ops.max(x, axis=-1, keepdims=True)]
    weight = lib.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(lib.layers.Concatenate()(seen))
    return _headed(lib, x, lib.layers.Conv2D(3, 3)(x * weight))


@graph(floats(6, 6, 4))
def channels_split(lib: Library) -> Any:
    x = lib.Input((6, 6, 4))
    a, b = x[..., :2], x[..., 2:]
    b = _conv(lib, 2)(b)
    joined = lib.ops.reshape(lib.ops.stack([a, b], axis=-1), (-1, 6, 6, 4))
    return _headed(lib, x, _conv(lib, 3)(joined))


@graph(floats(4, 4, 3))
def two_poolings(lib: Library) -> Any:
    x = lib.Input((4, 4, 3))
    h = lib.layers.Conv2D(4, 3, activation="relu")(x)
    pooled = [lib.layers.GlobalAveragePooling2D()(h), lib.layers.GlobalMaxPooling2D()(h), lib.layers.Flatten()(x)]
    return lib.Model(x, lib.layers.Dense(2)(lib.layers.concatenate(pooled)))


# ---- down and up ----


@graph(floats(9, 7, 1), "binary", compiled={"loss": "binary_crossentropy", "metrics": ["accuracy"]}, fast=True)
def unet_of_odd_sizes(lib: Library) -> Any:
    x = lib.Input((9, 7, 1))
    skip = _conv(lib, 2)(x)
    low = _conv(lib, 3)(lib.layers.MaxPooling2D(2, padding="same")(skip))
    up = lib.layers.Cropping2D(((0, 1), (0, 1)))(lib.layers.Conv2DTranspose(2, 2, strides=2)(low))
    h = _conv(lib, 2)(lib.layers.Concatenate()([skip, up]))
    return lib.Model(x, lib.layers.Conv2D(1, 1, activation="sigmoid")(h))


@graph(floats(8, 4, 1))
def unet_of_free_sizes(lib: Library) -> Any:
    x = value = lib.Input((None, None, 1))
    skips = []
    for filters in (2, 3):
        value = _conv(lib, filters, norm=False)(value)
        skips.append(value)
        value = lib.layers.MaxPooling2D(2)(value)
    value = _conv(lib, 4, norm=False)(value)
    for filters, skip in ((3, skips[1]), (2, skips[0])):
        value = lib.layers.Conv2DTranspose(filters, 3, strides=2, padding="same")(value)
        value = _conv(lib, filters, norm=False)(lib.layers.Concatenate()([skip, value]))
    return lib.Model(x, lib.layers.Conv2D(1, 1)(value))


@graph(floats(5, 7, 2))
def unet_of_free_odd_sizes(lib: Library) -> Any:
    class Cropped(lib.Layer):
        def call(self, x: Any, like: Any) -> Any:
            return x[:, : like.shape[1], : like.shape[2]]

        def compute_output_shape(self, x_shape: Any, like_shape: Any) -> Any:
            return (*like_shape[:3], x_shape[3])

    x = lib.Input((None, None, 2))
    skip = lib.layers.Conv2D(2, 3, padding="same", activation="elu")(x)
    low = lib.layers.Conv2D(3, 3, strides=2, padding="same", activation="elu")(skip)
    up = Cropped()(lib.layers.UpSampling2D(2)(low), skip)
    return lib.Model(x, lib.layers.Conv2D(1, 3, padding="same")(lib.layers.concatenate([up, skip])))


@graph(floats(6, 6, 1), compiled={"loss": "mae"})
def autoencoder_of_images(lib: Library) -> Any:
    x, code = lib.Input((6, 6, 1)), lib.Input((3,))
    h = lib.layers.Conv2D(2, 3, strides=2, padding="same", activation="relu")(x)
    encoder = lib.Model(x, lib.layers.Dense(3)(lib.layers.Flatten()(h)), name="encoder")
    h = lib.layers.Reshape((3, 3, 2))(lib.layers.Dense(18, activation="relu")(code))
    decoder = lib.Model(code, lib.layers.Conv2DTranspose(1, 3, strides=2, padding="same")(h), name="decoder")
    return lib.Model(encoder.input, decoder(encoder.output))


@graph(floats(4, 4, 2))
def pixels_from_channels(lib: Library) -> Any:
    x = lib.Input((4, 4, 2))
    h = lib.layers.Conv2D(8, 3, padding="same")(x)
    h = lib.ops.transpose(lib.ops.reshape(h, (-1, 4, 4, 2, 2, 2)), (0, 1, 3, 2, 4, 5))
    up = lib.layers.UpSampling2D(2, interpolation="bilinear")(x)
    return lib.Model(x, lib.layers.Conv2D(1, 1)(lib.ops.reshape(h, (-1, 8, 8, 2)) + up))


@graph(floats(8, 8, 2), compiled={"loss": ["mse", "mae", "mse"], "loss_weights": [1.0, 0.5, 0.25]})
def pyramid(lib: Library) -> Any:
    x = value = lib.Input((8, 8, 2))
    levels = []
    for filters in (2, 3, 4):
        value = lib.layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu")(value)
        levels.append(lib.layers.Conv2D(2, 1)(value))
    merged = [levels[-1]]
    for level in levels[-2::-1]:
        merged.append(lib.layers.add([level, lib.layers.UpSampling2D(2)(merged[-1])]))
    head = lib.layers.Conv2D(1, 3, padding="same")
    return lib.Model(
        x, [lib.layers.Identity(name=f"level_{i}")(head(level)) for i, level in enumerate(reversed(merged))]
    )


@graph(
    floats(6, 6, 1),
    {"main": "sparse", "early": "sparse"},
    compiled={
        "loss": dict.fromkeys(("main", "early"), "sparse_categorical_crossentropy"),
        "loss_weights": {"main": 1.0, "early": 0.4},
        "metrics": {"main": ["accuracy"]},
    },
)
def deep_supervision(lib: Library) -> Any:
    x = lib.Input((6, 6, 1))
    early = _conv(lib, 3)(x)
    main = _conv(lib, 4, strides=2)(early)

    def head(value: Any) -> Any:
        return lib.layers.Dense(3, activation="softmax")(lib.layers.GlobalAveragePooling2D()(value))

    return lib.Model(x, {"main": head(main), "early": head(early)})


@graph([floats(6, 6, 1), floats(6, 6, 1)], "binary", compiled={"loss": "binary_crossentropy"})
def siamese_images(lib: Library) -> Any:
    tower = lib.Sequential([
        lib.Input((6, 6, 1)), lib.layers.Conv2D(2, 3, activation="relu"), lib.layers.MaxPooling2D(2), lib.layers.Flatten(),
        lib.layers.Dense(3),
    ])  # fmt: skip
    a, b = lib.Input((6, 6, 1)), lib.Input((6, 6, 1))
    far = lib.layers.Lambda(lambda pair: lib.ops.abs(pair[0] - pair[1]))([tower(a), tower(b)])
    return lib.Model([a, b], lib.layers.Dense(1, activation="sigmoid")(far))


@graph([floats(6, 6, 1), floats(3)])
def image_and_features(lib: Library) -> Any:
    image, features = lib.Input((6, 6, 1), name="image"), lib.Input((3,), name="features")
    h = lib.layers.Conv2D(3, 3, activation="relu")(image)
    scale = lib.layers.Reshape((1, 1, 3))(lib.layers.Dense(3)(features))
    shift = lib.layers.Reshape((1, 1, 3))(lib.layers.Dense(3)(features))
    h = lib.layers.GlobalAveragePooling2D()(h * scale + shift)
    return lib.Model([image, features], lib.layers.Dense(1)(lib.layers.concatenate([h, features])))


@graph(floats(4, 4, 2))
def mixer(lib: Library) -> Any:
    x = lib.Input((4, 4, 2))
    h = lib.layers.Reshape((4, 4))(lib.layers.Conv2D(4, 2, strides=2)(x))
    mixed = lib.layers.Permute((2, 1))(lib.layers.LayerNormalization(epsilon=1e-3)(h))
    h = h + lib.layers.Permute((2, 1))(lib.layers.Dense(4)(lib.layers.Dense(6, activation="gelu")(mixed)))
    h = h + lib.layers.Dense(4, activation="gelu")(lib.layers.LayerNormalization(epsilon=1e-3)(h))
    return lib.Model(x, lib.layers.Dense(2)(lib.layers.GlobalAveragePooling1D()(h)))


@graph(floats(4, 4, 1))
def vision_transformer(lib: Library) -> Any:
    x = lib.Input((4, 4, 1))
    h = lib.layers.Reshape((4, 4))(lib.layers.Conv2D(4, 2, strides=2)(x))
    h = positions(lib, h)
    seen = lib.layers.LayerNormalization(epsilon=1e-3)(h)
    h = lib.layers.Add()([h, lib.layers.MultiHeadAttention(2, 2)(seen, seen)])
    h = lib.layers.Add()([h, lib.layers.Dense(4, activation="gelu")(lib.layers.LayerNormalization(epsilon=1e-3)(h))])
    return lib.Model(x, lib.layers.Dense(2)(h[:, 0]))


@graph(floats(3, 5, 5, 1))
def time_distributed_model(lib: Library) -> Any:
    image = lib.Input((5, 5, 1))
    h = lib.layers.GlobalAveragePooling2D()(_conv(lib, 3)(image))
    frames = lib.Model(image, lib.layers.Dense(3)(h), name="frames")
    x = lib.Input((3, 5, 5, 1))
    return lib.Model(x, lib.layers.Dense(1)(lib.layers.LSTM(3)(lib.layers.TimeDistributed(frames)(x))))
