"""`python -m lamella`: inspect, convert and verify files of models, and run scripts written for Keras."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lamella import console
from lamella.errors import FormatError, LamellaError

_EXPORTS = (".py", ".onnx", ".stablehlo")
_LARGEST_RUN = 2**29
"""Numbers that a model from a file may compute for a batch: two gigabytes of float32."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        0; 1 where `verify` finds a difference above the tolerance or `run --list` a missing name; 2 where the file or the
        command is wrong.
    """
    options = _parser().parse_args(arguments)
    try:
        done = options.run(options)
    except BrokenPipeError:  # the reader closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        told = f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
    except (LamellaError, ValueError, ImportError) as error:
        told = " ".join(str(error).split())
    else:
        return done if isinstance(done, int) else done()  # a script, whose errors are not caught here
    print(f"lamella: {told}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lamella", description=__doc__)
    # the package is the table of contents, which no module imports
    parser.add_argument("--version", action="version", version=f"lamella {sys.modules['lamella'].__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Any, told: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=told, description=told)
        made.set_defaults(run=run)
        return made

    info = command("info", _info, "Show what a file contains: format, versions, layers, weights. No model is built.")
    info.add_argument("files", nargs="+", metavar="FILE")
    summary = command("summary", _summary, "Print the table of a model's layers.")
    summary.add_argument("file", metavar="FILE", help="a .keras, .h5 or .safetensors file")
    convert = command("convert", _convert, "Convert a file to another format; the endings select the formats.")
    convert.add_argument("file", metavar="IN", help="a .keras, .h5 or .safetensors file")
    convert.add_argument(
        "out", metavar="OUT", help=".keras, .h5, .safetensors, .weights.h5 (weights alone), .py, .onnx or .stablehlo"
    )
    convert.add_argument("--overwrite", action="store_true", help="replace an existing OUT")
    convert.add_argument("--weights-beside", action="store_true", help="to .py: weights in an .npz file beside it")
    verify = command("verify", _verify, "Run a model on every installed backend and compare the outputs of its layers.")
    verify.add_argument("file", metavar="FILE", help="a .keras, .h5 or .safetensors file")
    verify.add_argument("--rows", type=int, default=8, help="rows of the batch (8)")
    verify.add_argument(
        "--tolerance", type=float, default=1e-4, help="largest difference, in units of a layer's largest output (1e-4)"
    )
    script = command("run", _run, "Run a script for Keras or tf.keras, unchanged, with lamella instead.")
    script.add_argument("--list", action="store_true", help="only list the names it uses, and which are missing")
    script.add_argument("script", metavar="SCRIPT", help="a .py file")
    script.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="arguments of the script")
    return parser


def _loaded(file: str) -> Any:
    from lamella import models

    if file.endswith(_EXPORTS):
        raise FormatError(f"{Path(file).name}: an export runs without lamella, and lamella does not load it.")
    return models.load_model(file, compile=False)


def _run(options: argparse.Namespace) -> Any:
    from lamella.cli import run

    return run.listed(options.script) if options.list else run.prepared(options.script, options.arguments)


def _info(options: argparse.Namespace) -> int:
    from lamella.saving.description import describe

    for number, file in enumerate(options.files):
        found = describe(file)
        if number:
            print()
        print(file)
        width = max(map(len, found.facts))
        for label, value in found.facts.items():
            print(f"  {label:<{width}}  {_printable(value)}")
        rows = [
            [_printable(name), dtype, str(shape), console.human_count(math.prod(shape))]
            for name, dtype, shape in found.weights
        ]
        if not rows:
            continue
        total = sum(math.prod(shape) for _, _, shape in found.weights)
        footer = [f"{len(rows)} arrays, {console.human_count(total)} numbers"]
        footer += [f"{console.human_count(count)} more for: {what}" for what, count in found.others.items()]
        columns: list[Any] = [("Array", "left"), ("Type", "left"), ("Shape", "left"), ("Numbers", "right")]
        console.table("", columns, rows, footer, file=sys.stdout)
    return 0


def _printable(text: str) -> str:
    """Text from a file, without control characters of the terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _summary(options: argparse.Namespace) -> int:
    _loaded(options.file).summary()
    return 0


def _convert(options: argparse.Namespace) -> int:
    from lamella import saving

    out, endings = options.out, tuple(dict.fromkeys((*saving.MODELS, *saving.WEIGHTS, *_EXPORTS)))
    if not out.endswith(endings):
        raise ValueError(f"{out!r}: the ending must be one of {', '.join(endings)}.")
    if options.weights_beside and not out.endswith(".py"):
        raise ValueError("--weights-beside is for an OUT that ends in .py.")
    if Path(out).exists() and not options.overwrite:
        raise ValueError(f"{out!r} exists already; --overwrite replaces it.")
    if Path(out).exists() and Path(out).samefile(options.file):
        raise ValueError(f"{out!r} is the file to be converted.")
    model = _loaded(options.file)
    if out.endswith(_EXPORTS):
        _check_run(model, model.fixed_batch_size or 2, options.file)  # an export holds a sample and its answer
        model.export(out, **({"weights": "beside"} if options.weights_beside else {}))
    elif out.endswith(".weights.h5"):
        model.save_weights(out)
    else:
        model.save(out)
    print(f"{out}: {Path(out).stat().st_size:,} bytes")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from lamella import backend_api, tree
    from lamella.export.symbolic import sample_of

    if options.rows < 1:
        raise ValueError(f"--rows must be at least 1, got {options.rows}.")
    model = _loaded(options.file)
    rows = model.fixed_batch_size or options.rows
    _check_run(model, rows, options.file)
    x = sample_of(model, rows)
    names = sorted(_runnable(), key=lambda name: (name != "numpy", name))
    outputs = {}
    for name in names:
        with backend_api.backend_scope(name):
            # several of a layer that is called several times, or that returns several
            outputs[name] = {layer: list(tree.leaves(found)) for layer, found in model.layer_outputs(x).items()}
    first, others = names[0], names[1:]
    differences = {
        layer: [max(map(_difference, outputs[name][layer], expected), default=0.0) for name in others]
        for layer, expected in outputs[first].items()
    }
    table = []
    for layer, found in differences.items():
        size = max((float(np.abs(a.astype("float64")).max(initial=0.0)) for a in outputs[first][layer]), default=0.0)
        table.append([layer, f"{size:.3g}", *[f"{d:.1e}" for d in found]])
    columns: list[Any] = [("Layer", "left"), (f"Largest on {first}", "right")]
    columns += [(f"Difference on {name}", "right") for name in others]
    worst = max((d for found in differences.values() for d in found), default=0.0)
    holds = worst <= options.tolerance
    told = (
        f"largest difference {worst:.1e}, allowed {options.tolerance:.1e}"
        if others
        else "no other backend is installed"
    )
    console.table(f"{rows} rows on {', '.join(names)}", columns, table, [told], file=sys.stdout)
    return 0 if holds else 1


def _check_run(model: Any, rows: int, file: str) -> None:
    """Raise a `FormatError` where a few bytes of a file would have a batch compute for hours, or fill the memory."""
    from lamella.export.symbolic import sample_specs
    from lamella.lowering.forward import trace_forward
    from lamella.passes.analysis import numbers_computed

    model.require_built()
    counts = numbers_computed(trace_forward(model, sample_specs(model, rows), training=False, keyed=False).program)
    if counts.total() > _LARGEST_RUN:
        layer, most = counts.most_common(1)[0]
        named = f"layer {layer!r}" if layer else "its input"
        raise FormatError(
            f"{Path(file).name}: a batch of {rows} rows computes {counts.total():,} numbers, {most:,} of them in {named}; "
            f"at most {_LARGEST_RUN:,} are computed for a file. Load the model in Python to run it."
        )


def _runnable() -> list[str]:
    """The backends that are not only known, but can be loaded here."""
    from lamella import backend_api
    from lamella.errors import BackendError

    found = []
    for name in backend_api.available_backends():
        try:
            found.append(backend_api.load_backend(name).name)
        except BackendError:
            continue
    return found


def _difference(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference in units of the largest entry; infinite where other entries are finite."""
    a, b = found.astype("float64"), expected.astype("float64")
    if a.shape != b.shape or not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return float("inf")
    finite = np.isfinite(b)
    error = float(np.abs(a[finite] - b[finite]).max(initial=0.0))
    scale = float(np.abs(b[finite]).max(initial=0.0))
    return error / scale if error and scale else error
