"""Augmented images of CIFAR-10 from a generator, as in the examples of Keras 1."""

from __future__ import print_function

import numpy as np

np.random.seed(7)

from keras.datasets import cifar10
from keras.layers.convolutional import Convolution2D, MaxPooling2D
from keras.layers.core import Activation, Dense, Dropout, Flatten
from keras.models import Sequential
from keras.optimizers import SGD
from keras.preprocessing.image import ImageDataGenerator
from keras.regularizers import l2
from keras.utils import np_utils

batch_size = 16
nb_classes = 10
data_augmentation = True

(X_train, y_train), (X_test, y_test) = cifar10.load_data()
print("X_train shape:", X_train.shape)
Y_train = np_utils.to_categorical(y_train, nb_classes)
Y_test = np_utils.to_categorical(y_test, nb_classes)

model = Sequential()
model.add(
    Convolution2D(4, 3, 3, border_mode="same", subsample=(2, 2), W_regularizer=l2(0.001), input_shape=X_train.shape[1:])
)
model.add(Activation("relu"))
model.add(MaxPooling2D(pool_size=(2, 2)))
model.add(Dropout(0.25))
model.add(Flatten())
model.add(Dense(nb_classes))
model.add(Activation("softmax"))

sgd = SGD(lr=0.01, decay=1e-6, momentum=0.9, nesterov=True)
model.compile(loss="categorical_crossentropy", optimizer=sgd, metrics=["accuracy"])

X_train = X_train.astype("float32") / 255
X_test = X_test.astype("float32") / 255

datagen = ImageDataGenerator(
    featurewise_center=False,
    samplewise_center=False,
    featurewise_std_normalization=False,
    zca_whitening=False,
    rotation_range=0,
    width_shift_range=0.1,
    height_shift_range=0.1,
    horizontal_flip=True,
    vertical_flip=False,
)
datagen.fit(X_train)
model.fit_generator(
    datagen.flow(X_train, Y_train, batch_size=batch_size),
    samples_per_epoch=X_train.shape[0],
    nb_epoch=1,
    validation_data=(X_test, Y_test),
)
