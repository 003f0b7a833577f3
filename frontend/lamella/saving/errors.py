"""The one exception that a bad file gets."""

from __future__ import annotations

from lamella.errors import LamellaError


class FormatError(LamellaError, ValueError):
    """A file is damaged, hostile or of a kind that is not read: names the file, the place in it and what is wrong."""
