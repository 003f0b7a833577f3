"""For authors of backends: the meaning of every op, and tests that a backend computes it.

`python -m lamella.testing --backend NAME` runs the conformance suite; docs/backends.md describes the backend API.
"""

from lamella.testing.conformance import run as run
from lamella.testing.equivalence import assert_close as assert_close
from lamella.testing.equivalence import compare_backends as compare_backends
from lamella.testing.gradcheck import check_gradients as check_gradients
from lamella.testing.gradcheck import gradcheck as gradcheck
from lamella.testing.reference import REFERENCE as REFERENCE
from lamella.testing.report import Report as Report
from lamella.testing.samples import KINKS as KINKS
from lamella.testing.samples import SAMPLES as SAMPLES
