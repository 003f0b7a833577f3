"""Sentiment of IMDB's reviews by an LSTM, as in the examples of Keras 1."""

from __future__ import print_function

import numpy as np

np.random.seed(1337)

from keras.datasets import imdb
from keras.layers import LSTM, Activation, Dense, Embedding
from keras.models import Sequential
from keras.preprocessing import sequence

max_features = 200
maxlen = 12
batch_size = 16

(X_train, y_train), (X_test, y_test) = imdb.load_data(nb_words=max_features)
print(len(X_train), "train sequences")
X_train = sequence.pad_sequences(X_train, maxlen=maxlen)
X_test = sequence.pad_sequences(X_test, maxlen=maxlen)

model = Sequential()
model.add(Embedding(max_features, 8, input_length=maxlen))
model.add(LSTM(8, dropout_W=0.2, dropout_U=0.2, inner_activation="hard_sigmoid"))
model.add(Dense(1))
model.add(Activation("sigmoid"))
model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
model.fit(X_train, y_train, batch_size=batch_size, nb_epoch=2, validation_data=(X_test, y_test))
score, acc = model.evaluate(X_test, y_test, batch_size=batch_size)
print("Test score:", score)
print("Test accuracy:", acc)
