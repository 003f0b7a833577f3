"""
Tables, with scikit-learn
=========================

Columns of numbers and categories become one model with several inputs. Then a model becomes an estimator of
scikit-learn, for pipelines, cross-validation and a search over parameters.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import lamella
from lamella.layers import Concatenate, Dense, Embedding, Flatten, Input, Normalization
from lamella.wrappers import SKLearnClassifier

# %%
# A frame with numbers and categories
# -----------------------------------
# Houses with an area, a number of rooms, and a city. The price per square meter depends on the city.

rng = np.random.default_rng(0)
CITIES = ["Arles", "Berne", "Cork", "Delft", "Essen", "Faro"]
rows = 1500
frame = pd.DataFrame(
    {
        "area": rng.uniform(30, 200, rows),
        "rooms": rng.integers(1, 7, rows).astype(float),
        "city": rng.choice(CITIES, rows),
    }
)
per_meter = frame["city"].map(dict(zip(CITIES, [1.0, 2.6, 1.8, 2.2, 0.8, 1.4], strict=True)))
frame["price"] = frame["area"] / 100 * per_meter + 0.1 * frame["rooms"] + rng.normal(0, 0.1, rows)
print(frame.head(3).round(2))

# %%
# One input per kind of column
# ----------------------------
# ``Normalization`` learns mean and variance from the data with ``adapt`` and belongs to the model, so that nothing has
# to be scaled by hand later. A category is a number that selects a vector of an ``Embedding``.

numbers = frame[["area", "rooms"]].to_numpy("float32")
city = pd.Categorical(frame["city"], CITIES).codes.astype("int32")[:, None]
price = frame[["price"]].to_numpy("float32")

lamella.utils.set_random_seed(0)
scale = Normalization()
scale.adapt(numbers[:1200])
inputs = {"numbers": Input((2,), name="numbers"), "city": Input((1,), dtype="int32", name="city")}
embedding = Embedding(len(CITIES), 2, name="city_vector")
hidden = Concatenate()([scale(inputs["numbers"]), Flatten()(embedding(inputs["city"]))])
for units in (32, 32):
    hidden = Dense(units, activation="relu")(hidden)
model = lamella.Model(inputs, Dense(1)(hidden))
model.compile(lamella.optimizers.Adam(0.01), "mse", metrics=["mae"])

x = {"numbers": numbers, "city": city}
train, test = ({key: value[rows] for key, value in x.items()} for rows in (slice(0, 1200), slice(1200, None)))
model.fit(train, price[:1200], batch_size=64, epochs=30, verbose=0)
print(f"network: mean absolute error {model.evaluate(test, price[1200:], verbose=0)[1]:.3f}")

# %%
# The baseline
# ------------
# On a table a forest of trees is often as good, in two lines. Try it first.

columns = np.hstack([numbers, city])
forest = RandomForestRegressor(random_state=0).fit(columns[:1200], price[:1200, 0])
print(f"forest:  mean absolute error {np.abs(forest.predict(columns[1200:]) - price[1200:, 0]).mean():.3f}")

# %%
# What the network has and the forest does not: a vector for each city, which a person can look at and another model can
# use.

vectors = embedding.get_weights()[0]
plt.figure(figsize=(5, 3.5), layout="constrained")
plt.scatter(*vectors.T, c=[1.0, 2.6, 1.8, 2.2, 0.8, 1.4], s=80)
for name, (a, b) in zip(CITIES, vectors, strict=True):
    plt.annotate(name, (a, b), xytext=(6, 4), textcoords="offset points")
plt.colorbar(label="price per square meter")
plt.show()

# %%
# A model as an estimator
# -----------------------
# ``SKLearnClassifier`` takes a function of ``X`` and ``y`` that returns a compiled model. Everything that scikit-learn
# does with estimators works: here a pipeline that scales the columns within each fold of a cross-validation.

X, y = load_breast_cancer(return_X_y=True)


def make(X, y, units=16, rate=0.01):
    lamella.utils.set_random_seed(0)
    model = lamella.Sequential([Input(X.shape[1:]), Dense(units, activation="relu"), Dense(2, activation="softmax")])
    model.compile(lamella.optimizers.Adam(rate), "categorical_crossentropy")
    return model


network = SKLearnClassifier(make, fit_kwargs={"epochs": 10, "batch_size": 32, "verbose": 0})
for name, estimator in (("network", network), ("logistic regression", LogisticRegression())):
    scores = cross_val_score(make_pipeline(StandardScaler(), estimator), X, y, cv=3)
    print(f"{name}: accuracy {scores.mean():.3f} +- {scores.std():.3f}")

# %%
# A search over parameters
# ------------------------
# The arguments of ``make`` are given in ``model_kwargs``, which a grid search can vary.

search = GridSearchCV(
    make_pipeline(StandardScaler(), network),
    {"sklearnclassifier__model_kwargs": [{"units": 4}, {"units": 32, "rate": 0.03}]},
    cv=2,
)
search.fit(X, y)
print(search.best_params_["sklearnclassifier__model_kwargs"], f"accuracy {search.best_score_:.3f}")
