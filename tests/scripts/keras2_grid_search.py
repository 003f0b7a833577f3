"""Optimizers, initializations and batch sizes by a grid search, as in tutorials of Keras 2."""

import numpy
from keras.layers import Dense
from keras.models import Sequential
from keras.wrappers.scikit_learn import KerasClassifier
from sklearn.model_selection import GridSearchCV


def create_model(optimizer="rmsprop", init="glorot_uniform"):
    model = Sequential()
    model.add(Dense(12, input_dim=8, kernel_initializer=init, activation="relu"))
    model.add(Dense(8, kernel_initializer=init, activation="relu"))
    model.add(Dense(1, kernel_initializer=init, activation="sigmoid"))
    model.compile(loss="binary_crossentropy", optimizer=optimizer, metrics=["accuracy"])
    return model


seed = 7
numpy.random.seed(seed)
X = numpy.random.normal(size=(60, 8))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
model = KerasClassifier(build_fn=create_model, verbose=0)
param_grid = dict(optimizer=["rmsprop", "adam"], epochs=[1], batch_size=[20], init=["glorot_uniform", "normal"])
grid = GridSearchCV(estimator=model, param_grid=param_grid, cv=2)
grid_result = grid.fit(X, Y)
print("Best: %f using %s" % (grid_result.best_score_, grid_result.best_params_))
for mean, param in zip(grid_result.cv_results_["mean_test_score"], grid_result.cv_results_["params"]):
    print("%f with: %r" % (mean, param))
