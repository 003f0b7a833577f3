"""Program transformations: differentiation, simplification; and the analysis of programs."""

from typing import Any as _Any

from lamella.ops import primitives as _primitives
from lamella.passes.analysis import find_cross_batch_op as find_cross_batch_op
from lamella.passes.analysis import makers_of as makers_of
from lamella.passes.analysis import multiples_needed as multiples_needed
from lamella.passes.analysis import uses_of as uses_of
from lamella.passes.differentiate import differentiate as differentiate
from lamella.passes.differentiate import gradient_program as gradient_program
from lamella.passes.expand import expand as expand
from lamella.passes.expand import refuse_fused as refuse_fused
from lamella.passes.pool_first import pool_first as pool_first
from lamella.passes.simplify import common_subexpressions as common_subexpressions
from lamella.passes.simplify import dead_code as dead_code
from lamella.passes.simplify import fold_constants as fold_constants
from lamella.passes.simplify import rewritten as rewritten
from lamella.passes.simplify import simplify as simplify


# the derivatives of loops and branches need the passes, which are above the ops; each is imported when it is first used
@_primitives.scan.def_linearize
def _(*operands: _Any, **attributes: _Any) -> _Any:
    from lamella.passes.scan_gradient import linearize_scan

    return linearize_scan(*operands, **attributes)


@_primitives.switch.def_linearize
def _(*operands: _Any, **attributes: _Any) -> _Any:
    from lamella.passes.switch_gradient import linearize_switch

    return linearize_switch(*operands, **attributes)
