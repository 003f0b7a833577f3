"""Records what `keras.ops` answers to the rows of tests/ops_table.py. Needs Keras on JAX.

`python tests/oracle/record_ops.py` writes data/ops.npz, in float64, and data/keras_ops.txt: the names and signatures of
`keras.ops`.
"""

from __future__ import annotations

import inspect
import os
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_ENABLE_X64", "1")

import jax
import keras
import numpy as np

DATA = Path(__file__).resolve().parent / "data"
sys.path.insert(0, str(DATA.parents[1]))


def record() -> None:
    """Write the answers and the list of names."""
    from ops_table import KERAS, ROWS

    keras.config.set_floatx("float64")
    found = {}
    for row in ROWS:
        if row.reference == KERAS:
            try:
                results = row.apply(keras.ops, [jax.numpy.asarray(x) for x in row.operands()])
            except Exception as error:
                raise RuntimeError(f"Keras does not answer {row.label}") from error
            for i, y in enumerate(jax.tree.leaves(results)):
                found[f"{row.label}/{i}"] = np.asarray(y)
    np.savez_compressed(DATA / "ops.npz", **found)
    lines = []
    for space, module in (("", keras.ops), ("image.", keras.ops.image)):
        for name in sorted(dir(module)):
            function = getattr(module, name)
            if not name.startswith("_") and callable(function):
                lines.append(f"{space}{name}{inspect.signature(function)}")
    (DATA / "keras_ops.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(found)} answers, {len(lines)} names of keras.ops {keras.__version__}")


if __name__ == "__main__":
    record()
