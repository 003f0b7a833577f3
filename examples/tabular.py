"""
A table with numbers and categories
===================================

Each column of the table is one input, and the model gives a price and a class.

The table is made here: houses with an area, a number of rooms, a city and a kind. `--quick` trains on fewer rows.
"""

import argparse

import numpy as np

import lamella as keras
from lamella import Input, Model, layers

CITIES, KINDS = 12, 4


def houses(rows, rng):
    columns = {
        "numbers": np.stack([rng.uniform(30, 200, rows), rng.integers(1, 7, rows)], 1).astype("float32"),
        "city": rng.integers(0, CITIES, (rows, 1), dtype="int32"),
        "kind": rng.integers(0, KINDS, (rows, 1), dtype="int32"),
    }
    area, rooms = columns["numbers"].T
    of_city, of_kind = np.sin(np.arange(CITIES)) + 2.5, np.array([1.0, 1.4, 0.7, 1.1])
    price = area / 100 * of_city[columns["city"][:, 0]] * of_kind[columns["kind"][:, 0]] + 0.1 * rooms
    price += 0.1 * rng.standard_normal(rows)
    return columns, {"price": price[:, None].astype("float32"), "dear": (price[:, None] > 2.5).astype("float32")}


def make_model(numbers):
    inputs = {
        "numbers": Input((2,), name="numbers"),
        "city": Input((1,), dtype="int32", name="city"),
        "kind": Input((1,), dtype="int32", name="kind"),
    }
    scale = layers.Normalization()
    scale.adapt(numbers)
    parts = [
        scale(inputs["numbers"]),
        layers.Flatten()(layers.Embedding(CITIES, 4)(inputs["city"])),
        layers.Flatten()(layers.Embedding(KINDS, 2)(inputs["kind"])),
    ]
    h = layers.Dense(64, activation="relu")(layers.concatenate(parts))
    h = layers.Dense(64, activation="relu")(h)
    outputs = {"price": layers.Dense(1)(h), "dear": layers.Dense(1, activation="sigmoid")(h)}
    model = Model(inputs, outputs)
    model.compile(
        optimizer=keras.optimizers.Adam(3e-3),
        loss={"price": "mse", "dear": "binary_crossentropy"},
        loss_weights={"price": 1.0, "dear": 0.5},
        metrics={"price": ["mae"], "dear": ["accuracy"]},
    )
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rows and epochs")
    quick = parser.parse_args().quick
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(1)
    x, y = houses(2000 if quick else 20000, rng)
    x_test, y_test = houses(500, rng)
    model = make_model(x["numbers"])
    model.summary()
    model.fit(x, y, batch_size=64, epochs=12 if quick else 20, verbose=2)
    scores = model.evaluate(x_test, y_test, verbose=0, return_dict=True)
    print(f"test error of the price {scores['price_mae']:.3f}, test accuracy {scores['dear_accuracy']:.4f}")


if __name__ == "__main__":
    main()
