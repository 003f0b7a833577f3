"""Clothes of Fashion-MNIST, as in a tutorial of TensorFlow 2."""

import numpy as np
import tensorflow as tf
from tensorflow import keras

tf.random.set_seed(1)
fashion_mnist = keras.datasets.fashion_mnist
(train_images, train_labels), (test_images, test_labels) = fashion_mnist.load_data()
class_names = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
train_images = train_images / 255.0
test_images = test_images / 255.0

model = keras.Sequential(
    [
        keras.layers.Flatten(input_shape=(28, 28)),
        keras.layers.Dense(24, activation=tf.keras.activations.relu),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizer=tf.keras.optimizers.Adam(), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(train_images, train_labels, epochs=2, batch_size=16)
test_loss, test_acc = model.evaluate(test_images, test_labels, verbose=2)
print("\nTest accuracy:", test_acc)
predictions = model.predict(test_images)
print(class_names[np.argmax(predictions[0])])
img = np.expand_dims(test_images[0], 0)
print(model.predict(img).shape)
