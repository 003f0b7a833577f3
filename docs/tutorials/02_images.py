"""
Images: a convolutional network
===============================

A small convolutional network reads handwritten digits. We look at its mistakes, at what its layers see, and at what
random changes of the images do for it.
"""

import matplotlib.pyplot as plt
import numpy as np

import lamella
from lamella.layers import Conv2D, Dense, Dropout, Flatten, Input, MaxPooling2D, RandomTranslation

# %%
# The data
# --------
# 1,797 images of 8 x 8 pixels come with lamella. Images have the shape ``(rows, height, width, channels)``, here with
# one channel; the values are scaled to [0, 1].

(x_train, y_train), (x_test, y_test) = lamella.datasets.digits.load_data()
x_train, x_test = (x[..., None].astype("float32") / 16 for x in (x_train, x_test))
print(x_train.shape, x_test.shape, y_train[:10])

figure, cells = plt.subplots(2, 10, figsize=(8, 2), layout="constrained")
for cell, image, label in zip(cells.flat, x_train, y_train, strict=False):
    cell.imshow(image[..., 0], cmap="gray_r")
    cell.set_axis_off()
    cell.set_title(label, fontsize=9)
plt.show()

# %%
# The model
# ---------
# Convolutions find local patterns, pooling halves the resolution, and a dense layer decides. ``padding="same"`` keeps
# height and width. Dropout is active in training only.


def make(changes=()):
    lamella.utils.set_random_seed(0)
    model = lamella.Sequential(
        [
            Input((8, 8, 1)),
            *changes,
            Conv2D(16, 3, padding="same", activation="relu", name="edges"),
            Conv2D(32, 3, padding="same", activation="relu", name="strokes"),
            MaxPooling2D(2),
            Dropout(0.25),
            Flatten(),
            Dense(64, activation="relu"),
            Dense(10, activation="softmax"),
        ]
    )
    model.compile(lamella.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


model = make()
model.summary()

# %%
# The labels are integers, so the loss is ``sparse_categorical_crossentropy``; with one-hot labels it would be
# ``categorical_crossentropy``.

history = model.fit(x_train, y_train, validation_data=(x_test, y_test), batch_size=64, epochs=6, verbose=2)

# %%
# The mistakes
# ------------
# ``predict`` returns one probability per class. The confusion matrix counts labels against predictions; everything off
# the diagonal is a mistake.

probabilities = model.predict(x_test, verbose=0)
predicted = probabilities.argmax(-1)
wrong = np.flatnonzero(predicted != y_test)
print(f"{len(wrong)} of {len(y_test)} images are wrong")

confusion = np.zeros((10, 10), int)
np.add.at(confusion, (y_test, predicted), 1)
figure = plt.figure(figsize=(9, 3.2), layout="constrained")
left, right = figure.subfigures(1, 2)
axes = left.subplots()
axes.imshow(np.log1p(confusion), cmap="Blues")
axes.set(xlabel="predicted", ylabel="label", xticks=range(10), yticks=range(10))
for cell, i in zip(right.subplots(2, 4).flat, wrong[probabilities[wrong].max(-1).argsort()[::-1]], strict=False):
    cell.imshow(x_test[i, ..., 0], cmap="gray_r")
    cell.set_title(f"{predicted[i]}, is {y_test[i]}", fontsize=9)
for cell in right.axes:
    cell.set_axis_off()
right.suptitle("the most confident mistakes")
plt.show()

# %%
# What the layers see
# -------------------
# ``layer_outputs`` returns what each layer gives for a batch. Here are the 16 channels of the first convolution for one
# digit.

outputs = model.layer_outputs(x_test[:1])
print({name: output.shape for name, output in outputs.items()})

figure, cells = plt.subplots(2, 9, figsize=(9, 2), layout="constrained")
cells[0, 0].imshow(x_test[0, ..., 0], cmap="gray_r")
for cell, channel in zip(cells[:, 1:].flat, np.moveaxis(outputs["edges"][0], -1, 0), strict=True):
    cell.imshow(channel)
for cell in cells.flat:
    cell.set_axis_off()
plt.show()

# %%
# Random changes
# --------------
# A digit that is moved a little is the same digit. Layers such as ``RandomTranslation`` change each image in training,
# and pass it through unchanged otherwise. Compare both models on test images that are moved by one pixel:

augmented = make([RandomTranslation(0.15, 0.15, fill_mode="constant")])
augmented.fit(x_train[:1408], y_train[:1408], batch_size=64, epochs=10, verbose=0)

moved = np.roll(x_test, 1, axis=2)
for name, one in (("plain", model), ("augmented", augmented)):
    straight, aside = (one.evaluate(x, y_test, verbose=0)[1] for x in (x_test, moved))
    print(f"{name:9} accuracy {straight:.3f}, on moved images {aside:.3f}")

# %%
# A batch with random changes is compiled for its exact size, so the training above uses 22 whole batches of 64 rows.

# %%
# Limits
# ------
# There are no pretrained networks in lamella. For your own files use ``lamella.utils.image_dataset_from_directory``. A
# network for images of any size is declared with ``Input((None, None, 3))`` and ends in ``GlobalAveragePooling2D`` in
# place of ``Flatten``.
