"""Files: models and weights, read and written."""

from lamella.errors import FormatError as FormatError
