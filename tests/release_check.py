"""What is checked before a release; `make release-check` runs it.

    python tests/release_check.py            # the version of pyproject.toml, which CHANGELOG.md must have a section for
    python tests/release_check.py --draft    # earlier: `Unreleased` will do

It builds the wheel and the source archive, looks at their metadata, and installs each into an environment that has NumPy
alone, where a model is trained. The archives that passed are in `dist` then.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from email.parser import Parser
from pathlib import Path

from packaged import ROOT, build, install, run, train

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NEEDED_IN_SDIST = ("CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md")


class Checks:
    """Prints the result of each check as it is known, and counts those that failed."""

    def __init__(self) -> None:
        self.failed = 0

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        try:
            yield
        except AssertionError as error:
            self.failed += 1
            print(f"FAILED  {what}\n        " + str(error).replace("\n", "\n        "), flush=True)
        else:
            print(f"ok      {what}", flush=True)


def changelog_has_a_section(text: str, version: str, draft: bool) -> None:
    """The section of a version, with its date, is the newest and is not empty.

    Raises:
        AssertionError: there is none.
    """
    sections = re.findall(r"^## \[(.+?)\](?: - (\S+))?\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    sections = [s for s in sections if s[0] != "Unreleased" or draft or s[2].strip()]
    assert sections, "CHANGELOG.md has no section"
    name, date, entries = sections[0]
    if draft and name == "Unreleased":
        assert entries.strip() or len(sections) > 1, "the section Unreleased of CHANGELOG.md is empty"
        return
    assert name == version, f"the newest section of CHANGELOG.md must be [{version}], got [{name}]"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", date), f"the section [{version}] must have a date such as 2026-01-31"
    assert entries.strip(), f"the section [{version}] of CHANGELOG.md is empty"


def metadata_of(archive: Path) -> tuple[Message, set[str]]:
    """The metadata of a wheel or a source archive, and the files in it by their paths from its root."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as file:
            names = set(file.namelist())
            (path,) = [name for name in names if name.endswith(".dist-info/METADATA")]
            return Parser().parsestr(file.read(path).decode()), names
    with tarfile.open(archive) as file:
        paths = file.getnames()
        root = f"{paths[0].split('/')[0]}/"
        held = file.extractfile(f"{root}PKG-INFO")
        assert held is not None
        return Parser().parsestr(held.read().decode()), {path.removeprefix(root) for path in paths}


def metadata_is_that_of_the_project(found: Message) -> None:
    """Name, version, license, Python and classifiers are those of pyproject.toml.

    The build has checked that each classifier exists, and that the license is an SPDX expression.

    Raises:
        AssertionError: something differs or is missing.
    """
    for header, wanted in (
        ("Name", PROJECT["name"]),
        ("Version", PROJECT["version"]),
        ("Summary", PROJECT["description"]),
        ("License-Expression", PROJECT["license"]),
        ("Requires-Python", PROJECT["requires-python"]),
        ("Description-Content-Type", "text/markdown"),
    ):
        assert found[header] == wanted, f"{header} must be {wanted!r}, got {found[header]!r}"
    assert sorted(found.get_all("License-File", [])) == sorted(PROJECT["license-files"])
    classifiers = found.get_all("Classifier", [])
    assert set(PROJECT["classifiers"]) == set(classifiers), f"other classifiers: {classifiers}"
    assert not [c for c in classifiers if c.startswith("License ::")], "the license is an expression, not a classifier"


def tried(archive: Path, folder: Path) -> None:
    """An archive installed with NumPy alone trains a model, has the version, and answers at the command line.

    Raises:
        AssertionError: it does not.
    """
    python = install(archive, folder / "environment")
    listed = 'from importlib.metadata import distributions as d; print(*sorted(x.metadata["Name"] for x in d()))'
    installed = run(python, "-I", "-c", listed).split()
    assert installed == ["lamella", "numpy"], f"lamella and numpy must be all that is installed, got {installed}"
    version = run(python, "-I", "-c", "import lamella; print(lamella.__version__)").strip()
    assert version == PROJECT["version"], f"lamella.__version__ must be {PROJECT['version']}, got {version}"
    train(python, folder)
    printed = run(python, "-I", "-W", "error", "-m", "lamella", "--help")
    assert printed.startswith("usage: python -m lamella"), printed


def main() -> int:
    """The command line; 1 where a check fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--draft", action="store_true", help="take the section Unreleased of CHANGELOG.md for the version's"
    )
    parser.add_argument("--no-isolation", action="store_true", help="build with the hatchling that is installed here")
    asked = parser.parse_args()

    check = Checks()
    with check(f"CHANGELOG.md has a section for {PROJECT['version']}"):
        text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
        changelog_has_a_section(text, PROJECT["version"], asked.draft)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with check("the source archive builds, and the wheel from it"):
            build(folder / "dist", *["--no-isolation"] * asked.no_isolation)
        archives = sorted((folder / "dist").glob("*"))
        for archive in archives:
            metadata, names = metadata_of(archive)
            with check(f"{archive.name}: version, license and classifiers"):
                metadata_is_that_of_the_project(metadata)
            if archive.suffix == ".gz":
                with check(f"{archive.name}: the pages of the project are in it"):
                    missing = [page for page in NEEDED_IN_SDIST if page not in names]
                    assert not missing, f"not there: {', '.join(missing)}"
            with check(f"{archive.name}: the README renders"):
                run(sys.executable, "-m", "twine", "check", "--strict", archive)
            with check(f"{archive.name}: trains with NumPy alone"):
                place = folder / archive.suffix.strip(".")
                place.mkdir()
                tried(archive, place)
        if archives and not check.failed:
            shutil.rmtree(ROOT / "dist", ignore_errors=True)
            shutil.copytree(folder / "dist", ROOT / "dist")
            print("\n" + "\n".join(f"dist/{archive.name}" for archive in archives))
    return int(check.failed > 0)


if __name__ == "__main__":
    sys.exit(main())
