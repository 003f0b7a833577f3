"""Records what `keras.ops.image` answers to the calls of cases_ops_image.py. Needs Keras on JAX.

`python tests/oracle/record_ops_image.py` writes data/ops_image.npz; with `--check` it asks again and compares.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import keras
import numpy as np

from oracle.cases_ops_image import CALLS

PAGE = Path(__file__).resolve().parent / "data" / "ops_image.npz"


def main() -> int:
    """Record, or with `--check` compare with what was recorded and write nothing."""
    found = {name: np.asarray(call(keras.ops.image)) for name, call in CALLS.items()}
    print(f"ops.image: {len(found)} answers")
    if sys.argv[1:] != ["--check"]:
        np.savez_compressed(PAGE, **found)
        return 0
    with np.load(PAGE) as recorded:
        same = {*found} == {*recorded.files} and all(
            np.allclose(found[name], recorded[name], rtol=1e-5, atol=1e-5) for name in found
        )
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
