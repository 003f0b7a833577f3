"""From a model to programs, and to the pure function that `model.lower` returns."""

from lamella.lowering.forward import KEY as KEY
from lamella.lowering.forward import Forward as Forward
from lamella.lowering.forward import trace_forward as trace_forward
from lamella.lowering.function import Lowered as Lowered
