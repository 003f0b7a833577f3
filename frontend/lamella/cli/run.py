"""`lamella run`: a script for Keras or tf.keras, run with lamella in the place of them."""

from __future__ import annotations

import ast
import importlib.machinery
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import Any

from lamella.cli.scripts import Use, problem, rewritten
from lamella.errors import FormatError


def prepared(script: str, arguments: Sequence[str]) -> Callable[[], int]:
    """What runs a script as `python script arguments` does.

    The script and the modules beside it that it imports are rewritten; `sys.modules` gets no "keras" and no "tensorflow",
    so that another library that imports them gets the installed ones, or an `ImportError`.

    Args:
        script: the path of the script.
        arguments: what follows it on the command line.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is a notebook or a folder.
    """
    source, path = _read(script)
    return lambda: _run(source, script, path, arguments)


def _read(script: str) -> tuple[bytes, Path]:
    path = Path(os.path.abspath(script))  # noqa: PTH100 - symbolic links keep their names, as in tracebacks of Python
    if path.suffix == ".ipynb":
        raise ValueError(f"{script!r} is a notebook; save it as a .py file to run it.")
    if path.is_dir():
        raise ValueError(f"{script!r} is a folder; name the script in it.")
    return path.read_bytes(), path


def _run(source: bytes, script: str, path: Path, arguments: Sequence[str]) -> int:
    main = ModuleType("__main__")
    main.__file__ = str(path)
    vars(main)["__builtins__"] = __builtins__
    sys.modules["__main__"] = main
    sys.argv = [script, *arguments]
    if not sys.flags.safe_path:
        folder = path.resolve().parent
        sys.path[0] = str(folder)  # in the place of the current folder
        before = [getattr(finder, "__name__", "") for finder in sys.meta_path].index("PathFinder")
        sys.meta_path.insert(before, ScriptFinder(folder))
    if not sys.warnoptions:  # the script stays as it is, so hints about newer names are of no use
        warnings.filterwarnings("ignore", r".* of an earlier Keras; write ", DeprecationWarning)
    sys.excepthook = _showing(vars(main), sys.excepthook)
    tree, _ = rewritten(source, str(path))
    exec(_compiled(tree, str(path)), vars(main))
    return 0


def _compiled(tree: ast.Module, path: str) -> CodeType:
    return compile(tree, path, "exec", dont_inherit=True)


def _showing(names: dict[str, Any], hook: Callable[..., Any]) -> Callable[..., Any]:
    """`sys.excepthook` without the frames that led to the script."""

    def show(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        while traceback is not None and traceback.tb_frame.f_globals is not names:
            traceback = traceback.tb_next
        hook(kind, error.with_traceback(traceback), traceback)

    return show


class ScriptFinder:
    """Finds the modules in the folder of a script, to rewrite them: those that Python would find there, and no others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """How to import a module of the folder, or None for any other."""
        package = self.folder.joinpath(*name.split(".")[:-1])
        if path is not None and str(package) not in [*path]:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, [str(package)])
        if spec is None or not isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            return None
        spec.loader = _Loader(name, spec.loader.path)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module with its imports rewritten, from the source alone: cached bytecode is that of the unchanged module."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)

    def source_to_code(self, data: Any, path: Any, **_: Any) -> CodeType:
        return _compiled(rewritten(data, str(path))[0], str(path))


def listed(script: str) -> int:
    """Print the names of Keras that a script and the modules beside it use, and which of them lamella lacks.

    Nothing of the script is run.

    Returns:
        0, or 1 if a name is missing.

    Raises:
        FileNotFoundError: there is no such file.
        FormatError: a file is not Python.
    """
    count = missing = 0
    for path, uses in used(script):
        for use in uses:
            told = problem(use.where)
            count, missing = count + 1, missing + (told is not None)
            print(f"{path}:{use.line}: {use.name}{'' if told is None else f' is missing: {told}'}")
    print(f"{script}: {count} names of Keras, {missing} of them missing")
    return 1 if missing else 0


def used(script: str) -> Iterator[tuple[str, list[Use]]]:
    """The names that a script uses, and then those of the modules beside it that it imports, file by file."""
    source, path = _read(script)
    finder = ScriptFinder(path.resolve().parent)
    waiting, seen = [("", source, path)], {path}
    while waiting:
        module, source, path = waiting.pop(0)
        try:
            uses = rewritten(source, str(path))[1]
            tree = ast.parse(source)
        except (SyntaxError, ValueError) as error:
            raise FormatError(f"{path.name}: not Python: {error}.") from None
        yield path.name, uses
        for name in _imports(tree, module if path.name == "__init__.py" else module.rpartition(".")[0]):
            found = _beside(finder, name)
            if found is not None and found not in seen:
                seen.add(found)
                waiting.append((name, found.read_bytes(), found))


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    """The modules that a module of a package may import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".") if package else []
            above = parts[: len(parts) - node.level + 1] if node.level else []
            name = ".".join([*above, *filter(None, [node.module])])
            if name:
                yield name
                yield from (f"{name}.{alias.name}" for alias in node.names)


def _beside(finder: ScriptFinder, name: str) -> Path | None:
    """The file of a module in the folder of the script, without importing it or its package."""
    package = finder.folder.joinpath(*name.split(".")[:-1])
    spec = finder.find_spec(name, [str(package)])
    return Path(spec.origin) if spec is not None and spec.origin is not None else None
