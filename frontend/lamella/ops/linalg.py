"""The functions of linear algebra under the name of `keras.ops.linalg`: `ops.linalg.norm` is `ops.norm`."""

from lamella import ops as _ops
from lamella.absent import forwarding as _forwarding

__getattr__ = _forwarding(__name__, _ops)
