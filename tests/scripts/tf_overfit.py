"""Regularized perceptrons of several sizes and a decaying learning rate, as in a tutorial of TensorFlow 2."""

import numpy as np
import tensorflow as tf
from tensorflow.keras import layers, regularizers

tf.random.set_seed(3)
rng = np.random.RandomState(3)
FEATURES = 10
x = rng.normal(size=(96, FEATURES)).astype("float32")
y = (x[:, :1] * x[:, 1:2] > 0).astype("float32")
STEPS_PER_EPOCH = 4
lr_schedule = tf.keras.optimizers.schedules.InverseTimeDecay(
    0.001, decay_steps=STEPS_PER_EPOCH * 1000, decay_rate=1, staircase=False
)


def get_optimizer():
    return tf.keras.optimizers.Adam(lr_schedule)


def get_callbacks():
    return [tf.keras.callbacks.EarlyStopping(monitor="val_binary_crossentropy", patience=20)]


def compile_and_fit(model, optimizer=None, max_epochs=2):
    if optimizer is None:
        optimizer = get_optimizer()
    model.compile(
        optimizer=optimizer,
        loss=tf.keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[tf.keras.metrics.BinaryCrossentropy(from_logits=True, name="binary_crossentropy"), "accuracy"],
    )
    model.summary()
    return model.fit(
        x[:80],
        y[:80],
        batch_size=20,
        epochs=max_epochs,
        validation_data=(x[80:], y[80:]),
        callbacks=get_callbacks(),
        verbose=0,
    )


size_histories = {}
tiny_model = tf.keras.Sequential([layers.Dense(8, activation="elu", input_shape=(FEATURES,)), layers.Dense(1)])
size_histories["Tiny"] = compile_and_fit(tiny_model)
combined_model = tf.keras.Sequential(
    [
        layers.Dense(16, kernel_regularizer=regularizers.l2(0.0001), activation="elu", input_shape=(FEATURES,)),
        layers.Dropout(0.5),
        layers.Dense(16, kernel_regularizer=regularizers.l2(0.0001), activation="elu"),
        layers.Dropout(0.5),
        layers.Dense(1),
    ]
)
size_histories["Combined"] = compile_and_fit(combined_model)
for name, history in size_histories.items():
    print(name, sorted(history.history))
