"""Photographs of two classes from folders, as in the blog of Keras 2; the photographs are drawn here."""

import os
import tempfile

import numpy as np
from keras.layers import Activation, Conv2D, Dense, Dropout, Flatten, MaxPooling2D
from keras.models import Sequential
from keras.preprocessing.image import ImageDataGenerator, array_to_img, img_to_array, load_img

np.random.seed(10)
folder = tempfile.mkdtemp()
for part, count in (("train", 16), ("validation", 8)):
    for number in range(count):
        kind = ("cats", "dogs")[number % 2]
        os.makedirs(os.path.join(folder, part, kind), exist_ok=True)
        pixels = np.random.uniform(0, 100, (24, 30, 3)) + (100 if kind == "cats" else 0)
        array_to_img(pixels, scale=False).save(os.path.join(folder, part, kind, "%03d.png" % number))
img = load_img(os.path.join(folder, "train", "cats", "000.png"))
print(img_to_array(img).shape)

img_width, img_height = 20, 16
batch_size = 4
model = Sequential()
model.add(Conv2D(4, (3, 3), input_shape=(img_height, img_width, 3)))
model.add(Activation("relu"))
model.add(MaxPooling2D(pool_size=(2, 2)))
model.add(Flatten())
model.add(Dense(8))
model.add(Activation("relu"))
model.add(Dropout(0.5))
model.add(Dense(1))
model.add(Activation("sigmoid"))
model.compile(loss="binary_crossentropy", optimizer="rmsprop", metrics=["accuracy"])

train_datagen = ImageDataGenerator(rescale=1.0 / 255, shear_range=0.2, zoom_range=0.2, horizontal_flip=True)
test_datagen = ImageDataGenerator(rescale=1.0 / 255)
train_generator = train_datagen.flow_from_directory(
    os.path.join(folder, "train"), target_size=(img_height, img_width), batch_size=batch_size, class_mode="binary"
)
validation_generator = test_datagen.flow_from_directory(
    os.path.join(folder, "validation"), target_size=(img_height, img_width), batch_size=batch_size, class_mode="binary"
)
print(train_generator.class_indices)
model.fit_generator(
    train_generator,
    steps_per_epoch=16 // batch_size,
    epochs=2,
    validation_data=validation_generator,
    validation_steps=8 // batch_size,
)
model.save_weights(os.path.join(folder, "first_try.h5"))
