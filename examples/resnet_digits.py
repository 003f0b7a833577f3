"""
A residual network
==================

A residual network on the handwritten digits that come with lamella: 1,797 images of 8 x 8 pixels.

References:
    K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, https://arxiv.org/abs/1512.03385
"""

import argparse

import numpy as np

import lamella as keras
from lamella import Input, Model, layers


def residual(x, filters, strides=1):
    """Two convolutions beside what they are added to; a convolution of one pixel where the shapes differ."""
    h = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
    h = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(h))
    h = layers.Conv2D(filters, 3, padding="same", use_bias=False)(h)
    h = layers.BatchNormalization(momentum=0.9)(h)
    if strides > 1 or x.shape[-1] != filters:
        x = layers.BatchNormalization(momentum=0.9)(layers.Conv2D(filters, 1, strides=strides, use_bias=False)(x))
    return layers.ReLU()(layers.add([x, h]))


def make_model(stages):
    x = inputs = Input((8, 8, 1))
    x = layers.Conv2D(stages[0], 3, padding="same", activation="relu")(x)
    for i, filters in enumerate(stages):
        x = residual(x, filters, strides=2 if i else 1)
    x = layers.GlobalAveragePooling2D()(x)
    model = Model(inputs, layers.Dense(10, activation="softmax")(x), name="resnet")
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller network, fewer images and epochs")
    quick = parser.parse_args().quick
    keras.utils.set_random_seed(1)
    (x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
    x_train, x_test = ((images / 16.0).astype(np.float32)[..., None] for images in (x_train, x_test))
    rows = 1024 if quick else len(x_train)
    model = make_model((8,) if quick else (16, 32, 64))
    model.summary()
    model.fit(x_train[:rows], y_train[:rows], batch_size=64, epochs=8 if quick else 10, verbose=2)
    loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"test loss {loss:.4f}, test accuracy {accuracy:.4f}")


if __name__ == "__main__":
    main()
