"""Sentiment of IMDB's reviews by convolution in one dimension, as in the examples of Keras 1."""

from __future__ import print_function

import numpy as np

np.random.seed(1337)

from keras.datasets import imdb
from keras.layers import Activation, Convolution1D, Dense, Dropout, Embedding, GlobalMaxPooling1D
from keras.models import Sequential
from keras.preprocessing import sequence

max_features = 200
maxlen = 16
nb_filter = 6
filter_length = 3

(X_train, y_train), (X_test, y_test) = imdb.load_data(nb_words=max_features)
X_train = sequence.pad_sequences(X_train, maxlen=maxlen)
X_test = sequence.pad_sequences(X_test, maxlen=maxlen)

model = Sequential()
model.add(Embedding(max_features, 8, input_length=maxlen))
model.add(Dropout(0.2))
model.add(
    Convolution1D(
        nb_filter=nb_filter, filter_length=filter_length, border_mode="valid", activation="relu", subsample_length=1
    )
)
model.add(GlobalMaxPooling1D())
model.add(Dense(8))
model.add(Dropout(0.2))
model.add(Activation("relu"))
model.add(Dense(1))
model.add(Activation("sigmoid"))
model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
model.fit(X_train, y_train, batch_size=16, nb_epoch=2, validation_data=(X_test, y_test))
