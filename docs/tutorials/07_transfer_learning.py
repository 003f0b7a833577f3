"""
Transfer learning: a new task from ten labels
=============================================

A network that was trained on one task has features that serve another. We train on the names of the digits, and then
learn from ten labels which digits have a closed loop.
"""

import matplotlib.pyplot as plt
import numpy as np

import lamella
from lamella.layers import Conv2D, Dense, Flatten, Input, LayerNormalization, MaxPooling2D

(x, y), (x_test, y_test) = lamella.datasets.digits.load_data()
x, x_test = (images[..., None].astype("float32") / 16 for images in (x, x_test))
x_known, y_known = x[:1000], y[:1000]

# %%
# The first task
# --------------
# The body is a separate model, so that it can get another head later. It ends in a normalization: features of one scale
# are easier to learn from.


def make_body():
    return lamella.Sequential(
        [
            Input((8, 8, 1)),
            Conv2D(16, 3, padding="same", activation="relu"),
            Conv2D(32, 3, padding="same", activation="relu"),
            MaxPooling2D(2),
            Flatten(),
            Dense(64, activation="relu"),
            LayerNormalization(),
        ],
        name="body",
    )


lamella.utils.set_random_seed(0)
body = make_body()
first = lamella.Sequential([Input((8, 8, 1)), body, Dense(10, activation="softmax")])
first.compile(lamella.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
first.fit(x_known, y_known, batch_size=50, epochs=12, verbose=0)
print(f"ten digits: accuracy {first.evaluate(x_test, y_test, verbose=0)[1]:.3f}")

# %%
# The new task
# ------------
# Does the digit have a loop? 0, 6, 8 and 9 have one. There are labels for ten images only, one of each digit.


def has_loop(digits):
    return np.isin(digits, (0, 6, 8, 9)).astype("float32")[:, None]


few = np.array([1000 + np.flatnonzero(y[1000:] == digit)[0] for digit in range(10)])
x_few, y_few, y_loop = x[few], has_loop(y[few]), has_loop(y_test)


def with_new_head(body, rate):
    model = lamella.Sequential([Input((8, 8, 1)), body, Dense(1, activation="sigmoid", name="head")])
    model.compile(lamella.optimizers.Adam(rate), "binary_crossentropy", metrics=["accuracy"])
    return model


def curve(model, epochs):
    return model.fit(x_few, y_few, validation_data=(x_test, y_loop), epochs=epochs, verbose=0).history["val_accuracy"]


# %%
# From scratch
# ------------

lamella.utils.set_random_seed(0)
from_scratch = curve(with_new_head(make_body(), 0.003), 80)

# %%
# With a frozen body
# ------------------
# ``trainable = False`` keeps the weights of the body as they are; only the new head is trained. Set it before
# ``compile``.

body.trainable = False
lamella.utils.set_random_seed(0)
model = with_new_head(body, 0.02)
print([variable.path for variable in model.trainable_weights])
frozen = curve(model, 50)

# %%
# Fine tuning
# -----------
# Then train everything with a small learning rate, so that the features move without being lost. A new ``compile``
# starts a new optimizer.

body.trainable = True
model.compile(lamella.optimizers.Adam(3e-4), "binary_crossentropy", metrics=["accuracy"])
tuned = curve(model, 30)

plt.figure(figsize=(7, 3.5), layout="constrained")
plt.plot(from_scratch, label="from scratch")
plt.plot(frozen + tuned, label="frozen body, then fine tuning")
plt.axvline(50, color="gray", linestyle=":")
plt.axhline(1 - y_loop.mean(), color="gray", linestyle="--", label='always "no loop"')
plt.xlabel("epoch")
plt.ylabel("test accuracy")
plt.legend(loc="center right")
plt.show()
for name, history in (("from scratch", from_scratch), ("frozen", frozen), ("fine tuned", tuned)):
    print(f"{name:13} {history[-1]:.3f}")

# %%
# Ten labels are too few for fine tuning to gain much here. With hundreds it usually does.

# %%
# Features for other tools
# ------------------------
# The body is a model: its outputs are features for anything else, such as the nearest neighbor.

known, asked = body.predict(x_few, verbose=0), body.predict(x_test, verbose=0)
nearest = np.square(asked[:, None] - known[None]).sum(-1).argmin(1)
print(f"nearest neighbor: accuracy {np.mean(y_few[nearest] == y_loop):.3f}")

# %%
# Weights from a file
# -------------------
# ``save_weights`` and ``load_weights`` carry the body to another process; ``by_name=True`` and ``skip_mismatch=True``
# take what fits and report the rest.
#
# Limits
# ------
# lamella has no pretrained networks. It reads ``.keras`` and ``.h5`` files of Keras 2 and 3. And transfer helps where
# the first task needs what the second needs: a body trained on the digits 0 to 4 alone turned out worse than training
# from scratch for telling 5 to 9 apart.
