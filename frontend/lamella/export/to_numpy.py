"""`model.export("net.py")`: a model as one readable Python file that needs NumPy alone."""

from __future__ import annotations

import base64
import hashlib
import io
import types
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from lamella import tree
from lamella.export.python_writer import PythonWriter, harmless, is_written
from lamella.export.symbolic import (
    ExportError,
    Inference,
    answer_of,
    inference_of,
    sample_of,
    stored_dtype,
    version,
)
from lamella.files.atomic import write_atomically
from lamella.ir.dim import BATCH, Dim, at, public_shape, shapes_differ, symbol, symbols_of
from lamella.ir.spec import Shape, Spec
from lamella.passes.expressions import literal, number

OLDEST_PYTHON = (3, 8)
OLDEST_NUMPY = (1, 17)
SMALL = 24
"""Elements up to which an array is written as numbers."""
TOLERANCE = {"float16": 1e-2, "bfloat16": 2e-2, "float32": 1e-5, "float64": 1e-9}
"""The tolerance of `check` by dtype of the prediction, in units of its largest entry."""

_HEAD = '''"""{title}

The model {name!r}, written by lamella {version}. It needs Python {python} and NumPy {numpy} or newer,
and nothing else.

    from {module} import predict
    {usage}

    python {module}.py --check    computes the recorded example again and compares

`predict` may be called from several threads at once; it changes nothing. `forward` is the model, line by line.
"""

from __future__ import annotations

import base64
import sys
{imports}
import numpy as np

if sys.version_info < {oldest_python}:
    raise ImportError("this file needs Python {python} or newer")
if tuple(int(part) for part in np.__version__.split(".")[:2]) < {oldest_numpy}:
    raise ImportError("this file needs NumPy {numpy} or newer, found " + np.__version__)

# ---- what to call ----------------------------------------------------------------------------------------------------


{called}
# ---- the model -------------------------------------------------------------------------------------------------------


'''

_PREDICT = '''def predict(x, batch_size={batch_size}):
    """The predictions for the rows of x: an array of shape {given}.

    x: {taken}; other dtypes are converted. batch_size: how many rows are computed at a time.
    """
    x = np.asarray(x)
    if {misfits}:
        raise ValueError("x has the shape {taken_shape}, got {{}}".format(x.shape))
{count}    x = np.ascontiguousarray(x, dtype="{dtype}")
    if len(x) == 0:
        return np.zeros({empty}, "{result}")
    with np.errstate(all="ignore"):
        parts = [forward(x[i : i + batch_size]) for i in range(0, len(x), batch_size)]
    return np.array(parts[0]) if len(parts) == 1 else np.concatenate(parts)


'''

_PREDICT_SEVERAL = '''INPUTS = {inputs}
OUTPUTS = {outputs}


def predict({parameters}, batch_size={batch_size}):
    """The predictions for the rows of the inputs: {results}.

    {taken}; other dtypes are converted. batch_size: how many rows are computed at a time.
    """
    arrays = []
    for x, (name, dtype, shape) in zip(({parameters},), INPUTS):
        x = np.asarray(x)
        if x.ndim != len(shape) or any(n is not None and n != size for n, size in zip(shape[1:], x.shape[1:])):
            raise ValueError("{{}} has the shape {{}}, got {{}}".format(name, shape, x.shape))
        arrays.append(np.ascontiguousarray(x, dtype=dtype))
    {parameters}{comma} = arrays
    rows = len(arrays[0])
    if any(len(x) != rows for x in arrays):
        raise ValueError("the inputs have {{}} rows".format(" and ".join(str(len(x)) for x in arrays)))
{count}    if rows == 0:
        found = [{empty}]
    else:
        with np.errstate(all="ignore"):
            parts = [forward(*(x[i : i + batch_size] for x in arrays)) for i in range(0, rows, batch_size)]
        parts = [part if isinstance(part, tuple) else (part,) for part in parts]
        found = [np.concatenate(part) for part in zip(*parts)]
    return dict(zip(OUTPUTS, found)) if len(OUTPUTS) > 1 else found[0]


'''

_CHECK = '''def check():
    """Compute the recorded example again; returns the largest difference in units of the largest entry.

    Raises AssertionError where it is above {tolerance}.
    """
    {found}


def _compared(found, expected):
    if found.shape != expected.shape or found.dtype != expected.dtype:
        raise AssertionError("expected {{}} of {{}}, got {{}} of {{}}".format(
            expected.dtype, expected.shape, found.dtype, found.shape))
    a, b = found.astype("float64"), expected.astype("float64")
    if not (np.isfinite(a) == np.isfinite(b)).all():
        raise AssertionError("other entries are finite than in the recorded output")
    a, b = a[np.isfinite(a)], b[np.isfinite(b)]
    error, scale = np.abs(a - b).max(initial=0.0), np.abs(b).max(initial=0.0)
    difference = float(error / scale) if scale > 0 else float(error)
    if not difference <= {tolerance}:
        raise AssertionError("the largest difference is {{}}, allowed is {tolerance}".format(difference))
    return difference

'''

_ARRAYS = '''
# ---- weights and the recorded example --------------------------------------------------------------------------------


def _array(dtype, shape, text):
    """A read-only array from its bytes, compressed and in base64."""
    data = zlib.decompress(base64.b64decode(text))
    array = np.ndarray(shape, np.dtype(dtype), data).astype(np.dtype(dtype).newbyteorder("="))
    array.setflags(write=False)
    return array

'''

_BESIDE = """
_FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), {file!r})
with open(_FILE, "rb") as _opened:
    _content = _opened.read()
if hashlib.sha256(_content).hexdigest() != {digest!r}:
    raise ImportError(_FILE + " does not hold the weights of this model: export both files again")
with np.load(io.BytesIO(_content), allow_pickle=False) as _weights:
    {names} = (_weights[_name] for _name in {listed})
"""

_FOOT = """

if __name__ == "__main__":
    if sys.argv[1:] != ["--check"]:
        sys.exit("usage: python {module}.py --check")
    print("largest difference from the recorded output: {{:.1e}}".format(check()))
"""


def export_numpy(model: Any, path: str, *, weights: str = "inside", sample: Any = None) -> None:
    """Write `model` as a Python file; see `Sequential.export`."""
    from lamella.backend_api import load_backend

    target, kernels = Path(path), load_backend("numpy").kernels
    if weights not in ("inside", "beside"):
        raise ValueError(f'weights is "inside" (the file) or "beside" (it, as .npz), got {weights!r}.')
    if not target.stem.isidentifier():
        raise ValueError(f"{target.name!r} cannot be imported: the name before .py must be a Python name.")
    inference = inference_of(model, lambda op: is_written(op, kernels))
    x = _sample(model, inference, sample)
    example = list(tree.leaves(x)), list(tree.leaves(answer_of(model, x)))
    made = _Text(model, inference, target.stem, example, PythonWriter(inference, kernels))
    text, beside = made.text(weights == "beside", target.stem)
    _try(text, beside, target)
    if beside is None:
        write_atomically(target, text.encode())
    else:
        # the name contains a hash, so that a file never loads the weights of another export
        write_atomically(target.with_name(beside[0]), beside[1])
        write_atomically(target, text.encode())
        for old in target.parent.glob(f"{target.stem}-????????.npz"):
            if old.name != beside[0]:
                old.unlink(missing_ok=True)


def _sample(model: Any, inference: Inference, sample: Any) -> Any:
    if sample is None:
        return sample_of(model, inference.rows or 2)
    given, structure = tree.flatten(model.arranged(sample, "sample"))
    specs = list(tree.leaves(model.input_spec))
    arrays = [np.asarray(x) for x in given]
    rows = {len(x) for x in arrays}
    fits = len(rows) == 1 and 0 not in rows and not any(map(_differ, arrays, specs))
    if not fits or (inference.rows is not None and rows != {inference.rows}):
        shapes = [x.shape for x in arrays]
        raise ValueError(
            f"the sample must be a batch of shape {model.input_shape}, got {shapes[0] if len(shapes) == 1 else shapes}."
        )
    typed = [x.astype(stored_dtype(spec.dtype)) for x, spec in zip(arrays, specs, strict=True)]
    return tree.unflatten(structure, typed)


def _differ(array: np.ndarray, spec: Spec) -> bool:
    return shapes_differ(array.shape[1:], spec.shape[1:])


class _Text:
    """Assembles the parts of the file."""

    def __init__(
        self,
        model: Any,
        inference: Inference,
        module: str,
        example: tuple[list[np.ndarray], list[np.ndarray]],
        writer: PythonWriter,
    ) -> None:
        self.inference, self.module, self.example, self.writer = inference, module, example, writer
        self.forward = self.writer.forward()
        dtypes = [model.compute_dtype, *[value.dtype for value in inference.predictions.values()]]
        self.tolerance = max(TOLERANCE.get(dtype, 0.0) for dtype in dtypes)
        self.values = {
            "title": f"{module}: {harmless(model.name)}, {len(model.layers)} layers.",
            "name": harmless(model.name),
            "version": version(),
            "python": _dotted(OLDEST_PYTHON),
            "numpy": _dotted(OLDEST_NUMPY),
            "oldest_python": OLDEST_PYTHON,
            "oldest_numpy": OLDEST_NUMPY,
            "module": module,
            "batch_size": inference.rows or 32,
            "count": "",
            "tolerance": self.tolerance,
        }
        if inference.rows is not None:
            counted = "len(x)" if self.single else "rows"
            self.values["count"] = (
                f"    if {counted} != {inference.rows} or batch_size != {inference.rows}:\n"
                f'        raise ValueError("this model takes batches of {inference.rows} rows, got {{}}".format({counted}))\n'
            )
        self.values |= self._of_one() if self.single else self._of_several()

    @property
    def single(self) -> bool:
        """Whether there is one input and one output."""
        return len(self.inference.batches) == len(self.inference.predictions) == 1

    def _sizes(self) -> dict[str, Any]:
        """For each free dimension what gives its size in `predict`, of no rows."""
        found: dict[str, Any] = {}
        for name, value in self.inference.batches.items():
            for i, dim in enumerate(value.shape):
                if isinstance(dim, Dim):
                    found.setdefault(str(dim), symbol(f"{self.writer.parameters[name]}.shape[{i}]"))
        return found | {BATCH: 0}

    def _of_one(self) -> dict[str, Any]:
        (batch,), (prediction,) = self.inference.batches.values(), self.inference.predictions.values()
        (x,), (answer,) = self.example
        taken = literal(batch.shape)
        return {
            "usage": f"y = predict(x)              # x: {taken} of {x.dtype.name}",
            "taken": f"{taken} of {x.dtype.name}",
            "taken_shape": taken,
            "given": literal(prediction.shape),
            "misfits": _misfits(batch.shape),
            "dtype": x.dtype.name,
            "result": answer.dtype.name,
            "empty": literal(tuple(at(d, self._sizes()) for d in prediction.shape)),
            "found": "return _compared(predict(_array(*EXAMPLE_INPUT)), _array(*EXAMPLE_OUTPUT))",
        }

    def _of_several(self) -> dict[str, Any]:
        batches, predictions = self.inference.batches, self.inference.predictions
        names = list(self.writer.parameters.values())
        inputs = [
            (name, x.dtype.name, public_shape(value.shape))
            for (name, value), x in zip(batches.items(), self.example[0], strict=True)
        ]
        taken = [
            f"{name}: {literal(value.shape)} of {x.dtype.name}"
            for name, value, x in zip(names, batches.values(), self.example[0], strict=True)
        ]
        empty = [
            f'np.zeros({literal(tuple(at(d, self._sizes()) for d in value.shape))}, "{y.dtype.name}")'
            for value, y in zip(predictions.values(), self.example[1], strict=True)
        ]
        given = [f"{harmless(name)} of shape {literal(value.shape)}" for name, value in predictions.items()]
        return {
            "usage": f"found = predict({', '.join(names)})    # {'; '.join(taken)}",
            "parameters": ", ".join(names),
            "comma": "," if len(names) == 1 else "",
            "inputs": inputs,
            "outputs": list(predictions),
            "taken": "; ".join(taken),
            "results": ("a dict of " if len(given) > 1 else "an array, ") + ", ".join(given),
            "empty": ", ".join(empty),
            "found": (
                "found = predict(*(_array(*x) for x in EXAMPLE_INPUT))\n"
                "    found = list(found.values()) if isinstance(found, dict) else [found]\n"
                "    return max(_compared(a, _array(*b)) for a, b in zip(found, EXAMPLE_OUTPUT))"
            ),
        }

    def text(self, beside: bool, stem: str) -> tuple[str, tuple[str, bytes] | None]:
        """The file, and the name and bytes of the file beside it."""
        imports, functions = self.writer.kernels.text()
        own = {"import numpy as np", "import base64", "import sys"}
        needed = {*imports, "import zlib", *(["import hashlib", "import io", "import os"] if beside else [])} - own
        plain = sorted(line for line in needed if line.startswith("import "))
        called = (_PREDICT if self.single else _PREDICT_SEVERAL).format(**self.values) + _CHECK.format(**self.values)
        head = _HEAD.format(**self.values, called=called, imports="\n".join([*plain, *sorted(needed - set(plain)), ""]))
        parts = [head, "\n".join(self.forward), "\n"]
        functions += ["\n".join(lines) for lines in self.writer.functions.values()]
        if functions:
            parts += [f"\n\n# ---- kernels {'-' * 103}\n\n\n", "\n\n\n".join(functions), "\n"]
        parts += ["\n", _ARRAYS]
        extra = None
        large = {name: a for name, a in self.writer.arrays.items() if not beside or a.size <= SMALL}
        if beside:
            kept = {name: a for name, a in self.writer.arrays.items() if name not in large}
            content = _npz(kept)
            digest = hashlib.sha256(content).hexdigest()
            extra = (f"{stem}-{digest[:8]}.npz", content)
            names = "".join(f"{name}, " for name in kept)
            if kept:
                parts.append(_BESIDE.format(file=extra[0], digest=digest, names=names.strip(), listed=list(kept)))
            else:
                extra = None
        parts += [f"{name} = {_written(array)}\n" for name, array in large.items()]
        for name, arrays in zip(("EXAMPLE_INPUT", "EXAMPLE_OUTPUT"), self.example, strict=True):
            packed = [_packed(array) for array in arrays]
            parts.append(f"{name} = {packed[0] if self.single else f'[{chr(10)}' + f',{chr(10)}'.join(packed) + ']'}\n")
        parts.append(_FOOT.format(module=self.module))
        return "".join(parts), extra


def _misfits(shape: Shape) -> str:
    """The condition under which an array x does not have `shape`, whatever its free dimensions are."""
    if not symbols_of(shape[1:]):
        return f"x.shape[1:] != {shape[1:]} or x.ndim != {len(shape)}"
    sizes = [f"x.shape[{i}] != {d}" for i, d in enumerate(shape) if i and isinstance(d, int)]
    return " or ".join([f"x.ndim != {len(shape)}", *sizes])


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _written(array: np.ndarray) -> str:
    if array.size > SMALL:
        return f"_array(*{_packed(array)})"
    if not array.size:
        return f'np.zeros({array.shape}, "{array.dtype.name}")'
    items = [number(a).partition("(")[2][:-1] for a in array.reshape(-1)[..., None][:, 0]]
    text = f'np.array([{", ".join(items)}], "{array.dtype.name}")'
    return text if array.ndim == 1 else f"{text}.reshape({array.shape})"


def _packed(array: np.ndarray) -> str:
    """Dtype, shape and bytes as the arguments of `_array`."""
    little = array.dtype.newbyteorder("<")
    text = base64.encodebytes(zlib.compress(np.ascontiguousarray(array, little).tobytes(), 1)).decode().strip()
    return f'({little.str!r}, {array.shape}, """\n{text}\n""")'


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    """An `.npz` file; the same arrays give the same bytes."""
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), content.getvalue())
    return buffer.getvalue()


def _try(text: str, beside: tuple[str, bytes] | None, target: Path) -> None:
    """Run the finished file once, before anything is written, on the recorded example.

    Raises:
        ExportError: its output differs from that of the model.
    """
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        module = types.ModuleType(target.stem)
        module.__file__ = str(Path(folder, target.name))
        if beside is not None:
            Path(folder, beside[0]).write_bytes(beside[1])
        exec(compile(text, target.name, "exec"), module.__dict__)
        try:
            module.check()
        except Exception as error:
            raise ExportError(
                f"{target.name!r} was not written: it does not compute what the model does: {error}"
            ) from error
