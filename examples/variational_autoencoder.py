"""
A variational autoencoder
=========================

A variational autoencoder of handwritten digits: a subclass of `Model` with its own `train_step`.

References:
    D. P. Kingma, M. Welling, "Auto-Encoding Variational Bayes", ICLR 2014, https://arxiv.org/abs/1312.6114
"""

import argparse

import numpy as np

import lamella as keras
from lamella import Input, Model, layers, ops


class Sampling(layers.Layer):
    """Draws a code from its distribution in training, so that derivatives reach mean and variance; else gives the mean."""

    def __init__(self):
        super().__init__()
        self.noise = layers.GaussianNoise(1.0)

    def call(self, mean, log_variance, training=False):
        return mean + ops.exp(0.5 * log_variance) * self.noise(ops.zeros_like(mean), training=training)


def make_encoder(codes):
    x = Input((64,))
    h = layers.Dense(64, activation="relu")(x)
    mean, log_variance = layers.Dense(codes, name="mean")(h), layers.Dense(codes, name="log_variance")(h)
    return Model(x, [mean, log_variance, Sampling()(mean, log_variance)], name="encoder")


def make_decoder(codes):
    code = Input((codes,))
    h = layers.Dense(64, activation="relu")(code)
    return Model(code, layers.Dense(64, activation="sigmoid")(h), name="decoder")


class VariationalAutoencoder(Model):
    """Codes that are normal, and images of them."""

    def __init__(self, codes):
        super().__init__()
        self.encoder, self.decoder = make_encoder(codes), make_decoder(codes)

    def call(self, x):
        return self.decoder(self.encoder(x)[0])

    def train_step(self, data):
        (x,) = data

        def loss_of():
            mean, log_variance, code = self.encoder(x, training=True)
            y = ops.clip(self.decoder(code), 1e-6, 1 - 1e-6)
            reconstruction = -ops.mean(ops.sum(x * ops.log(y) + (1 - x) * ops.log(1 - y), axis=1))
            divergence = -0.5 * ops.mean(ops.sum(1 + log_variance - mean**2 - ops.exp(log_variance), axis=1))
            return reconstruction + divergence, (reconstruction, divergence)

        (loss, (reconstruction, divergence)), gradients = keras.value_and_grad(
            loss_of, self.trainable_variables, has_aux=True
        )
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": loss, "reconstruction_loss": reconstruction, "kl_loss": divergence}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer epochs")
    quick = parser.parse_args().quick
    keras.utils.set_random_seed(1)
    (images, _), _ = keras.datasets.digits.load_data()
    images = (images / 16.0).astype("float32").reshape(-1, 64)
    model = VariationalAutoencoder(codes=2)
    model.compile(optimizer=keras.optimizers.Adam(3e-3))
    losses = model.fit(images, batch_size=64, epochs=8 if quick else 40, verbose=2).history["loss"]
    print(f"loss {losses[0]:.2f} -> {losses[-1]:.2f}")
    print(f"error of reconstruction {np.abs(model.predict(images, verbose=0) - images).mean():.4f}")
    row = model.decoder.predict(np.linspace([-2, 0], [2, 0], 6), verbose=0).reshape(6, 8, 8)
    for line in np.concatenate(row, axis=1):  # along one axis of the codes
        print("".join(" .:-=+*#%@"[int(9 * value)] for value in line))


if __name__ == "__main__":
    main()
