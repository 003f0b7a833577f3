"""Files: models and weights, read and written."""

from lamella.saving.errors import FormatError as FormatError
