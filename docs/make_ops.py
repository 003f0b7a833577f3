"""Write docs/ops.md: every name of `keras.ops`, with its counterpart in `lamella.ops` or the reason why there is none.

`python docs/make_ops.py` rewrites the page; a test requires that it is up to date. The names of `keras.ops` are those that
tests/oracle/record_ops.py recorded.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

from lamella import ops
from lamella.absent import reason
from lamella.ir.program import Op

PAGE = Path(__file__).with_name("ops.md")
NAMES = Path(__file__).resolve().parents[1] / "tests" / "oracle" / "data" / "keras_ops.txt"

TEMPLATE = """# `lamella.ops` compared with `keras.ops`

Layers, losses and metrics are written in `lamella.ops`, custom ones as well. Its functions have the names, arguments and
defaults of `keras.ops` {version}. They take symbolic values (in a layer's `call`), NumPy arrays and JAX arrays, including
tracers, and they are differentiable wherever a derivative exists. {present} of the {all} names of `keras.ops` are present;
{absent} are absent, each with its reason in the second table. [differences.md](differences.md) lists where a function of the
same name behaves differently. `help(lamella.ops.name)` shows the arguments, the errors and an example of each function.

Rules for all functions:

- **Promotion** follows one table (`lamella.ir.spec.promote`): bool, then integers, then floats; a Python number gives way to
  an array; an integer never widens a float.
- **Shapes are static.** A function whose result has a shape that depends on values (`nonzero`, `unique`) cannot be part of a
  program.
- **Control flow:** `scan`, `fori_loop` (Python bounds), `cond`, `switch`, `map` and `associative_scan` are differentiable on
  every backend. `cond` and `switch` compute only the chosen branch; its derivative recomputes the branch. Inside a program
  `while_loop` needs `maximum_iterations` and becomes a `scan` of that many steps, of which those after the end do nothing;
  without a maximum it is a Python loop over arrays. `vectorized_map` is `map`.
- **Indices** count from the end if they are negative, and are moved to the nearest end if they are out of range.
- **Composed functions are loaded when first used**, so that `import lamella` stays fast.

## Present

| name | description |
|---|---|
{present_table}

## Absent

| name | reason |
|---|---|
{absent_table}

## Only in lamella

| name | description |
|---|---|
{own_table}
"""


def keras_names() -> list[str]:
    """The names of `keras.ops`, those of images as "image.name"."""
    return [line.partition("(")[0] for line in NAMES.read_text(encoding="utf-8").splitlines()]


def our_names() -> list[str]:
    """The public functions of `lamella.ops`, those of images as "image.name"."""
    own = [n for n in dir(ops) if not n.startswith("_") and _is_function(getattr(ops, n))]
    return own + [n for n in keras_names() if n.startswith("image.") and hasattr(ops.image, n.removeprefix("image."))]


def _is_function(thing: Any) -> bool:
    return not isinstance(thing, ModuleType) and callable(thing)


def _function(name: str) -> Any:
    return getattr(ops.image, name.removeprefix("image.")) if name.startswith("image.") else getattr(ops, name)


def _signature(name: str) -> str:
    function = _function(name)
    if isinstance(function, Op):
        return f"{name}({', '.join(function.operand_names)})"
    return name + str(inspect.signature(function).replace(return_annotation=inspect.Signature.empty, parameters=[
        p.replace(annotation=inspect.Parameter.empty) for p in inspect.signature(function).parameters.values()
    ]))  # fmt: skip


def _described(name: str) -> str:
    function = _function(name)
    own = getattr(function, "name", getattr(function, "__name__", name)).rstrip("_")
    text = inspect.cleandoc(function.__doc__ or "").split("\n\n")[0].replace("\n", " ").replace("|", "\\|")
    same = [n for n in our_names() if n != name and _function(n) is function and n.rstrip("_") == own]
    return f"| `{_signature(name)}` | {f'alias of `{same[0]}`: ' if same else ''}{text} |"


def page() -> str:
    """The text of docs/ops.md.

    Raises:
        ValueError: a name of `keras.ops` is neither present nor has a reason.
    """
    names, ours = keras_names(), our_names()
    present = [n for n in names if n in ours]
    reasons = {n: reason(f"ops.{n}") for n in names if n not in ours}
    if unanswered := [name for name, why in reasons.items() if why is None]:
        raise ValueError(f"names without a reason in lamella.absent: {unanswered}")
    return TEMPLATE.format(
        version="3.15.1",
        all=len(names),
        present=len(present),
        absent=len(reasons),
        present_table="\n".join(map(_described, present)),
        absent_table="\n".join(f"| `{n}` | {why} |" for n, why in reasons.items()),
        own_table="\n".join(_described(n) for n in ours if n not in names),
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
