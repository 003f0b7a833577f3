"""The one exception that a bad file gets: `lamella.errors.FormatError`."""

from lamella.errors import FormatError as FormatError
