"""`python -m lamella info|summary|convert|verify|run FILE`: see `lamella.cli`."""

import sys

from lamella.cli import main

if __name__ == "__main__":
    sys.exit(main())
