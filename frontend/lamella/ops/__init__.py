"""The functions that layers, losses, metrics and optimizers are written in.

They promote and broadcast their operands as `keras.ops` does. On symbolic values they add equations to the current
trace; on arrays of NumPy or of a loaded backend (tracers as well) they compute immediately. docs/ops.md lists them
beside `keras.ops`.
"""

from typing import TYPE_CHECKING

from lamella.names import lazily as _lazily
from lamella.ops import linalg as linalg
from lamella.ops import nn as nn
from lamella.ops import numpy as numpy
from lamella.ops import primitives as primitives
from lamella.ops.affine import affine_transform as affine_transform
from lamella.ops.branches import cond as cond
from lamella.ops.branches import switch as switch
from lamella.ops.coerce import as_tensor as convert_to_tensor
from lamella.ops.comparison import bitwise_and as bitwise_and
from lamella.ops.comparison import bitwise_not as bitwise_invert
from lamella.ops.comparison import bitwise_not as bitwise_not
from lamella.ops.comparison import bitwise_or as bitwise_or
from lamella.ops.comparison import bitwise_xor as bitwise_xor
from lamella.ops.comparison import equal as equal
from lamella.ops.comparison import greater as greater
from lamella.ops.comparison import greater_equal as greater_equal
from lamella.ops.comparison import isnan as isnan
from lamella.ops.comparison import left_shift as bitwise_left_shift
from lamella.ops.comparison import left_shift as left_shift
from lamella.ops.comparison import less as less
from lamella.ops.comparison import less_equal as less_equal
from lamella.ops.comparison import logical_and as logical_and
from lamella.ops.comparison import logical_not as logical_not
from lamella.ops.comparison import logical_or as logical_or
from lamella.ops.comparison import logical_xor as logical_xor
from lamella.ops.comparison import not_equal as not_equal
from lamella.ops.comparison import right_shift as bitwise_right_shift
from lamella.ops.comparison import right_shift as right_shift
from lamella.ops.comparison import where as where
from lamella.ops.contraction import dot as dot
from lamella.ops.contraction import einsum as einsum
from lamella.ops.contraction import matmul as matmul
from lamella.ops.contraction import outer as outer
from lamella.ops.contraction import tensordot as tensordot
from lamella.ops.control import foreach as foreach
from lamella.ops.control import scan as scan
from lamella.ops.elementwise import abs_ as abs
from lamella.ops.elementwise import abs_ as absolute
from lamella.ops.elementwise import add as add
from lamella.ops.elementwise import cast as cast
from lamella.ops.elementwise import ceil as ceil
from lamella.ops.elementwise import clip as clip
from lamella.ops.elementwise import cos as cos
from lamella.ops.elementwise import divide as divide
from lamella.ops.elementwise import divide as true_divide
from lamella.ops.elementwise import exp as exp
from lamella.ops.elementwise import expm1 as expm1
from lamella.ops.elementwise import floor as floor
from lamella.ops.elementwise import floor_divide as floor_divide
from lamella.ops.elementwise import full_like as full_like
from lamella.ops.elementwise import isfinite as isfinite
from lamella.ops.elementwise import log as log
from lamella.ops.elementwise import log1p as log1p
from lamella.ops.elementwise import maximum as maximum
from lamella.ops.elementwise import minimum as minimum
from lamella.ops.elementwise import multiply as multiply
from lamella.ops.elementwise import negative as negative
from lamella.ops.elementwise import ones_like as ones_like
from lamella.ops.elementwise import power as power
from lamella.ops.elementwise import reciprocal as reciprocal
from lamella.ops.elementwise import relu as relu
from lamella.ops.elementwise import remainder as mod
from lamella.ops.elementwise import remainder as remainder
from lamella.ops.elementwise import rsqrt as rsqrt
from lamella.ops.elementwise import sigmoid as sigmoid
from lamella.ops.elementwise import sign as sign
from lamella.ops.elementwise import sin as sin
from lamella.ops.elementwise import softplus as softplus
from lamella.ops.elementwise import sqrt as sqrt
from lamella.ops.elementwise import square as square
from lamella.ops.elementwise import stop_gradient as stop_gradient
from lamella.ops.elementwise import subtract as subtract
from lamella.ops.elementwise import tanh as tanh
from lamella.ops.elementwise import zeros_like as zeros_like
from lamella.ops.indexing import one_hot as one_hot
from lamella.ops.indexing import scatter_add as scatter_add
from lamella.ops.indexing import take as take
from lamella.ops.indexing import take_along_axis as take_along_axis
from lamella.ops.nn import log_softmax as log_softmax
from lamella.ops.nn import softmax as softmax
from lamella.ops.normal import normal_from_bits as normal_from_bits
from lamella.ops.operators import attach as _attach_operators
from lamella.ops.random_bits import fold_in as fold_in
from lamella.ops.random_bits import random_bits as random_bits
from lamella.ops.reduction import all as all
from lamella.ops.reduction import amax as amax
from lamella.ops.reduction import amin as amin
from lamella.ops.reduction import any as any
from lamella.ops.reduction import argmax as argmax
from lamella.ops.reduction import argmin as argmin
from lamella.ops.reduction import count_nonzero as count_nonzero
from lamella.ops.reduction import logsumexp as logsumexp
from lamella.ops.reduction import max as max
from lamella.ops.reduction import mean as mean
from lamella.ops.reduction import min as min
from lamella.ops.reduction import norm as norm
from lamella.ops.reduction import std as std
from lamella.ops.reduction import sum as sum
from lamella.ops.reduction import variance as var
from lamella.ops.reduction import variance as variance
from lamella.ops.resizing import resize as resize
from lamella.ops.shapes import arange as arange
from lamella.ops.shapes import broadcast_to as broadcast_to
from lamella.ops.shapes import concatenate as concatenate
from lamella.ops.shapes import expand_dims as expand_dims
from lamella.ops.shapes import eye as eye
from lamella.ops.shapes import flip as flip
from lamella.ops.shapes import full as full
from lamella.ops.shapes import getitem as getitem
from lamella.ops.shapes import moveaxis as moveaxis
from lamella.ops.shapes import ones as ones
from lamella.ops.shapes import pad as pad
from lamella.ops.shapes import repeat as repeat
from lamella.ops.shapes import reshape as reshape
from lamella.ops.shapes import split as split
from lamella.ops.shapes import squeeze as squeeze
from lamella.ops.shapes import stack as stack
from lamella.ops.shapes import swapaxes as swapaxes
from lamella.ops.shapes import tile as tile
from lamella.ops.shapes import transpose as transpose
from lamella.ops.shapes import zeros as zeros
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
from lamella.ops.window import convolve as convolve
from lamella.ops.window import convolve_input_gradient as convolve_input_gradient
from lamella.ops.window import same_padding as same_padding

if TYPE_CHECKING:
    from lamella.ops import image as image
    from lamella.ops.activation import celu as celu
    from lamella.ops.activation import elu as elu
    from lamella.ops.activation import gelu as gelu
    from lamella.ops.activation import glu as glu
    from lamella.ops.activation import hard_shrink as hard_shrink
    from lamella.ops.activation import hard_sigmoid as hard_sigmoid
    from lamella.ops.activation import hard_silu as hard_silu
    from lamella.ops.activation import hard_swish as hard_swish
    from lamella.ops.activation import hard_tanh as hard_tanh
    from lamella.ops.activation import leaky_relu as leaky_relu
    from lamella.ops.activation import log_sigmoid as log_sigmoid
    from lamella.ops.activation import mish as mish
    from lamella.ops.activation import relu6 as relu6
    from lamella.ops.activation import selu as selu
    from lamella.ops.activation import silu as silu
    from lamella.ops.activation import soft_shrink as soft_shrink
    from lamella.ops.activation import softsign as softsign
    from lamella.ops.activation import sparse_plus as sparse_plus
    from lamella.ops.activation import sparse_sigmoid as sparse_sigmoid
    from lamella.ops.activation import sparsemax as sparsemax
    from lamella.ops.activation import squareplus as squareplus
    from lamella.ops.activation import swish as swish
    from lamella.ops.activation import tanh_shrink as tanh_shrink
    from lamella.ops.activation import threshold as threshold
    from lamella.ops.arithmetic import allclose as allclose
    from lamella.ops.arithmetic import cbrt as cbrt
    from lamella.ops.arithmetic import deg2rad as deg2rad
    from lamella.ops.arithmetic import divide_no_nan as divide_no_nan
    from lamella.ops.arithmetic import exp2 as exp2
    from lamella.ops.arithmetic import fabs as fabs
    from lamella.ops.arithmetic import fmax as fmax
    from lamella.ops.arithmetic import fmin as fmin
    from lamella.ops.arithmetic import fmod as fmod
    from lamella.ops.arithmetic import gcd as gcd
    from lamella.ops.arithmetic import heaviside as heaviside
    from lamella.ops.arithmetic import hypot as hypot
    from lamella.ops.arithmetic import isclose as isclose
    from lamella.ops.arithmetic import isinf as isinf
    from lamella.ops.arithmetic import isneginf as isneginf
    from lamella.ops.arithmetic import isposinf as isposinf
    from lamella.ops.arithmetic import lcm as lcm
    from lamella.ops.arithmetic import ldexp as ldexp
    from lamella.ops.arithmetic import log2 as log2
    from lamella.ops.arithmetic import log10 as log10
    from lamella.ops.arithmetic import logaddexp as logaddexp
    from lamella.ops.arithmetic import logaddexp2 as logaddexp2
    from lamella.ops.arithmetic import nan_to_num as nan_to_num
    from lamella.ops.arithmetic import rad2deg as rad2deg
    from lamella.ops.arithmetic import round as round
    from lamella.ops.arithmetic import saturate_cast as saturate_cast
    from lamella.ops.arithmetic import signbit as signbit
    from lamella.ops.arithmetic import sinc as sinc
    from lamella.ops.arithmetic import trunc as trunc
    from lamella.ops.arrays import append as append
    from lamella.ops.arrays import array as array
    from lamella.ops.arrays import array_split as array_split
    from lamella.ops.arrays import bartlett as bartlett
    from lamella.ops.arrays import blackman as blackman
    from lamella.ops.arrays import cdist as cdist
    from lamella.ops.arrays import convert_to_numpy as convert_to_numpy
    from lamella.ops.arrays import copy as copy
    from lamella.ops.arrays import cross as cross
    from lamella.ops.arrays import diag as diag
    from lamella.ops.arrays import diagflat as diagflat
    from lamella.ops.arrays import diagonal as diagonal
    from lamella.ops.arrays import dsplit as dsplit
    from lamella.ops.arrays import dstack as dstack
    from lamella.ops.arrays import dtype as dtype
    from lamella.ops.arrays import empty as empty
    from lamella.ops.arrays import empty_like as empty_like
    from lamella.ops.arrays import fliplr as fliplr
    from lamella.ops.arrays import flipud as flipud
    from lamella.ops.arrays import geomspace as geomspace
    from lamella.ops.arrays import get_item as get_item
    from lamella.ops.arrays import hamming as hamming
    from lamella.ops.arrays import hanning as hanning
    from lamella.ops.arrays import hsplit as hsplit
    from lamella.ops.arrays import hstack as hstack
    from lamella.ops.arrays import identity as identity
    from lamella.ops.arrays import inner as inner
    from lamella.ops.arrays import is_tensor as is_tensor
    from lamella.ops.arrays import kaiser as kaiser
    from lamella.ops.arrays import kron as kron
    from lamella.ops.arrays import linspace as linspace
    from lamella.ops.arrays import logspace as logspace
    from lamella.ops.arrays import meshgrid as meshgrid
    from lamella.ops.arrays import ndim as ndim
    from lamella.ops.arrays import ravel as ravel
    from lamella.ops.arrays import roll as roll
    from lamella.ops.arrays import rot90 as rot90
    from lamella.ops.arrays import select as select
    from lamella.ops.arrays import shape as shape
    from lamella.ops.arrays import size as size
    from lamella.ops.arrays import slice as slice
    from lamella.ops.arrays import slice_update as slice_update
    from lamella.ops.arrays import trace as trace
    from lamella.ops.arrays import tri as tri
    from lamella.ops.arrays import tril as tril
    from lamella.ops.arrays import triu as triu
    from lamella.ops.arrays import unstack as unstack
    from lamella.ops.arrays import vander as vander
    from lamella.ops.arrays import vdot as vdot
    from lamella.ops.arrays import vsplit as vsplit
    from lamella.ops.arrays import vstack as vstack
    from lamella.ops.loops import associative_scan as associative_scan
    from lamella.ops.loops import fori_loop as fori_loop
    from lamella.ops.loops import map as map
    from lamella.ops.loops import vectorized_map as vectorized_map
    from lamella.ops.loops import while_loop as while_loop
    from lamella.ops.networks import batch_normalization as batch_normalization
    from lamella.ops.networks import binary_crossentropy as binary_crossentropy
    from lamella.ops.networks import categorical_crossentropy as categorical_crossentropy
    from lamella.ops.networks import custom_gradient as custom_gradient
    from lamella.ops.networks import depth_to_space as depth_to_space
    from lamella.ops.networks import dot_product_attention as dot_product_attention
    from lamella.ops.networks import extract_sequences as extract_sequences
    from lamella.ops.networks import fold as fold
    from lamella.ops.networks import layer_normalization as layer_normalization
    from lamella.ops.networks import multi_hot as multi_hot
    from lamella.ops.networks import normalize as normalize
    from lamella.ops.networks import psnr as psnr
    from lamella.ops.networks import rearrange as rearrange
    from lamella.ops.networks import rms_normalization as rms_normalization
    from lamella.ops.networks import space_to_depth as space_to_depth
    from lamella.ops.networks import sparse_categorical_crossentropy as sparse_categorical_crossentropy
    from lamella.ops.networks import unfold as unfold
    from lamella.ops.sorting import argpartition as argpartition
    from lamella.ops.sorting import argsort as argsort
    from lamella.ops.sorting import digitize as digitize
    from lamella.ops.sorting import in_top_k as in_top_k
    from lamella.ops.sorting import isin as isin
    from lamella.ops.sorting import scatter as scatter
    from lamella.ops.sorting import scatter_update as scatter_update
    from lamella.ops.sorting import searchsorted as searchsorted
    from lamella.ops.sorting import segment_max as segment_max
    from lamella.ops.sorting import segment_min as segment_min
    from lamella.ops.sorting import segment_prod as segment_prod
    from lamella.ops.sorting import segment_sum as segment_sum
    from lamella.ops.sorting import sort as sort
    from lamella.ops.sorting import top_k as top_k
    from lamella.ops.sorting import unravel_index as unravel_index
    from lamella.ops.spatial import adaptive_average_pool as adaptive_average_pool
    from lamella.ops.spatial import adaptive_max_pool as adaptive_max_pool
    from lamella.ops.spatial import average_pool as average_pool
    from lamella.ops.spatial import conv as conv
    from lamella.ops.spatial import conv_transpose as conv_transpose
    from lamella.ops.spatial import depthwise_conv as depthwise_conv
    from lamella.ops.spatial import max_pool as max_pool
    from lamella.ops.spatial import separable_conv as separable_conv
    from lamella.ops.statistics import average as average
    from lamella.ops.statistics import bincount as bincount
    from lamella.ops.statistics import corrcoef as corrcoef
    from lamella.ops.statistics import correlate as correlate
    from lamella.ops.statistics import cumprod as cumprod
    from lamella.ops.statistics import cumsum as cumsum
    from lamella.ops.statistics import diff as diff
    from lamella.ops.statistics import histogram as histogram
    from lamella.ops.statistics import median as median
    from lamella.ops.statistics import moments as moments
    from lamella.ops.statistics import nanargmax as nanargmax
    from lamella.ops.statistics import nanargmin as nanargmin
    from lamella.ops.statistics import nancumprod as nancumprod
    from lamella.ops.statistics import nancumsum as nancumsum
    from lamella.ops.statistics import nanmax as nanmax
    from lamella.ops.statistics import nanmean as nanmean
    from lamella.ops.statistics import nanmedian as nanmedian
    from lamella.ops.statistics import nanmin as nanmin
    from lamella.ops.statistics import nanpercentile as nanpercentile
    from lamella.ops.statistics import nanprod as nanprod
    from lamella.ops.statistics import nanquantile as nanquantile
    from lamella.ops.statistics import nanstd as nanstd
    from lamella.ops.statistics import nansum as nansum
    from lamella.ops.statistics import nanvar as nanvar
    from lamella.ops.statistics import percentile as percentile
    from lamella.ops.statistics import prod as prod
    from lamella.ops.statistics import ptp as ptp
    from lamella.ops.statistics import quantile as quantile
    from lamella.ops.statistics import trapezoid as trapezoid

_attach_operators()

# Composed functions by module; a module is loaded when one of its functions is first used.
_FAMILIES = {
    "activation": """
        celu elu gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu log_sigmoid mish relu6
        selu silu soft_shrink softsign sparse_plus sparse_sigmoid sparsemax squareplus swish tanh_shrink threshold
    """,
    "arithmetic": """
        allclose cbrt deg2rad divide_no_nan exp2 fabs fmax fmin fmod gcd heaviside hypot isclose isinf isneginf
        isposinf lcm ldexp log10 log2 logaddexp logaddexp2 nan_to_num rad2deg round saturate_cast signbit sinc trunc
    """,
    "arrays": """
        append array array_split bartlett blackman cdist convert_to_numpy copy cross diag diagflat diagonal dsplit
        dstack dtype empty empty_like fliplr flipud geomspace get_item hamming hanning hsplit hstack identity inner
        is_tensor kaiser kron linspace logspace meshgrid ndim ravel roll rot90 select shape size slice slice_update
        trace tri tril triu unstack vander vdot vsplit vstack
    """,
    "loops": """
        associative_scan fori_loop map vectorized_map while_loop
    """,
    "networks": """
        batch_normalization binary_crossentropy categorical_crossentropy custom_gradient depth_to_space
        dot_product_attention extract_sequences fold layer_normalization multi_hot normalize psnr rearrange
        rms_normalization space_to_depth sparse_categorical_crossentropy unfold
    """,
    "sorting": """
        argpartition argsort digitize in_top_k isin scatter scatter_update searchsorted segment_max segment_min
        segment_prod segment_sum sort top_k unravel_index
    """,
    "spatial": """
        adaptive_average_pool adaptive_max_pool average_pool conv conv_transpose depthwise_conv max_pool
        separable_conv
    """,
    "statistics": """
        average bincount corrcoef correlate cumprod cumsum diff histogram median moments nanargmax nanargmin
        nancumprod nancumsum nanmax nanmean nanmedian nanmin nanpercentile nanprod nanquantile nanstd nansum nanvar
        percentile prod ptp quantile trapezoid
    """,
}

if not TYPE_CHECKING:
    _, __getattr__, __dir__ = _lazily(__name__, _FAMILIES, ("image",))
