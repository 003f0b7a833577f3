"""
Generative models: a variational autoencoder
============================================

An autoencoder squeezes an image through a few numbers and rebuilds it. A variational one also makes those numbers
normally distributed, so that new images can be drawn. It is a model with a custom training step.

References:
    D. P. Kingma, M. Welling, "Auto-Encoding Variational Bayes", ICLR 2014, https://arxiv.org/abs/1312.6114
"""

import matplotlib.pyplot as plt
import numpy as np

import lamella
from lamella import ops
from lamella.layers import Dense, Input

(images, labels), _ = lamella.datasets.digits.load_data()
images = images.reshape(len(images), 64).astype("float32") / 16

# %%
# Encoder and decoder
# -------------------
# The encoder gives a mean and a log-variance for each of two code numbers; the decoder turns a code into the
# probability of each pixel.


def make_encoder(codes):
    x = Input((64,))
    h = Dense(128, activation="relu")(x)
    return lamella.Model(x, [Dense(codes, name="mean")(h), Dense(codes, name="log_variance")(h)], name="encoder")


def make_decoder(codes):
    return lamella.Sequential([Input((codes,)), Dense(128, activation="relu"), Dense(64)], name="decoder")


# %%
# The loss, and the step
# ----------------------
# A code is drawn as mean + deviation * noise, so that the gradient passes through mean and deviation. The loss is the
# error of the reconstruction plus the Kullback-Leibler divergence between the code's distribution and the standard
# normal one:
#
# ``L = -log p(x | z) + 0.5 sum(mean² + variance - log variance - 1)``
#
# ``train_step`` is traced once and runs on every backend. ``lamella.random`` draws from the model's seed.


class VariationalAutoencoder(lamella.Model):
    def __init__(self, codes=2):
        super().__init__()
        self.encoder, self.decoder = make_encoder(codes), make_decoder(codes)

    def call(self, x):
        return ops.sigmoid(self.decoder(self.encoder(x)[0]))

    def train_step(self, data):
        (x,) = data

        def loss_of():
            mean, log_variance = self.encoder(x)
            code = mean + ops.exp(0.5 * log_variance) * lamella.random.normal(mean.shape)
            logits = self.decoder(code)
            pixels = ops.softplus(logits) - x * logits  # the binary crossentropy, from logits
            divergence = 0.5 * (ops.square(mean) + ops.exp(log_variance) - log_variance - 1)
            rebuilt, divergence = ops.mean(ops.sum(pixels, axis=1)), ops.mean(ops.sum(divergence, axis=1))
            return rebuilt + divergence, (rebuilt, divergence)

        (loss, (rebuilt, divergence)), gradients = lamella.value_and_grad(
            loss_of, self.trainable_variables, has_aux=True
        )
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": loss, "reconstruction": rebuilt, "divergence": divergence}


lamella.utils.set_random_seed(0)
model = VariationalAutoencoder()
model.compile(lamella.optimizers.Adam(0.003))
history = model.fit(images[:1408], batch_size=64, epochs=40, verbose=0).history
for name, values in history.items():
    print(f"{name:15} {values[0]:.2f} -> {values[-1]:.2f}")

# %%
# The code plane
# --------------
# Each digit has two code numbers. The labels were not used in training; the colors show that similar digits came to be
# neighbors.

mean, _ = model.encoder.predict(images, verbose=0)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
points = left.scatter(*mean.T, c=labels, cmap="tab10", s=5)
figure.colorbar(points, ax=left, ticks=range(10))
left.set(title="codes of the images", aspect="equal")

# %%
# New images
# ----------
# Decode a grid of codes: every place in the plane is an image.

side = np.linspace(-2, 2, 12)
grid = np.stack(np.meshgrid(side, side[::-1]), -1).reshape(-1, 2).astype("float32")
made = 1 / (1 + np.exp(-model.decoder.predict(grid, verbose=0)))
tiles = made.reshape(12, 12, 8, 8).swapaxes(1, 2).reshape(96, 96)
right.imshow(tiles, cmap="gray_r", extent=(-2, 2, -2, 2))
right.set(title="images of codes")
plt.show()

# %%
# From one digit to another
# -------------------------
# A straight line between two codes is a sequence of images.

first, last = mean[labels == 0][0], mean[labels == 6][0]
line = np.linspace(first, last, 10).astype("float32")
figure, cells = plt.subplots(1, 10, figsize=(9, 1.2), layout="constrained")
for cell, image in zip(cells, 1 / (1 + np.exp(-model.decoder.predict(line, verbose=0))), strict=True):
    cell.imshow(image.reshape(8, 8), cmap="gray_r")
    cell.set_axis_off()
plt.show()

# %%
# Limits
# ------
# Two code numbers are good for drawing and too few for sharp images; try 16. For a pair of networks that compete, see
# "Two networks, two optimizers: a GAN" in the page on custom training steps.
