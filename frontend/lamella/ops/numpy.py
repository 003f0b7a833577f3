"""The functions of NumPy under the name of `keras.ops.numpy`: `ops.numpy.mean` is `ops.mean`."""

from lamella import ops as _ops
from lamella.absent import forwarding as _forwarding

__getattr__ = _forwarding(__name__, _ops)
