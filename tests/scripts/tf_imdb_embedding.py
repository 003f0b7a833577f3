"""Reviews by the mean of their words' vectors, as in a tutorial of TensorFlow 2."""

import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

tf.random.set_seed(2)
vocab_size = 200
imdb = keras.datasets.imdb
(train_data, train_labels), (test_data, test_labels) = imdb.load_data(num_words=vocab_size)
word_index = imdb.get_word_index()
word_index = {k: (v + 3) for k, v in word_index.items()}
word_index["<PAD>"] = 0
word_index["<START>"] = 1
word_index["<UNK>"] = 2
word_index["<UNUSED>"] = 3
reverse_word_index = dict([(value, key) for (key, value) in word_index.items()])
print(" ".join([reverse_word_index.get(i, "?") for i in train_data[0]]))
train_data = keras.preprocessing.sequence.pad_sequences(
    train_data, value=word_index["<PAD>"], padding="post", maxlen=16
)
test_data = keras.preprocessing.sequence.pad_sequences(test_data, value=word_index["<PAD>"], padding="post", maxlen=16)

model = keras.Sequential()
model.add(layers.Embedding(vocab_size, 8))
model.add(layers.GlobalAveragePooling1D())
model.add(layers.Dense(8, activation=tf.keras.activations.relu))
model.add(layers.Dense(1, activation="sigmoid"))
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["acc"])
x_val, partial_x_train = train_data[:20], train_data[20:]
y_val, partial_y_train = train_labels[:20], train_labels[20:]
history = model.fit(
    partial_x_train, partial_y_train, epochs=3, batch_size=16, validation_data=(x_val, y_val), verbose=1
)
print(history.history.keys())
print(model.evaluate(test_data, test_labels))
