"""Temperatures from the hours before, by windows of an array, as in a tutorial of TensorFlow 2; the weather is made here."""

import numpy as np
import tensorflow as tf

tf.random.set_seed(4)
hours = np.arange(300)
rng = np.random.default_rng(4)
temperature = 10 + 8 * np.sin(hours * 2 * np.pi / 24) + rng.normal(0, 0.5, 300)
pressure = 990 + np.cumsum(rng.normal(0, 0.3, 300))
data = np.stack([temperature, pressure], axis=1).astype("float32")
mean, std = data[:200].mean(axis=0), data[:200].std(axis=0)
data = (data - mean) / std


def windows(rows, shuffle):
    return tf.keras.preprocessing.timeseries_dataset_from_array(
        data=rows[:-1], targets=rows[12:, 0], sequence_length=12, sequence_stride=1, shuffle=shuffle, batch_size=32
    )


train, val = windows(data[:200], False), windows(data[200:], False)
lstm_model = tf.keras.models.Sequential(
    [tf.keras.layers.LSTM(8, return_sequences=False), tf.keras.layers.Dense(units=1)]
)
early_stopping = tf.keras.callbacks.EarlyStopping(monitor="val_loss", patience=2, mode="min")
lstm_model.compile(
    loss=tf.keras.losses.MeanSquaredError(),
    optimizer=tf.keras.optimizers.Adam(),
    metrics=[tf.keras.metrics.MeanAbsoluteError()],
)
history = lstm_model.fit(train, epochs=2, validation_data=val, callbacks=[early_stopping])
print(lstm_model.evaluate(val, verbose=0))
