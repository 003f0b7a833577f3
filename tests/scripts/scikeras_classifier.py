"""Parameters of a model, its optimizer and its callbacks by their prefixes, as in the quickstart of scikeras."""

import numpy as np
from keras.callbacks import EarlyStopping
from keras.layers import Dense, Dropout, Input
from keras.models import Sequential
from scikeras.wrappers import KerasClassifier
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV

X, y = make_classification(60, 20, n_informative=10, random_state=0)
X = X.astype(np.float32)
y = y.astype(np.int64)


def get_model(hidden_layer_dim, meta):
    n_features_in_ = meta["n_features_in_"]
    model = Sequential()
    model.add(Input(shape=(n_features_in_,)))
    model.add(Dense(n_features_in_, activation="relu"))
    model.add(Dropout(0.1))
    model.add(Dense(hidden_layer_dim, activation="relu"))
    model.add(Dense(meta["n_classes_"], activation="softmax"))
    return model


clf = KerasClassifier(
    get_model,
    loss="sparse_categorical_crossentropy",
    metrics=["accuracy"],
    optimizer="adam",
    hidden_layer_dim=8,
    callbacks=EarlyStopping,
    callbacks__monitor="loss",
    epochs=2,
    verbose=0,
    random_state=1,
)
clf.fit(X, y)
print(clf.predict_proba(X).shape, clf.history_["loss"])
gs = GridSearchCV(
    clf,
    {"hidden_layer_dim": [6, 8], "optimizer__learning_rate": [0.01], "loss": ["sparse_categorical_crossentropy"]},
    refit=False,
    cv=2,
    scoring="accuracy",
)
gs.fit(X, y)
print(gs.best_score_, gs.best_params_)
