"""Early stopping, checkpoints, logs and files of a model, as in tutorials of Keras 2."""

import os
import tempfile

import numpy as np
from keras.callbacks import CSVLogger, EarlyStopping, LearningRateScheduler, ModelCheckpoint, ReduceLROnPlateau
from keras.layers import Dense, Dropout
from keras.layers.normalization import BatchNormalization
from keras.models import Sequential, load_model, model_from_json
from keras.optimizers import SGD

np.random.seed(12)
X = np.random.rand(80, 6)
Y = (X.sum(axis=1) > 3).astype("float32")
folder = tempfile.mkdtemp()

model = Sequential()
model.add(Dense(8, input_dim=6, kernel_initializer="uniform", activation="relu"))
model.add(BatchNormalization())
model.add(Dropout(0.1))
model.add(Dense(1, kernel_initializer="uniform", activation="sigmoid"))
model.compile(loss="binary_crossentropy", optimizer=SGD(lr=0.1, momentum=0.9), metrics=["accuracy"])
filepath = os.path.join(folder, "weights-{epoch:02d}.hdf5")
callbacks = [
    EarlyStopping(monitor="val_loss", patience=5, verbose=1, mode="min"),
    ModelCheckpoint(filepath, monitor="val_loss", verbose=1, save_best_only=False, mode="min"),
    ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=2, min_lr=0.001),
    LearningRateScheduler(lambda epoch: 0.1 * 0.9**epoch),
    CSVLogger(os.path.join(folder, "log.csv")),
]
history = model.fit(X, Y, validation_split=0.25, epochs=3, batch_size=10, callbacks=callbacks, verbose=0)
print(sorted(os.listdir(folder)))
model.load_weights(os.path.join(folder, "weights-03.hdf5"))
model.save(os.path.join(folder, "model.h5"))
with open(os.path.join(folder, "model.json"), "w") as json_file:
    json_file.write(model.to_json())
again = load_model(os.path.join(folder, "model.h5"))
with open(os.path.join(folder, "model.json")) as json_file:
    loaded_model = model_from_json(json_file.read())
loaded_model.set_weights(again.get_weights())
loaded_model.compile(loss="binary_crossentropy", optimizer="rmsprop", metrics=["accuracy"])
score = loaded_model.evaluate(X, Y, verbose=0)
print("%s: %.2f%%" % (loaded_model.metrics_names[1], score[1] * 100))
assert np.allclose(model.predict(X, verbose=0), loaded_model.predict(X, verbose=0), atol=1e-6)
