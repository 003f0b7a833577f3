"""`python -m lamella info|summary|convert|verify|run FILE`, or `--version`: see `lamella.cli`."""

import sys

from lamella.cli import main

if __name__ == "__main__":
    sys.exit(main())
