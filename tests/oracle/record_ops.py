"""Records what `keras.ops` answers to the rows of tests/ops_table.py. Needs Keras on JAX.

`python tests/oracle/record_ops.py` writes data/ops.npz, in float64, and data/keras_ops.txt: the names and signatures of
`keras.ops`. With `--check` it asks again and compares.
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


def answers() -> dict[str, np.ndarray]:
    """Keras's answer to every row that asks for one."""
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
    return found


def same(new: np.ndarray, old: np.ndarray) -> bool:
    """Whether two answers agree to the digits of the precision Keras computed them in: another CPU sums in another order."""
    # Whatever its operands are, JAX computes an attention's softmax in float32 and Keras a normalization's moments, whose
    # result it widens: an answer of float32 numbers has float32's digits.
    single = old.dtype.kind == "f" and np.array_equal(old, old.astype(np.float32), equal_nan=True)
    tolerance = 1e-6 if single else 1e-9
    return new.dtype == old.dtype and np.allclose(new, old, rtol=tolerance, atol=tolerance, equal_nan=True)


def names() -> str:
    """The names and signatures of `keras.ops`, a line each."""
    lines = []
    for space, module in (("", keras.ops), ("image.", keras.ops.image)):
        for name in sorted(dir(module)):
            function = getattr(module, name)
            if not name.startswith("_") and callable(function):
                lines.append(f"{space}{name}{inspect.signature(function)}")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Record, or with `--check` compare with what was recorded and write nothing."""
    found, listed = answers(), names()
    differences = []
    if sys.argv[1:] == ["--check"]:
        with np.load(DATA / "ops.npz") as recorded:
            differences = sorted({*found} ^ {*recorded.files})
            differences += [label for label in {*found} & {*recorded.files} if not same(found[label], recorded[label])]
        if (DATA / "keras_ops.txt").read_text(encoding="utf-8") != listed:
            differences.append("keras_ops.txt")
        print(*differences, sep="\n", end="\n" if differences else "")
    else:
        np.savez_compressed(DATA / "ops.npz", **found)
        (DATA / "keras_ops.txt").write_text(listed, encoding="utf-8")
    print(f"ops: {len(found)} answers, {listed.count(chr(10))} names of keras.ops {keras.__version__}")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
