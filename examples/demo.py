"""
One script on two backends
==========================

`make demo`: the digits once on JAX and once on NumPy, from the same seed, by the same script.

Prints both loss curves side by side with their largest difference, and writes one picture with the curves and a grid of
predictions. It runs `digits.py`, which must be in the same folder.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

BACKENDS = ("jax", "numpy")


def train(backend, epochs, folder):
    out = Path(folder) / f"{backend}.npz"
    script = Path(sys.argv[0]).with_name("digits.py")
    environment = {**os.environ, "LAMELLA_BACKEND": backend}
    command = [sys.executable, str(script), "--epochs", str(epochs), "--out", str(out)]
    subprocess.run(command, env=environment, check=True)
    with np.load(out) as archive:
        return {**archive, **json.loads(str(archive["result"]))}


def report(results):
    a, b = (results[name]["curve"] for name in BACKENDS)
    print("\nepoch   loss on jax   loss on numpy   difference")
    for epoch, (left, right) in enumerate(zip(a, b, strict=True), start=1):
        print(f"{epoch:5d}   {left:11.6f}   {right:13.6f}   {abs(left - right):10.1e}")
    print(f"largest difference of the two curves: {np.abs(a - b).max():.1e}")
    for name in BACKENDS:
        r = results[name]
        print(f"{name:>5}: test accuracy {r['accuracy']:.4f}, {r['seconds']:.2f} s an epoch")


def draw(results, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.1))
    axes = left.subplots()
    for name, style in zip(BACKENDS, ("-", "--"), strict=True):
        curve = results[name]["curve"]
        axes.plot(
            range(1, len(curve) + 1), curve, style, linewidth=2.5, label=f"{name}, {results[name]['accuracy']:.1%}"
        )
    axes.set(xlabel="epoch", ylabel="training loss", yscale="log", title="one script, one seed, two backends")
    axes.legend(title="test accuracy")
    images, labels = results["numpy"]["images"], results["numpy"]["labels"]
    guesses = results["numpy"]["predictions"].argmax(-1)
    wrong_first = np.argsort(guesses == labels, kind="stable")[:32]
    right.suptitle("predictions (mistakes first)")
    for cell, i in zip(right.subplots(4, 8).flat, wrong_first, strict=True):
        cell.imshow(images[i, :, :, 0], cmap="gray_r")
        cell.set_axis_off()
        wrong = guesses[i] != labels[i]
        title = f"{guesses[i]}, is {labels[i]}" if wrong else f"{guesses[i]}"
        cell.set_title(title, color="red" if wrong else "black", fontsize=9)
    figure.savefig(path, dpi=130)
    print(f"wrote {path}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--picture", type=Path, default=Path("digits.png"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = {name: train(name, arguments.epochs, folder) for name in BACKENDS}
    report(results)
    draw(results, arguments.picture)
    if min(results[name]["accuracy"] for name in BACKENDS) < 0.97:
        sys.exit("a test accuracy is below 0.97")


if __name__ == "__main__":
    main()
