"""The tests with other Pythons, and with the oldest and the newest NumPy and JAX that pyproject.toml allows.

    make matrix                                  every session: the fast tests
    make matrix ARGS="tests/test_ir.py -k dtype" every session, with arguments of pytest
    nox -l                                       the sessions
    nox -s "tests-3.12(oldest)" -- -k conv       one of them

uv downloads the interpreters that are missing. A session whose interpreter cannot be had is skipped, with a message.
"""

from __future__ import annotations

import nox
from packaging.requirements import Requirement

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
FIRST_NUMPY_FOR = {"3.13": "2.1.0", "3.14": "2.3.2"}
"""The first NumPy with wheels for a Python, where it is newer than the oldest that lamella allows."""

VERSIONS = (
    "import jax, numpy, platform as p; print(p.python_version(), 'numpy', numpy.__version__, 'jax', jax.__version__)"
)

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv|venv"
nox.options.download_python = "auto"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_venv = "yes"

PROJECT = nox.project.load_toml("pyproject.toml")["project"]


def oldest(requirements: list[str], name: str) -> str:
    """The lower bound of a package among requirements."""
    (found,) = [r for r in map(Requirement, requirements) if r.name == name]
    (version,) = [s.version for s in found.specifier if s.operator == ">="]
    return version


def pins(python: str, versions: str) -> list[str]:
    """Requirements that keep NumPy and JAX at their oldest versions; none for the newest."""
    if versions == "newest":
        return []
    numpy = FIRST_NUMPY_FOR.get(python) or oldest(PROJECT["dependencies"], "numpy")
    jax = oldest(PROJECT["optional-dependencies"]["jax"], "jax")
    return [f"numpy=={numpy}", f"jax=={jax}", f"jaxlib=={jax}"]


@nox.session(python=PYTHONS)
@nox.parametrize("versions", ["oldest", "newest"], ids=["oldest", "newest"])
def tests(session: nox.Session, versions: str) -> None:
    """The fast tests, or what the arguments of pytest choose."""
    upgrade = ["--upgrade"] if versions == "newest" else []
    session.install("--quiet", *upgrade, "--editable", ".[test]", *pins(str(session.python), versions))
    session.run("python", "-c", VERSIONS)
    session.run("python", "-m", "pytest", "-n", "2", *session.posargs)
