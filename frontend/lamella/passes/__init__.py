"""Program transformations: differentiation, simplification; and the analysis of programs."""

from lamella.ops import primitives as _primitives
from lamella.passes.analysis import find_cross_batch_op as find_cross_batch_op
from lamella.passes.analysis import makers_of as makers_of
from lamella.passes.analysis import uses_of as uses_of
from lamella.passes.differentiate import differentiate as differentiate
from lamella.passes.differentiate import gradient_program as gradient_program
from lamella.passes.expand import expand as expand
from lamella.passes.pool_first import pool_first as pool_first
from lamella.passes.scan_gradient import linearize_scan as _linearize_scan
from lamella.passes.simplify import common_subexpressions as common_subexpressions
from lamella.passes.simplify import dead_code as dead_code
from lamella.passes.simplify import fold_constants as fold_constants
from lamella.passes.simplify import rewritten as rewritten
from lamella.passes.simplify import simplify as simplify
from lamella.passes.switch_gradient import linearize_switch as _linearize_switch

# the derivatives of loops and branches need the passes, which are above the ops
_primitives.scan.def_linearize(_linearize_scan)
_primitives.switch.def_linearize(_linearize_switch)
