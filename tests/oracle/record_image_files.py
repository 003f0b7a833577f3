"""Records Keras's answers about images as arrays and files. Needs Keras on JAX, SciPy and Pillow.

`python tests/oracle/record_image_files.py` writes data/image_files.npz; with `--check` it asks again and compares.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import keras
import numpy as np
from keras.src.legacy.preprocessing import image

from oracle.cases_image_files import answers

PAGE = Path(__file__).resolve().parent / "data" / "image_files.npz"


def main() -> int:
    """Record, or with `--check` compare with what was recorded and write nothing."""
    warnings.simplefilter("ignore")
    found = answers(SimpleNamespace(**{**vars(keras.preprocessing.image), **vars(image)}))
    print(f"images: {len(found)} answers")
    if sys.argv[1:] != ["--check"]:
        np.savez_compressed(PAGE, **found)
        return 0
    with np.load(PAGE) as recorded:
        same = {*found} == {*recorded.files} and all(
            np.array_equal(found[name], recorded[name])
            if recorded[name].dtype.kind == "U"
            else np.allclose(found[name], recorded[name], rtol=1e-5, atol=1e-4)
            for name in found
        )
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
