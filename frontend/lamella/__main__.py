"""`python -m lamella info|summary|convert|verify FILE`: see `lamella.saving.cli`."""

import sys

from lamella.saving.cli import main

if __name__ == "__main__":
    sys.exit(main())
