"""The README's code blocks run as printed, one after the other in one namespace, on each backend."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def blocks():
    return re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.parametrize("name", ["numpy", "jax"])
def test_the_code_blocks_run_as_printed(name, tmp_path):
    pytest.importorskip("jax")
    script = tmp_path / "readme.py"
    script.write_text("\n".join(blocks()), encoding="utf-8")
    environment = {**os.environ, "LAMELLA_BACKEND": name}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"\n{name} " in done.stdout
    assert "contract(" in done.stdout
    assert done.stdout.rstrip().endswith("4.0")


def test_every_command_it_names_is_a_target_of_the_makefile():
    makefile = (README.parent / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"(?:^|`)make ([a-z-]+)", README.read_text(encoding="utf-8"), re.M)):
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_every_file_it_links_exists():
    for link in re.findall(r"\]\(([^)#]+)\)", README.read_text(encoding="utf-8")):
        assert (README.parent / link).exists(), link


CONTRIBUTING = (README.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_every_command_that_contributors_are_told_is_a_target_of_the_makefile():
    makefile = (README.parent / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"(?:^|`)make (?:PYTHON=\S+ )?([a-z-]+)", CONTRIBUTING, re.M))
    assert targets >= {"test", "lint", "matrix", "release-check"}
    assert {target for target in targets if not re.search(rf"^{target}:", makefile, re.M)} == set()


def test_every_file_that_contributors_are_told_of_exists():
    linked = re.findall(r"\]\(([^)#:]+)\)", CONTRIBUTING)
    assert linked and [link for link in linked if not (README.parent / link).exists()] == []
    named = {name for name in re.findall(r"`([\w/.*]+\.(?:py|md|toml))`", CONTRIBUTING) if name != ".py"}
    root = README.parent
    assert len(named) > 40
    assert [name for name in named if not any(root.glob(name)) and not any(root.glob(f"*/**/{name}"))] == []
