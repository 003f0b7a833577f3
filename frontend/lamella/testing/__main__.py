"""`python -m lamella.testing --backend NAME`: whether a backend conforms."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from lamella.errors import BackendError, UnknownNameError
from lamella.testing import conformance


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the conformance suite and print its report.

    Returns:
        0 where the backend conforms, 1 where it does not, 2 where it cannot be loaded.
    """
    parser = argparse.ArgumentParser(
        prog="python -m lamella.testing", description="Check a backend: every op against its reference."
    )
    parser.add_argument("--backend", required=True, help="the name of an installed backend")
    parser.add_argument("--only", default="", help="names of ops, separated by commas; all of them by default")
    parser.add_argument("--quick", action="store_true", help="the first row of every op only")
    options = parser.parse_args(arguments)
    try:
        report = conformance.run(
            options.backend, only=[name for name in options.only.split(",") if name], quick=options.quick
        )
    except (BackendError, UnknownNameError) as error:
        print(error, file=sys.stderr)
        return 2
    print(report)
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
