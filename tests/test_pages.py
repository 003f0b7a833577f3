"""The pages' code blocks run as printed, one after the other in one namespace, on each backend, and print what is printed.

A page is a program: its fenced `python` blocks, in order. In a page of the site a fence without a language that follows a
block is what the block prints; `...` in it stands for any text, and decimals may differ a little.
"""

from __future__ import annotations

import doctest
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [ROOT / "docs" / name for name in ("index.md", "start.md", "faq.md")]
PAGES += [page for folder in ("howto", "concepts") for page in (ROOT / "docs" / folder).glob("*.md")]
PAGES = sorted(page for page in PAGES if page.exists() and "\n```python\n" in page.read_text(encoding="utf-8"))

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
_DECIMAL = re.compile(r"-?\d+\.\d*(?:e[+-]?\d+)?")


def blocks(text):
    """(line, code, what it prints) of each block; None where the page does not say what it prints."""
    fences = list(_FENCE.finditer(text))
    for fence, after in zip(fences, [*fences[1:], None], strict=True):
        if fence[1] == "python":
            follows = after is not None and not after[1] and not text[fence.end() : after.start()].strip()
            yield text.count("\n", 0, fence.start(2)), fence[2], after[2] if follows else None


def same(expected, printed):
    """Whether the texts agree but for the last digits of decimals, and for what `...` stands for."""
    if doctest.OutputChecker().check_output(expected, printed, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE):
        return True
    if "".join(_DECIMAL.sub("0.", expected).split()) != "".join(_DECIMAL.sub("0.", printed).split()):
        return False
    pairs = zip(_DECIMAL.findall(expected), _DECIMAL.findall(printed), strict=True)
    return all(float(a) == pytest.approx(float(b), rel=0.02, abs=0.002) for a, b in pairs)


def run(page, folder, backend):
    """Run the blocks of a page as one program in a new process; for each what it should print and what it printed."""
    found = list(blocks(page.read_text(encoding="utf-8")))
    # the lines of the program are those of the page, so that messages and tracebacks name them
    lines = [""] * (max(line + code.count("\n") for line, code, _ in found) + 1)
    for line, code, _ in found:
        lines[line : line + code.count("\n")] = code.splitlines()
    (folder / page.name).write_text("\n".join(lines), encoding="utf-8")
    given = json.dumps([page.name, ["\n" * line + code for line, code, _ in found]])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IN_A_NEW_PROCESS], input=given, cwd=folder, capture_output=True, text=True,
        env={**os.environ, "LAMELLA_BACKEND": backend}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [(expected, printed) for (_, _, expected), printed in zip(found, json.loads(done.stdout), strict=True)]


IN_A_NEW_PROCESS = """
def run_blocks():
    import contextlib, io, json, sys
    (name, blocks), all_printed = json.load(sys.stdin), []
    for code in blocks:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(code, name, "exec"), sys.modules["__main__"].__dict__)
        all_printed.append(printed.getvalue())
    print(json.dumps(all_printed))

run_blocks()
"""


@pytest.mark.parametrize("name", ["numpy", pytest.param("jax", marks=pytest.mark.slow)])
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT / "docs").as_posix())
def test_a_page_runs_and_prints_what_it_shows(page, name, tmp_path):
    pytest.importorskip("jax")  # pages compare the backends
    for expected, printed in run(page, tmp_path, name):
        assert expected is None or same(expected, printed), f"expected:\n{expected}\nprinted:\n{printed}"


@pytest.mark.parametrize("name", ["numpy", "jax"])
def test_the_readme_runs_as_printed(name, tmp_path):
    pytest.importorskip("jax")
    printed = "".join(text for _, text in run(README, tmp_path, name))
    assert f"\n{name} " in printed
    assert "contract(" in printed
    assert printed.rstrip().endswith("4.0")


def test_output_may_differ_in_the_last_digits_only():
    assert same("loss 0.1234\n", "loss 0.1235\n") and same("a ... b\n", "a c d b\n")
    assert not same("loss 0.12\n", "loss 0.22\n") and not same("10 rows\n", "11 rows\n")


CONTRIBUTING = ROOT / "CONTRIBUTING.md"


@pytest.mark.parametrize("page", [README, CONTRIBUTING], ids=lambda page: page.stem)
def test_every_command_it_names_is_a_target_of_the_makefile(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"(?:^|`)make (?:PYTHON=\S+ )?([a-z-]+)", page.read_text(encoding="utf-8"), re.M))
    assert "test" in targets
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.M)] == []


@pytest.mark.parametrize("page", [README, CONTRIBUTING], ids=lambda page: page.stem)
def test_every_file_it_links_exists(page):
    linked = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    assert linked and [link for link in linked if not (ROOT / link).exists()] == []


def test_every_file_that_contributors_are_pointed_to_exists():
    named = re.findall(r"`([\w/.*]+\.(?:py|md|toml))`", CONTRIBUTING.read_text(encoding="utf-8"))
    named = {name for name in named if name != ".py"}
    assert len(named) > 40
    assert [name for name in named if not any(ROOT.glob(name)) and not any(ROOT.glob(f"*/**/{name}"))] == []
