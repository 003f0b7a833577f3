"""
Two classes: benign or malignant
================================

A multilayer perceptron tells benign from malignant tumours (scikit-learn's bundled Wisconsin data).
"""

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

import lamella as keras
from lamella.layers import Dense, Dropout, Input, Normalization
from lamella.models import Sequential

keras.utils.set_random_seed(1)
x, y = load_breast_cancer(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(x.astype("float32"), y, stratify=y, random_state=1)

scale = Normalization()
scale.adapt(x_train)
model = Sequential(
    [
        Input((30,)),
        scale,
        Dense(64, activation="relu"),
        Dropout(0.5),
        Dense(64, activation="relu"),
        Dropout(0.5),
        Dense(1, activation="sigmoid"),
    ]
)
model.compile(loss="binary_crossentropy", optimizer="rmsprop", metrics=["accuracy"])
model.fit(x_train, y_train, epochs=30, batch_size=32, verbose=2)
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"test loss {loss:.4f}, test accuracy {accuracy:.4f}")
