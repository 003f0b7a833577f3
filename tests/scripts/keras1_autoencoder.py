"""A sparse autoencoder of digits by the functional interface, as in the blog of Keras 1."""

import numpy as np

np.random.seed(11)

from keras import regularizers
from keras.datasets import mnist
from keras.layers import Dense, Input
from keras.models import Model

encoding_dim = 16
input_img = Input(shape=(784,))
encoded = Dense(encoding_dim, activation="relu", activity_regularizer=regularizers.l1(10e-5))(input_img)
decoded = Dense(784, activation="sigmoid")(encoded)
autoencoder = Model(input=input_img, output=decoded)
encoder = Model(input=input_img, output=encoded)
encoded_input = Input(shape=(encoding_dim,))
decoder = Model(input=encoded_input, output=autoencoder.layers[-1](encoded_input))

autoencoder.compile(optimizer="adadelta", loss="binary_crossentropy")
(x_train, _), (x_test, _) = mnist.load_data()
x_train = x_train.astype("float32") / 255.0
x_test = x_test.astype("float32") / 255.0
x_train = x_train.reshape((len(x_train), np.prod(x_train.shape[1:])))
x_test = x_test.reshape((len(x_test), np.prod(x_test.shape[1:])))
autoencoder.fit(x_train, x_train, nb_epoch=2, batch_size=32, shuffle=True, validation_data=(x_test, x_test))
encoded_imgs = encoder.predict(x_test)
decoded_imgs = decoder.predict(encoded_imgs)
print(encoded_imgs.shape, decoded_imgs.shape)
