"""Attention by one kernel of cuDNN, `jax.nn.dot_product_attention`, on GPUs that have it; elsewhere by its definition."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lamella.errors import BackendError
from lamella.ir.program import Op
from lamella.ir.spec import spec_of
from lamella.ir.trace import trace
from lamella.ops import primitives as p
from lamella.passes import expand, simplify
from lamella_jax.lowerings import LOWERINGS, Kernels, outputs
from lamella_jax.platform_choice import choose

Array = Any
_DTYPES = ("float16", "bfloat16")
_OLDEST = 8.0
"""The compute capability of the first GPUs that have the kernel."""


def attention(query: Array, key: Array, value: Array, *mask: Array, fused: bool, **attrs: Any) -> Array:
    """The op `attention`, in one kernel where there is one"""
    if _usable(fused, query, key, value, *mask, **attrs):
        return _in_one_kernel(tuple(attrs.items()), query, key, value, *mask)
    return _defined(p.attention, query, key, value, *mask, **attrs)


def attention_gradient(g: Array, *operands: Array, fused: bool, **attrs: Any) -> tuple[Array, ...]:
    """The op `attention_gradient`, in one kernel where there is one"""
    if _usable(fused, *operands, **attrs):
        return _gradient_in_one_kernel(attrs, g, *operands)
    return _defined(p.attention_gradient, g, *operands, **attrs)


KERNELS: Kernels = {p.attention: attention, p.attention_gradient: attention_gradient}


@cache
def is_there() -> bool:
    """Whether this process has cuDNN, and no GPU that is too old for the kernel."""
    one = jax.ShapeDtypeStruct((1, 8, 1, 8), np.dtype("float16"))
    try:
        jax.eval_shape(partial(jax.nn.dot_product_attention, implementation="cudnn"), one, one, one)
    except Exception:
        return False
    gpus = [device for device in jax.local_devices() if device.platform == "gpu"]
    return all(float(getattr(device, "compute_capability", "0")) >= _OLDEST for device in gpus)


def on_gpu() -> bool:
    """Whether JAX computes on GPUs; its libraries for them may be there without one."""
    return jax.default_backend() == "gpu"


def _usable(fused: bool, *operands: Array, **attrs: Any) -> bool:
    """Whether one kernel computes attention of these operands.

    Raises:
        BackendError: none does, and `fused` asks for one.
    """
    found = "no GPU with cuDNN is here" if not is_there() else ""
    if not found and fused and not on_gpu():
        found = "JAX computes on no GPU"
    if not found and operands[0].dtype.name not in _DTYPES:
        found = f"it takes float16 and bfloat16, not {operands[0].dtype.name}"
    if not found:
        try:  # the backward pass has further conditions
            jax.eval_shape(jax.grad(lambda *xs: jnp.sum(_cudnn(attrs, *xs)), (0, 1, 2)), *operands)
        except Exception as error:
            found = str(error)
    if found and fused:
        raise BackendError(f"flash_attention=True asks for one kernel for attention, but {found}; write None instead.")
    return not found


def _cudnn(attrs: dict[str, Any], query: Array, key: Array, value: Array, *mask: Array) -> Array:
    return jax.nn.dot_product_attention(
        query,
        key,
        value,
        mask=next(iter(mask), None),
        scale=attrs["scale"],
        is_causal=attrs["causal"],
        implementation="cudnn",
    )


def _defined(op: Op, *operands: Array, **attrs: Any) -> Any:
    assert op.definition is not None  # noqa: S101 - of the two ops here
    defined = trace(partial(op.definition, fused=False, **attrs), *map(spec_of, operands))
    known = simplify(expand(defined, lambda op: op is p.constant or op in LOWERINGS))
    first, *more = outputs(LOWERINGS, known, *operands)
    return (first, *more) if more else first


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _in_one_kernel(attrs: tuple[tuple[str, Any], ...], *operands: Array) -> Array:
    kwargs = dict(attrs)
    return choose(partial(_cudnn, kwargs), partial(_defined, p.attention, **kwargs), *operands, platform="cuda")


def _forward(attrs: Any, *operands: Array) -> tuple[Array, Any]:
    return _in_one_kernel(attrs, *operands), operands


def _backward(attrs: Any, operands: Any, g: Array) -> tuple[Any, ...]:
    gradients = _gradient_in_one_kernel(dict(attrs), g, *operands)
    return (*gradients, *[None] * (len(operands) - len(gradients)))


_in_one_kernel.defvjp(_forward, _backward)


def _gradient_in_one_kernel(attrs: dict[str, Any], g: Array, *operands: Array) -> tuple[Array, ...]:
    def cudnn(g: Array, query: Array, key: Array, value: Array, *mask: Array) -> tuple[Array, ...]:
        return jax.vjp(lambda *xs: _cudnn(attrs, *xs, *mask), query, key, value)[1](g)

    return choose(cudnn, partial(_defined, p.attention_gradient, **attrs), g, *operands, platform="cuda")


__all__ = ["KERNELS", "is_there", "on_gpu"]
