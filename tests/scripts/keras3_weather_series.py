"""A forecast by an LSTM over windows of several series, as in the examples of Keras 3; the weather is made here."""

import keras
import numpy as np

keras.utils.set_random_seed(2)
rng = np.random.default_rng(1)
hours = np.arange(400)
features = np.stack([np.sin(hours / 4 + phase) + rng.normal(0, 0.1, 400) for phase in range(3)], axis=1)
split, past, future, step = 240, 16, 4, 2
features = (features - features[:split].mean(axis=0)) / features[:split].std(axis=0)
sequence_length = past // step
x_train, y_train = features[:split], features[past + future : past + future + split, 1:2]
dataset_train = keras.utils.timeseries_dataset_from_array(
    x_train, y_train, sequence_length=sequence_length, sampling_rate=step, batch_size=32
)
x_val, y_val = features[split:-20], features[split + 20 :, 1:2]
dataset_val = keras.utils.timeseries_dataset_from_array(
    x_val, y_val, sequence_length=sequence_length, sampling_rate=step, batch_size=32
)
inputs = keras.layers.Input(shape=(sequence_length, 3))
lstm_out = keras.layers.LSTM(8)(inputs)
outputs = keras.layers.Dense(1)(lstm_out)
model = keras.Model(inputs=inputs, outputs=outputs)
model.compile(optimizer=keras.optimizers.Adam(learning_rate=0.001), loss="mse")
es_callback = keras.callbacks.EarlyStopping(monitor="val_loss", min_delta=0, patience=5)
history = model.fit(dataset_train, epochs=2, validation_data=dataset_val, callbacks=[es_callback])
print(history.history["loss"])
