"""
A U-Net
=======

A U-Net that finds discs in noise. It is trained on small pictures, and takes pictures of any size.

References:
    O. Ronneberger et al., "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015,
    https://arxiv.org/abs/1505.04597
"""

import argparse

import numpy as np

import lamella as keras
from lamella import Input, Model
from lamella.layers import BatchNormalization, Concatenate, Conv2D, Conv2DTranspose, MaxPooling2D, ReLU


def discs(rows, height, width, rng):
    y, x = np.mgrid[:height, :width]
    masks = np.zeros((rows, height, width), bool)
    for mask in masks:
        for _ in range(3):
            radius, row, column = rng.uniform(2, 5), rng.uniform(0, height), rng.uniform(0, width)
            mask |= (y - row) ** 2 + (x - column) ** 2 < radius**2
    images = masks + 0.7 * rng.standard_normal(masks.shape)
    return images[..., None].astype("float32"), masks[..., None].astype("float32")


def block(x, filters):
    for _ in range(2):
        x = ReLU()(BatchNormalization(momentum=0.9)(Conv2D(filters, 3, padding="same", use_bias=False)(x)))
    return x


def make_model(filters):
    x = inputs = Input((None, None, 1))
    skips = []
    for n in filters[:-1]:
        x = block(x, n)
        skips.append(x)
        x = MaxPooling2D(2)(x)
    x = block(x, filters[-1])
    for n, skip in zip(filters[-2::-1], skips[::-1], strict=True):
        x = block(Concatenate()([skip, Conv2DTranspose(n, 2, strides=2)(x)]), n)
    model = Model(inputs, Conv2D(1, 1, activation="sigmoid")(x), name="unet")
    model.compile(
        optimizer=keras.optimizers.Adam(0.01), loss="binary_crossentropy", metrics=[keras.metrics.BinaryIoU([1])]
    )
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller network, fewer pictures and epochs")
    quick = parser.parse_args().quick
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(1)
    model = make_model((4, 8) if quick else (8, 16, 32))
    x, y = discs(96 if quick else 512, 16 if quick else 24, 24, rng)
    model.fit(x, y, batch_size=16, epochs=8 if quick else 12, verbose=2)
    x, y = discs(8, 40, 52, rng)  # larger pictures than those of the training
    found = model.predict(x, verbose=0)
    print("predictions", found.shape)
    found, discs_there = found > 0.5, y > 0.5
    print(f"test overlap {(found & discs_there).sum() / (found | discs_there).sum():.4f}")


if __name__ == "__main__":
    main()
