"""Write docs/backends.md: the words below, and the ops as their docstrings describe them.

`python docs/make_backends.py` rewrites the page; a test requires that it is up to date.
"""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from types import FunctionType

from lamella import backend_api
from lamella.errors import DTypeError
from lamella.ir.spec import DTYPES, Spec
from lamella.ops import primitives as p
from lamella.testing.samples import kinks_of, samples_of

PAGE = Path(__file__).with_name("backends.md")
TORCH = Path(__file__).parents[1] / "tests" / "torch_backend.py"

WORDS = """# Writing a backend

A backend turns programs into functions over its arrays. It needs a name and a kernel for each of the {mandatory} mandatory
ops below; everything else has a default. The other {composite} ops carry a definition in simpler ones, which is used where
a backend has no kernel for it, so a backend may start small and grow where it is slow. It needs **forward kernels
only**: gradients are ordinary programs by the time a backend sees them.

This page describes **version {version} of the backend API** (`lamella.backend.API_VERSION`). The version grows when a
backend written for the last one would need a change; a backend of another version is refused when it is loaded, with both
versions in the message.

## A complete small example

`lamella.testing.reference` is the reference backend: plain NumPy, nothing fast.
[The how-to page](howto/own_backend.md) takes the first steps with it. This one starts from it, adds a kernel
for an op that has a definition, and counts:

```python
import collections

import numpy as np

from lamella.ops import primitives as p
from lamella.testing.reference import KERNELS, Reference


def softmax(x, *, axis):
    y = np.exp(x - x.max(axis, keepdims=True))
    return y / y.sum(axis, keepdims=True)


class Counting(Reference):
    name = "counting"
    kernels = {{**KERNELS, p.softmax: softmax}}

    def __init__(self):
        super().__init__()
        self.counts = collections.Counter()

    def apply(self, equation, operands):
        self.counts[equation.op.name] += 1
        return super().apply(equation, operands)


BACKEND = Counting()
```

Announce it in the `pyproject.toml` of its own distribution; nothing in lamella changes:

```toml
[project.entry-points."lamella.backends"]
counting = "my_package:BACKEND"
```

After `pip install`, users choose it like any other: `LAMELLA_BACKEND=counting`, `lamella.set_backend("counting")`,
`model.compile(..., backend="counting")`. It is imported when it is first used, and `lamella.available_backends()` lists it
without importing it. A backend that fails to import affects no other. Within one process,
`lamella.backend.register_backend(BACKEND)` does without an entry point.

For a framework with its own arrays and dtypes, `tests/torch_backend.py` is a PyTorch backend in one file, written from
this page: {torch_lines} lines, {torch_statements} statements. It has a kernel for every mandatory op, computes the others by
their definitions and trains with the default runner. Where PyTorch is installed (`pip install '.[bench]'`), `make
test-all` requires that it conforms and that a small CNN trains on it as on NumPy.

## Does it conform?

```
python -m lamella.testing --backend counting
```

runs every op on {samples} rows of operands and {kinks} exact rows at non-differentiable points, in float32 and float64,
against the reference; compares every derivative of the first and second order with central differences; checks that
operands stay as they were and
that results share no memory with them or with each other's, that dtypes are those the program says, that four threads may
call one compiled function, that training steps through the runner give the reference's numbers, and that a missing op is
one readable error. It prints a table and exits with 0, 1 (does not conform) or 2 (cannot be loaded). `--only add,tanh` looks
at some ops, `--quick` at the first row of each. From pytest:

```python
from lamella.testing import conformance


def test_conformance():
    report = conformance.run("numpy", only=["add", "tanh"])  # the name of your backend, and no `only`
    assert report.passed, report
```

Results agree with the reference where max|a - b| <= tolerance * max|b| over a tensor: {tolerances}; integers and bool agree
exactly.

## What a kernel is given, and what it must keep

- `kernels[op](*operands, **attributes)` returns one array, or a tuple for an op with several outputs. Operands are arrays of
  the backend's own; attributes are Python values as printed in the program (tuples of integers, strings, numbers), and a
  `Program` for the ops that hold one (`scan`, `foreach`).
- In attributes, specs and the arguments of a backend's methods a dtype is a name:
  {dtypes}.
  `array.dtype` may be NumPy's, something with such a `name`, or a dtype of the framework that the backend declares in
  `dtypes`. A line below each op says which dtypes its operands have; a kernel takes all of them.
- An `Equation` has `op`, `inputs` and `outputs` (values with `spec.shape` and `spec.dtype`), `attrs` (the attributes) and
  `where` (the layer it came from).
- Operands have exactly the dtypes and shapes that the op's rule asks for: promotion and broadcasting happened before, as
  their own equations. The result must have exactly the dtype and shape of the rule: float32 stays float32.
- Integers wrap around. A NaN is never dropped: it stays NaN through arithmetic, wins a maximum and a minimum, compares
  unequal to everything. Division by zero gives infinity or NaN and no exception; an integer divided by zero gives any
  integer, and no exception either.
- A kernel changes no operand, and may return an operand or a view of one. A compiled function is pure, its results are the
  caller's and share no memory with operands or with any buffer that is used again; several threads may call it at once. The
  default `compile` and `evaluate` copy results where `shares_memory` says so.
- An index outside is moved to the nearest end. Reductions over no axes return the operand's numbers.
- `bfloat16` is stored as float32 that is already rounded where the framework has no such dtype. NumPy has none: `asarray`
  is given float32 for it, and `numpy` returns float32.

## Members of a backend

`lamella.backend.Backend` has a default for all of these; subclass it and replace what you know better. A backend may replace
how something runs, never what it computes.

{members}

### The step program

`fit` and `evaluate` run one and the same program on every backend, described by a `StepProgram`:

{step}

### The runner

{runner}

## Mandatory ops

`constant` is among them but needs no kernel: it is bound by the caller of the program.

{mandatory_table}

## Ops with a definition

A kernel for one of these is an optimization; the definition gives the same numbers, up to rounding.

{composite_table}

## What an op's line means

The signature names the operands, then the attributes after the `*`. Each line under "exact" is a row of the conformance
suite: the operands, the value, and where they are given the gradients for the cotangent 1.
"""


def _signature(op: p.Op) -> str:
    operands, attributes = [], []
    for name, parameter in inspect.signature(op.shape).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            operands.append(f"*{name}")
        elif parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            attributes.append(name)
        else:
            operands.append(name)
    return f"{op.name}({', '.join([*operands, *(['*', *attributes] if attributes else [])])})"


def _text(docstring: str | None, without: tuple[str, ...] = ("Example",)) -> str:
    """A docstring as Markdown: its paragraphs, and its sections but those of `without` as bold headings with a list."""
    lines, title = [], ""
    parts = re.split(r"\n(?=[A-Z][a-z]+:\n)", inspect.cleandoc(docstring or ""))
    for line in "\n".join(part for part in parts if part.partition(":")[0] not in without).splitlines():
        section = re.fullmatch(r"([A-Z][a-z]+):", line)
        item = re.fullmatch(r" {4}(\S.*)", line)
        if section:
            title = section[1]
            lines += [f"**{section[1]}**", ""]
        elif item and title in ("References", "Returns") and lines[-1] and not lines[-1].endswith("."):
            lines[-1] += f" {item[1]}"
        elif item:
            name = re.match(r"(\w+): (.*)", item[1])
            lines.append(f"- `{name[1]}`: {name[2]}" if name else f"- {item[1]}")
        else:
            lines.append(f"  {line.strip()}" if line.startswith("     ") else line)
    return "\n".join(lines).strip()


def _number(x: object) -> str:
    return re.sub(r"\b(\d+)\.0\b", r"\1", str(getattr(x, "tolist", lambda: x)()))


_KINDS = {"bool": ("bool",), "integers": ("int32", "uint8"), "floats": ("float32",)}


def _operand_dtypes(op: p.Op) -> str:
    """Which dtypes the shape rule of a mandatory op takes, for operands that must have the same dtype together."""
    sample = samples_of(op)[0]
    equation = next(e for e in sample.program(sample.dtypes[0]).equations if e.op is op)
    specs = [v.spec for v in equation.inputs]
    names = op.operand_names or ("every operand",) * len(specs)
    groups: dict[str, dict[str, None]] = {}
    for name, spec in zip(names, specs, strict=True):
        groups.setdefault(spec.dtype, {})[name] = None

    def takes(group: str, dtype: str) -> bool:
        try:
            op.result_specs([Spec(s.shape, dtype) if s.dtype == group else s for s in specs], equation.attrs)
        except DTypeError:
            return False
        return True

    texts = []
    for group, members in groups.items():
        kinds = [kind for kind, dtypes in _KINDS.items() if all(takes(group, d) for d in dtypes)]
        allowed = "any dtype" if len(kinds) == len(_KINDS) else " or ".join(kinds)
        same = ", the same for all" if len(members) > 1 or not op.operand_names else ""
        quoted = [f"`{name}`" if op.operand_names else name for name in members]
        texts.append(f"{', '.join(quoted)}: {allowed}{same}")
    return f"Dtypes of {'; '.join(texts)}." if texts else ""


def _ops(mandatory: bool) -> str:
    parts = []
    for op in p.every_op().values():
        if op.mandatory is not mandatory:
            continue
        # arguments and examples are for users of `lamella.ops`, who need not give operands of one dtype and shape
        paragraphs = [f"#### `{_signature(op)}`", _text(op.__doc__, ("Args", "Returns", "Raises", "Example"))]
        if mandatory and (dtypes := _operand_dtypes(op)):
            paragraphs.append(dtypes)
        if not op.differentiable:
            paragraphs.append("Nothing flows back through it.")
        rows = []
        for kink in kinks_of(op):
            operands = ", ".join(_number(x) for x in kink.operands)
            attributes = "".join(f", {k}={v}" for k, v in kink.attributes.items())
            gradients = [f"gradient {_number(g)}" for g in kink.gradients if g is not None]
            result = "; ".join([_number(kink.value), *gradients])
            rows.append(f"- {kink.reason}: `{op.name}({operands}{attributes})` is `{result}`")
        if rows:
            paragraphs.append("Exact:\n\n" + "\n".join(rows))
        parts.append("\n\n".join(paragraphs))
    return "\n\n".join(parts)


def _members(kind: type) -> str:
    parts = []
    for name, member in vars(kind).items():
        if name.startswith("_") or not isinstance(member, FunctionType | property):
            continue
        function = member if isinstance(member, FunctionType) else member.fget
        assert function is not None  # noqa: S101 - a property has a getter
        arguments = list(inspect.signature(function).parameters)[1:]
        call = f"({', '.join(arguments)})" if isinstance(member, FunctionType) else ""
        parts.append(f"#### `{name}{call}`\n\n{_text(function.__doc__)}")
    return "\n\n".join(parts)


def page() -> str:
    """The text of docs/backends.md."""
    from lamella.testing.samples import KINKS, SAMPLES, TOLERANCE

    mandatory = len(p.mandatory_ops())
    torch = TORCH.read_text(encoding="utf-8")
    return WORDS.format(
        mandatory=mandatory,
        composite=len(p.every_op()) - mandatory - 1,
        version=backend_api.API_VERSION,
        samples=len(SAMPLES),
        kinks=len(KINKS),
        tolerances=", ".join(f"{t:g} for {name}" for name, t in TOLERANCE.items()),
        dtypes=", ".join(DTYPES),
        torch_lines=len(torch.splitlines()),
        torch_statements=sum(isinstance(node, ast.stmt) for node in ast.walk(ast.parse(torch))),
        members="\n\n".join([_text(backend_api.Backend.__doc__), _members(backend_api.Backend)]),
        step="\n\n".join([_text(backend_api.StepProgram.__doc__), _members(backend_api.StepProgram)]),
        runner="\n\n".join([_text(backend_api.Runner.__doc__), _members(backend_api.Runner)]),
        mandatory_table=_ops(True),
        composite_table=_ops(False),
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
