"""Topics of short texts with word vectors that are read from a file, as in the examples of Keras 2."""

from __future__ import print_function

import os
import tempfile

import numpy as np
from keras.initializers import Constant
from keras.layers import Conv1D, Dense, Embedding, GlobalMaxPooling1D, Input, MaxPooling1D
from keras.models import Model
from keras.preprocessing.sequence import pad_sequences
from keras.preprocessing.text import Tokenizer
from keras.utils import to_categorical

np.random.seed(6)
MAX_SEQUENCE_LENGTH = 12
MAX_NUM_WORDS = 60
EMBEDDING_DIM = 8
WORDS = {
    0: "goal match team player league coach season score".split(),
    1: "market share profit bank price trade stock fund".split(),
    2: "cell protein gene virus plant species ocean fossil".split(),
}

folder = tempfile.mkdtemp()
with open(os.path.join(folder, "glove.txt"), "w", encoding="utf-8") as f:
    for label, words in WORDS.items():
        for word in words[:6]:
            f.write(word + " " + " ".join("%.4f" % v for v in np.random.normal(label, 0.3, EMBEDDING_DIM)) + "\n")
embeddings_index = {}
with open(os.path.join(folder, "glove.txt"), encoding="utf-8") as f:
    for line in f:
        word, coefs = line.split(maxsplit=1)
        embeddings_index[word] = np.fromstring(coefs, "f", sep=" ")
print("Found %s word vectors." % len(embeddings_index))

texts, labels = [], []
for i in range(60):
    label = i % 3
    texts.append(" ".join(np.random.choice(WORDS[label], 9)) + ", it is said.")
    labels.append(label)

tokenizer = Tokenizer(num_words=MAX_NUM_WORDS)
tokenizer.fit_on_texts(texts)
sequences = tokenizer.texts_to_sequences(texts)
word_index = tokenizer.word_index
data = pad_sequences(sequences, maxlen=MAX_SEQUENCE_LENGTH)
labels = to_categorical(np.asarray(labels))
indices = np.arange(data.shape[0])
np.random.shuffle(indices)
data, labels = data[indices], labels[indices]
x_train, y_train, x_val, y_val = data[:48], labels[:48], data[48:], labels[48:]

num_words = min(MAX_NUM_WORDS, len(word_index) + 1)
embedding_matrix = np.zeros((num_words, EMBEDDING_DIM))
for word, i in word_index.items():
    if i < MAX_NUM_WORDS and embeddings_index.get(word) is not None:
        embedding_matrix[i] = embeddings_index[word]
embedding_layer = Embedding(
    num_words,
    EMBEDDING_DIM,
    embeddings_initializer=Constant(embedding_matrix),
    input_length=MAX_SEQUENCE_LENGTH,
    trainable=False,
)
sequence_input = Input(shape=(MAX_SEQUENCE_LENGTH,), dtype="int32")
embedded_sequences = embedding_layer(sequence_input)
x = Conv1D(8, 3, activation="relu")(embedded_sequences)
x = MaxPooling1D(2)(x)
x = Conv1D(8, 2, activation="relu")(x)
x = GlobalMaxPooling1D()(x)
preds = Dense(3, activation="softmax")(x)
model = Model(sequence_input, preds)
model.compile(loss="categorical_crossentropy", optimizer="rmsprop", metrics=["acc"])
history = model.fit(x_train, y_train, batch_size=16, epochs=2, validation_data=(x_val, y_val))
print(history.history["val_acc"][-1])
