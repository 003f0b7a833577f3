"""Records Keras's answers to the rows of `cases.py`, so that lamella's tests need no Keras.

    python tests/oracle/record.py                  # write data/*.npz
    python tests/oracle/record.py --check          # ask again and compare with the checked-in files
    python tests/oracle/record.py layers fits      # only these kinds

Needs keras==3.15.1 and jax, and runs on the CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Run as a script, this file's package is not importable; its parent's parent makes `oracle` one.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import keras
import numpy as np

from oracle import (
    cases,
    load,
    record_callbacks,
    record_free,
    record_functions,
    record_graphs,
    record_layers,
    record_recurrent,
    record_training,
    record_updates,
    structures,
)

KERAS_VERSION = "3.15.1"
# Re-recorded on the CPU that recorded them, the answers come out the same to the bit. Another CPU has other vector widths,
# so XLA sums in another order, and twenty steps of an optimizer carry the differences along.
TOLERANCE = 1e-5
# A gradient that is zero but for rounding (an attention's key bias: softmax does not see it) has no digit to compare: it
# may differ by this much of the largest gradient beside it.
ROUNDING = 1e-6

RECORDERS: dict[str, Callable[[Any], dict[str, np.ndarray]]] = {
    "activations": record_functions.record_activation,
    "layers": record_layers.record,
    "catalogue": record_layers.record,
    "recurrent": record_recurrent.record,
    "losses": record_functions.record_loss,
    "optimizers": record_training.record_optimizer,
    "updates": record_updates.record_update,
    "schedules": record_updates.record_schedule,
    "metrics": record_functions.record_metric,
    "fits": record_training.record_fit,
    "structures": lambda case: structures.trained(keras, case),
    "free": record_free.record,
    "graphs": record_graphs.record,
    "callbacks": record_callbacks.record,
}


def record(kind: str) -> dict[str, np.ndarray]:
    """Ask Keras every row of a kind; the arrays are keyed `"<case id>/<key>"`.

    Raises:
        ValueError: Two rows share an id, or an id would be read as part of another's.
    """
    arrays = {"about": np.array(json.dumps({"keras": keras.__version__, "jax": jax.__version__}))}
    seen = set()
    for case in cases.TABLES[kind]:
        if case.id in seen or "/" in case.id:
            raise ValueError(f"{kind} row id {case.id!r} is used twice or contains a slash")
        seen.add(case.id)
        arrays |= {f"{case.id}/{key}": np.asarray(value) for key, value in RECORDERS[kind](case).items()}
    return arrays


def difference(new: np.ndarray, old: np.ndarray) -> float:
    """Return max|new - old|, infinite where the kinds, shapes or non-finite values differ."""
    if new.shape != old.shape or new.dtype.kind != old.dtype.kind:
        return np.inf
    if new.dtype.kind != "f" or not np.isfinite(old).all():
        return 0.0 if np.array_equal(new, old, equal_nan=old.dtype.kind == "f") else np.inf
    if new.dtype != old.dtype or not np.isfinite(new).all():
        return np.inf
    return float(np.abs(new.astype("float64") - old).max(initial=0.0))


def largest(x: np.ndarray) -> float:
    """Return max|x| over the finite values of a floating-point array, 0 of any other."""
    return float(np.abs(x[np.isfinite(x)]).max(initial=0.0)) if x.dtype.kind == "f" else 0.0


def check(kind: str, arrays: dict[str, np.ndarray]) -> list[str]:
    """Compare fresh answers with the checked-in file and describe every difference."""
    recorded = load.archive(kind)
    findings = [f"{kind}: {name} is recorded but no longer asked" for name in recorded.keys() - arrays.keys()]
    findings += [f"{kind}: {name} is asked but not recorded" for name in arrays.keys() - recorded.keys()]
    beside: dict[str, float] = {}
    for name, old in recorded.items():
        if "/gradient_" in name:
            family = name.rpartition("/gradient_")[0]
            beside[family] = max(beside.get(family, 0.0), largest(old))
    for name in arrays.keys() & recorded.keys():
        # The versions are for the reader; answers, not versions, are compared.
        if name == "about":
            continue
        error, scale = difference(arrays[name], recorded[name]), largest(recorded[name])
        gradients = beside.get(name.rpartition("/gradient_")[0], 0.0)
        if error > max(TOLERANCE * scale, ROUNDING * gradients):
            findings.append(f"{kind}: {name}, of at most {scale:.2e}, differs by {error:.2e}")
    return sorted(findings)


def main() -> int:
    """Record or check the kinds given on the command line, all of them by default."""
    parser = argparse.ArgumentParser(description="Record Keras's answers, or check the recorded ones.")
    parser.add_argument("kinds", nargs="*", help=f"among {', '.join(cases.TABLES)}; default all")
    parser.add_argument("--check", action="store_true", help="compare with the checked-in files; write nothing")
    arguments = parser.parse_args()
    if unknown := set(arguments.kinds) - cases.TABLES.keys():
        parser.error(f"unknown kinds {sorted(unknown)}; known: {', '.join(cases.TABLES)}")
    if keras.__version__ != KERAS_VERSION:
        parser.error(f"the oracle is Keras {KERAS_VERSION}, but Keras {keras.__version__} is installed")
    findings = []
    for kind in arguments.kinds or cases.TABLES:
        arrays = record(kind)
        if arguments.check:
            found = check(kind, arrays)
            findings += found
            print(f"{kind}: {len(cases.TABLES[kind])} rows, {len(arrays)} arrays, {len(found)} differences")
        else:
            path = load.DATA / f"{kind}.npz"
            path.parent.mkdir(exist_ok=True)
            np.savez_compressed(path, **arrays)
            print(f"{kind}: {len(cases.TABLES[kind])} rows, {len(arrays)} arrays, {path.stat().st_size:,} bytes")
    print(*findings, sep="\n", end="\n" if findings else "")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
