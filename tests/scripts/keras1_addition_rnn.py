"""An LSTM adds numbers written as text, as in the examples of Keras 1."""

from __future__ import print_function

import numpy as np

np.random.seed(3)

from keras.layers.core import Activation, Dense, RepeatVector
from keras.layers.recurrent import LSTM
from keras.layers.wrappers import TimeDistributed
from keras.models import Sequential


class CharacterTable(object):
    """Characters as one-hot rows."""

    def __init__(self, chars, maxlen):
        self.chars = sorted(set(chars))
        self.char_indices = dict((c, i) for i, c in enumerate(self.chars))
        self.indices_char = dict((i, c) for i, c in enumerate(self.chars))
        self.maxlen = maxlen

    def encode(self, C, maxlen=None):
        X = np.zeros((maxlen or self.maxlen, len(self.chars)))
        for i, c in enumerate(C):
            X[i, self.char_indices[c]] = 1
        return X

    def decode(self, X, calc_argmax=True):
        if calc_argmax:
            X = X.argmax(axis=-1)
        return "".join(self.indices_char[x] for x in X)


DIGITS = 2
MAXLEN = DIGITS + 1 + DIGITS
ctable = CharacterTable("0123456789+ ", MAXLEN)
questions, expected = [], []
for _ in range(128):
    a, b = np.random.randint(0, 10**DIGITS, 2)
    questions.append("{}+{}".format(a, b).ljust(MAXLEN)[::-1])
    expected.append(str(a + b).ljust(DIGITS + 1))
X = np.array([ctable.encode(q) for q in questions])
y = np.array([ctable.encode(q, DIGITS + 1) for q in expected])

model = Sequential()
model.add(LSTM(16, input_shape=(MAXLEN, len(ctable.chars))))
model.add(RepeatVector(DIGITS + 1))
model.add(LSTM(16, return_sequences=True))
model.add(TimeDistributed(Dense(len(ctable.chars))))
model.add(Activation("softmax"))
model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])

for iteration in range(1, 3):
    print("Iteration", iteration)
    model.fit(X[:112], y[:112], batch_size=32, nb_epoch=1, validation_data=(X[112:], y[112:]))
    rowX, rowy = X[112:113], y[112:113]
    preds = model.predict_classes(rowX, verbose=0)
    print("Q", ctable.decode(rowX[0])[::-1], "T", ctable.decode(rowy[0]), ctable.decode(preds[0], calc_argmax=False))
