"""Every op under the name that a program prints, which is its key in a backend's kernel table.

A layer calls `lamella.ops.sum`, which becomes an equation of `primitives.reduce_sum`.
"""

from __future__ import annotations

from lamella.ir.program import OPS
from lamella.ir.program import Op as Op
from lamella.ir.trace import constant as constant
from lamella.ops.branches import switch_ as switch
from lamella.ops.comparison import bitwise_and as bitwise_and
from lamella.ops.comparison import bitwise_not as bitwise_not
from lamella.ops.comparison import bitwise_or as bitwise_or
from lamella.ops.comparison import bitwise_xor as bitwise_xor
from lamella.ops.comparison import equal as equal
from lamella.ops.comparison import left_shift as left_shift
from lamella.ops.comparison import less as less
from lamella.ops.comparison import less_equal as less_equal
from lamella.ops.comparison import right_shift as right_shift
from lamella.ops.comparison import select as select
from lamella.ops.contraction import contract as contract
from lamella.ops.control import foreach_ as foreach
from lamella.ops.control import scan_ as scan
from lamella.ops.derivatives import custom_gradient_ as custom_gradient
from lamella.ops.elementwise import abs_ as abs
from lamella.ops.elementwise import add as add
from lamella.ops.elementwise import clip as clip
from lamella.ops.elementwise import clip_gradient as clip_gradient
from lamella.ops.elementwise import convert_ as convert
from lamella.ops.elementwise import cos as cos
from lamella.ops.elementwise import divide as divide
from lamella.ops.elementwise import exp as exp
from lamella.ops.elementwise import expm1 as expm1
from lamella.ops.elementwise import floor as floor
from lamella.ops.elementwise import floor_divide as floor_divide
from lamella.ops.elementwise import log as log
from lamella.ops.elementwise import log1p as log1p
from lamella.ops.elementwise import maximum as maximum
from lamella.ops.elementwise import minimum as minimum
from lamella.ops.elementwise import multiply as multiply
from lamella.ops.elementwise import negative as negative
from lamella.ops.elementwise import power as power
from lamella.ops.elementwise import relu as relu
from lamella.ops.elementwise import relu_gradient as relu_gradient
from lamella.ops.elementwise import remainder as remainder
from lamella.ops.elementwise import round_ as round
from lamella.ops.elementwise import sigmoid as sigmoid
from lamella.ops.elementwise import sign as sign
from lamella.ops.elementwise import sin as sin
from lamella.ops.elementwise import softplus as softplus
from lamella.ops.elementwise import sqrt as sqrt
from lamella.ops.elementwise import stop_gradient as stop_gradient
from lamella.ops.elementwise import subtract as subtract
from lamella.ops.elementwise import tanh as tanh
from lamella.ops.indexing import scatter_add as scatter_add
from lamella.ops.indexing import take_ as take
from lamella.ops.nn import attention as attention
from lamella.ops.nn import attention_gradient as attention_gradient
from lamella.ops.nn import log_softmax_ as log_softmax
from lamella.ops.nn import softmax_ as softmax
from lamella.ops.ordering import argsort_ as argsort
from lamella.ops.ordering import cumsum_ as cumsum
from lamella.ops.ordering import scatter_along_axis as scatter_along_axis
from lamella.ops.ordering import scatter_max as scatter_max
from lamella.ops.ordering import take_along_axis_ as take_along_axis
from lamella.ops.random_bits import fold_in as fold_in
from lamella.ops.random_bits import random_bits as random_bits
from lamella.ops.reduction import argmax_ as argmax
from lamella.ops.reduction import reduce_max as reduce_max
from lamella.ops.reduction import reduce_min as reduce_min
from lamella.ops.reduction import reduce_sum as reduce_sum
from lamella.ops.shapes import broadcast as broadcast
from lamella.ops.shapes import concatenate_ as concatenate
from lamella.ops.shapes import dimension_value as dimension_value
from lamella.ops.shapes import iota as iota
from lamella.ops.shapes import pad_ as pad
from lamella.ops.shapes import reshape_ as reshape
from lamella.ops.shapes import reverse as reverse
from lamella.ops.shapes import slice_ as slice
from lamella.ops.shapes import split_ as split
from lamella.ops.shapes import transpose_ as transpose
from lamella.ops.special import erf as erf
from lamella.ops.special import erfc as erfc
from lamella.ops.special import erfinv as erfinv
from lamella.ops.trigonometry import arccos as arccos
from lamella.ops.trigonometry import arccosh as arccosh
from lamella.ops.trigonometry import arcsin as arcsin
from lamella.ops.trigonometry import arcsinh as arcsinh
from lamella.ops.trigonometry import arctan as arctan
from lamella.ops.trigonometry import arctan2 as arctan2
from lamella.ops.trigonometry import arctanh as arctanh
from lamella.ops.trigonometry import cosh as cosh
from lamella.ops.trigonometry import sinh as sinh
from lamella.ops.trigonometry import tan as tan
from lamella.ops.window import average_pool as average_pool
from lamella.ops.window import average_pool_gradient as average_pool_gradient
from lamella.ops.window import convolve as convolve
from lamella.ops.window import convolve_input_gradient as convolve_input_gradient
from lamella.ops.window import convolve_kernel_gradient as convolve_kernel_gradient
from lamella.ops.window import max_pool as max_pool
from lamella.ops.window import max_pool_gradient as max_pool_gradient


def every_op() -> dict[str, Op]:
    """All registered ops by name, in the order of their definition."""
    return dict(OPS)


def mandatory_ops() -> dict[str, Op]:
    """The ops that a backend must have a kernel for (`constant` is bound by the interpreter of the program)."""
    return {name: op for name, op in OPS.items() if op.mandatory and op is not constant}
