"""Files of graphs that Keras wrote, for tests that have no Keras: models, and what they predict.

    python tests/oracle/record_graph_files.py             # every model
    python tests/oracle/record_graph_files.py residual    # only these

Keras's files are not the same bytes twice (dates, addresses), so they are recorded only when a model changes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import keras
import numpy as np

from oracle.graph_models import GRAPHS, data

FOLDER = Path(__file__).resolve().parent / "data" / "graph_files"
TRAINED = ("residual", "shared", "by_name")
"""Models that are written in the middle of their training."""


def main() -> int:
    """Write the files of the models given on the command line, of all by default."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    held = FOLDER / "answers.npz"
    answers: dict[str, np.ndarray] = dict(np.load(held)) if held.exists() else {}
    for name in sys.argv[1:] or GRAPHS:
        graph = GRAPHS[name]
        keras.utils.set_random_seed(len(name))
        model, x = graph.make(keras), data(graph)
        for weight in model.weights:  # no weight is zero
            values = np.random.RandomState(len(weight.path)).uniform(0.1, 0.5, weight.shape)
            weight.assign(
                np.where(np.arange(values.size).reshape(values.shape) % 2, values, -values)
                if values.size > 8
                else values
            )
        if name in TRAINED:
            zeros = keras.tree.map_structure(lambda y: np.zeros(y.shape, "float32"), model(x))
            model.compile("adam", "mse")
            model.fit(x, zeros, batch_size=3, epochs=2, shuffle=False, verbose=0)
        model.save(FOLDER / f"{name}.keras")
        answers |= numbered(f"{name}/y", model.predict(x, verbose=0))
        if graph.free is not None:
            answers |= numbered(f"{name}/free", model.predict(data(graph, free=True), verbose=0))
        if name not in ("arithmetic", "products"):  # Keras takes operations in its own .h5 for layers
            model.save(FOLDER / f"{name}.h5")
        if name in TRAINED:
            model.fit(x, zeros, batch_size=3, epochs=1, shuffle=False, verbose=0)
            answers |= {f"{name}/then/{i}": w for i, w in enumerate(model.get_weights())}
        print(name, [layer.name for layer in model.layers])
    np.savez_compressed(held, **answers)
    return 0


def numbered(name: str, outputs: object) -> dict[str, np.ndarray]:
    """The leaves of outputs by number, the entries of a dict by their keys."""
    found: list[np.ndarray] = []

    def visit(part: object) -> None:
        if isinstance(part, dict):
            for key in sorted(part):
                visit(part[key])
        elif isinstance(part, list | tuple):
            for item in part:
                visit(item)
        else:
            found.append(np.asarray(part))

    visit(outputs)
    return {f"{name}/{i}": array for i, array in enumerate(found)}


if __name__ == "__main__":
    raise SystemExit(main())
