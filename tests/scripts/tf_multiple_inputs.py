"""Tickets with a title, a body and tags, to a priority and a department, as in a guide of TensorFlow 2."""

import numpy as np
import tensorflow as tf
from tensorflow.keras import Input, Model, layers

tf.random.set_seed(5)
np.random.seed(5)
num_tags, num_words, num_departments = 6, 50, 3

title_input = Input(shape=(None,), name="title")
body_input = Input(shape=(None,), name="body")
tags_input = Input(shape=(num_tags,), name="tags")
title_features = layers.LSTM(6)(layers.Embedding(num_words, 8)(title_input))
body_features = layers.LSTM(4)(layers.Embedding(num_words, 8)(body_input))
x = layers.concatenate([title_features, body_features, tags_input])
priority_pred = layers.Dense(1, name="priority")(x)
department_pred = layers.Dense(num_departments, name="department")(x)
model = Model(inputs=[title_input, body_input, tags_input], outputs=[priority_pred, department_pred])
model.compile(
    optimizer=tf.keras.optimizers.RMSprop(1e-3),
    loss={
        "priority": tf.keras.losses.BinaryCrossentropy(from_logits=True),
        "department": tf.keras.losses.CategoricalCrossentropy(from_logits=True),
    },
    loss_weights={"priority": 1.0, "department": 0.2},
)
title_data = np.random.randint(num_words, size=(64, 5))
body_data = np.random.randint(num_words, size=(64, 8))
tags_data = np.random.randint(2, size=(64, num_tags)).astype("float32")
priority_targets = np.random.random(size=(64, 1)).round()
dept_targets = np.eye(num_departments)[np.random.randint(num_departments, size=64)]
model.fit(
    {"title": title_data, "body": body_data, "tags": tags_data},
    {"priority": priority_targets, "department": dept_targets},
    epochs=2,
    batch_size=32,
)
print([p.shape for p in model.predict({"title": title_data, "body": body_data, "tags": tags_data})])
