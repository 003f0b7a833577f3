"""The pages of the reference: one page per public module, with its functions, and one page per class."""

from __future__ import annotations

import importlib
import inspect
import warnings
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from public_modules import MODULES, public_names


class Page:
    """What the page of a module says.

    Attributes:
        classes, functions: the names that it describes.
        others: {a name of the module: the full name under which the same object is described}.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.classes: list[str] = []
        self.functions: list[str] = []
        self.others: dict[str, str] = {}

    def text(self) -> str:
        """The page as reST."""
        parts = [f"{self.name}\n{'=' * len(self.name)}", f".. automodule:: {self.name}\n   :no-members:"]
        if self.classes:
            listed = "\n".join(f"   {name}" for name in self.classes)
            parts += ["Classes\n-------", f".. autosummary::\n   :nosignatures:\n\n{listed}"]
        if self.functions:
            listed = "\n".join(f"   {name}" for name in self.functions)
            parts += ["Functions\n---------", f".. autosummary::\n   :nosignatures:\n\n{listed}"]
            parts += [f".. autofunction:: {name}" for name in self.functions]
        if self.others:
            parts.append("Other names\n-----------")
            parts.append("\n".join(f"- ``{name}`` is :py:obj:`{full}`." for name, full in self.others.items()))
        return "\n\n".join(parts) + "\n"

    def class_text(self, name: str) -> str:
        """The page of a class, which no table of contents lists: every page shows that table, and there are 300 classes."""
        return f""":orphan:

{name}
{"=" * len(name)}

A class of :doc:`{self.name}`.

.. currentmodule:: {self.name}

.. autoclass:: {name}
   :members:
   :inherited-members: {_not_inherited(getattr(importlib.import_module(self.name), name))}
   :show-inheritance:
"""


def read() -> tuple[dict[str, Page], dict[int, str]]:
    """The pages by the names of their modules, and under which full name each object is described, by its identity."""
    pages, described = {}, {}
    for module_name in MODULES:
        module, page = importlib.import_module(module_name), Page(module_name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # names of earlier releases
            found = {name: getattr(module, name) for name in public_names(module)}
        # the name that the object gives itself comes before its aliases
        for name in sorted(
            found, key=lambda name: (found[name].__class__ is type and found[name].__name__ != name, name)
        ):
            made = found[name]
            if inspect.ismodule(made) or not callable(made):
                continue
            if id(made) in described:
                page.others[name] = described[id(made)]
                continue
            described[id(made)] = f"{module_name}.{name}"
            (page.classes if inspect.isclass(made) else page.functions).append(name)
        pages[module_name] = page
    return pages, described


PAGES, DESCRIBED = read()


def write(folder: Path) -> None:
    """Write the pages where they have changed, and remove those of names that are gone.

    Args:
        folder: the folder of the pages; it holds nothing else.
    """
    folder.mkdir(exist_ok=True)
    texts = {f"{name}.rst": page.text() for name, page in PAGES.items()} | {"index.rst": _index()}
    texts |= {f"{p.name}.{name}.rst": p.class_text(name) for p in PAGES.values() for name in p.classes}
    for path in folder.glob("*.rst"):
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _index() -> str:
    parts = [
        "Reference\n=========",
        "Every public module, with its classes and functions. The examples are run by the tests.",
        ".. toctree::\n   :hidden:\n\n   ../ops\n   ../names",
    ]
    for heading in dict.fromkeys(MODULES.values()):
        named = [name for name in MODULES if MODULES[name] == heading]
        parts.append(f"{heading}\n{'-' * len(heading)}")
        parts.append("\n".join(f"- :doc:`{name}`: {_about(name)}" for name in named))
        parts.append(".. toctree::\n   :hidden:\n\n" + "\n".join(f"   {name}" for name in named))
    parts.append("Alongside Keras\n---------------")
    parts.append(
        "- :doc:`../ops`: every name of ``keras.ops``, and what became of it.\n"
        "- :doc:`../names`: every public name of Keras, and what lamella answers to it."
    )
    return "\n\n".join(parts) + "\n"


def _about(name: str) -> str:
    """The first sentence of a module's docstring."""
    from lamella_site.docstrings import converted

    first = " ".join((importlib.import_module(name).__doc__ or "").split("\n\n")[0].split())
    return "".join(converted([first.removeprefix(f"{name}: ")]))


def _not_inherited(made: type) -> str:
    """The bases of a class whose methods are described elsewhere: those with a page, and those that are not lamella's."""
    bases = made.__mro__[1:]
    return ", ".join(b.__name__ for b in bases if id(b) in DESCRIBED or not b.__module__.startswith("lamella"))


def _imported(full_name: str) -> Any:
    """What has the full name.

    Raises:
        AttributeError: nothing.
    """
    found: Any = importlib.import_module("lamella")
    for part in full_name.split(".")[1:]:
        found = getattr(found, part)
    return found


def skip(_app: Sphinx, _what: str, _name: str, member: Any, _skipped: bool, _options: Any) -> bool | None:
    """The event `autodoc-skip-member`: methods that scikit-learn adds to estimators refer to its own pages."""
    return True if str(getattr(member, "__module__", "")).startswith("sklearn") else None


def resolve(app: Sphinx, env: Any, node: Any, contnode: Any) -> Any:
    """The event `missing-reference`: names of lamella that are described under another name, and code that is not a name.

    A name in backticks in a docstring (`Dense`, `ops.tanh`, `fit`) becomes a link where it has a page, else stays code.
    """
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"].removesuffix("()")
    for name in (target, f"lamella.{target}", f"{node.get('py:module')}.{target}"):
        full = _described_as(name)
        if full is not None:
            domain = env.get_domain("py")
            return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", full, node, contnode)
    # an annotation or a base that is not public, or code in backticks
    return contnode if node["reftype"] == "obj" or target.startswith("lamella.") else None


def _described_as(name: str) -> str | None:
    """The full name under which what `name` imports is described."""
    if not name.startswith("lamella."):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = _imported(name)
    except (AttributeError, ImportError):
        return None
    if inspect.ismodule(found):
        return found.__name__ if found.__name__ in MODULES else None
    return DESCRIBED.get(id(found))
