"""Write docs/ops.md: every name of `keras.ops`, and what became of it in `lamella.ops`.

`python docs/make_ops.py` rewrites the page; a test requires that it is up to date. The names of `keras.ops` are those that
tests/oracle/record_ops.py wrote down.
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

WORDS = """# `lamella.ops` beside `keras.ops`

`lamella.ops` is what layers, losses and metrics are written in, yours too. Its functions have the names, arguments and
defaults of `keras.ops` {version}; they take symbolic values (in a layer's `call`), NumPy arrays and JAX arrays, tracers
included, and they are differentiable wherever there is a derivative. {present} of the {all} names of `keras.ops` are here;
{absent} are not, each with its reason in the second table. [differences.md](differences.md) lists where a function of the
same name answers otherwise.

Rules that hold throughout:

- **Promotion** follows one table (`lamella.ir.spec.promote`): bool, then integers, then floats; a Python number gives way to
  an array; an integer never widens a float.
- **Shapes are static.** What would have a shape that depends on numbers (`nonzero`, `unique`) cannot be part of a program.
- **Control flow:** `scan`, `fori_loop` (Python bounds), `cond`, `switch`, `map` and `associative_scan` are differentiable on
  every backend. `cond` and `switch` compute the taken branch alone; for its derivative the branch is computed once more.
  `while_loop` needs `maximum_iterations` inside a program, and is a `scan` of that many steps, those after the end doing
  nothing; without it it is a Python loop over arrays. `vectorized_map` is `map`.
- **Indices** count from the end where they are negative, and are moved to the nearest end where they are outside.
- **Large functions load when first used**, so that `import lamella` stays light.

## Present

| name | what it is |
|---|---|
{present_table}

## Absent

| name | why |
|---|---|
{absent_table}

## Only in lamella

| name | what it is |
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
    return WORDS.format(
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
