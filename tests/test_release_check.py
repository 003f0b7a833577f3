"""The checks of a release find what they look for; `make release-check` runs them on the archives."""

from __future__ import annotations

from email.message import Message

import pytest

import release_check as r

ENTRIES = "\n### Added\n\n- A layer.\n\n"
RELEASED = f"## [1.2.0] - 2026-01-31\n{ENTRIES}## [1.1.0] - 2025-12-01\n{ENTRIES}"


@pytest.mark.parametrize("text", [RELEASED, f"# Changelog\n\n## [Unreleased]\n\n{RELEASED}"])
def test_a_section_is_found(text):
    r.changelog_has_a_section(text, "1.2.0", draft=False)
    r.changelog_has_a_section(text, "1.2.0", draft=True)


def test_a_draft_may_be_unreleased():
    r.changelog_has_a_section(f"## [Unreleased]\n{ENTRIES}", "1.2.0", draft=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# Changelog\n", "no section"),
        (f"## [Unreleased]\n{ENTRIES}", r"must be \[1.2.0\], got \[Unreleased\]"),
        (f"## [Unreleased]\n{ENTRIES}{RELEASED}", r"must be \[1.2.0\], got \[Unreleased\]"),
        (f"## [1.1.0] - 2025-12-01\n{ENTRIES}", r"must be \[1.2.0\], got \[1.1.0\]"),
        (f"## [1.2.0]\n{ENTRIES}", "must have a date"),
        (f"## [1.2.0] - 2026-01-31\n\n## [1.1.0] - 2025-12-01\n{ENTRIES}", "is empty"),
    ],
)
def test_a_section_is_missed(text, words):
    with pytest.raises(AssertionError, match=words):
        r.changelog_has_a_section(text, "1.2.0", draft=False)


def metadata(**changes):
    headers = {
        "Name": "lamella",
        "Version": r.PROJECT["version"],
        "Summary": r.PROJECT["description"],
        "License-Expression": r.PROJECT["license"],
        "Requires-Python": r.PROJECT["requires-python"],
        "Description-Content-Type": "text/markdown",
        "License-File": r.PROJECT["license-files"],
        "Classifier": r.PROJECT["classifiers"],
    }
    found = Message()
    for header, value in {**headers, **changes}.items():
        for item in value if isinstance(value, list) else [value]:
            found[header] = item
    return found


def test_metadata():
    r.metadata_is_that_of_the_project(metadata())
    for change in ({"Version": "0"}, {"License-Expression": "MIT"}, {"License-File": ["LICENSE"]}, {"Classifier": []}):
        with pytest.raises(AssertionError):
            r.metadata_is_that_of_the_project(metadata(**change))
