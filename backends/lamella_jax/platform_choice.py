"""A function in two forms, of which the platform that it is lowered for takes one.

`lax.platform_dependent` would do, but it leaves a conditional in the module of every platform. The primitive here is
lowered to one of its two forms in place, so a module for another platform than a CPU is what it would be without the choice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.core import Tracer
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import ClosedJaxpr, Primitive, jaxpr_as_fun
from jax.interpreters import batching, mlir
from jax.interpreters import partial_eval as pe

Array = Any
Form = Callable[..., Any]


def choose(special: Form, plain: Form, *arrays: Array, platform: str = "cpu") -> Any:
    """The result of `plain(*arrays)`, an array or a tuple of arrays; where it is lowered for `platform`, by `special`.

    The derivative is that of `plain`. A platform is "cpu" or "cuda".
    """
    if not any(isinstance(x, Tracer) for x in arrays):
        return special(*arrays) if _is_on(platform, arrays) else plain(*arrays)

    @jax.custom_jvp
    def value(*arrays: Array) -> Any:
        # `make_jaxpr` remembers by function: a new one is traced with the precision that is set now
        jaxpr, shape = jax.make_jaxpr(lambda *xs: plain(*xs), return_shape=True)(*arrays)
        other = jax.make_jaxpr(lambda *xs: special(*xs))(*arrays)
        results = _choices[platform].bind(*arrays, special=other, plain=jaxpr)
        return tuple(results) if isinstance(shape, tuple) else results[0]

    def derivative(primals: Sequence[Array], tangents: Sequence[Any]) -> Any:
        moving = [i for i, t in enumerate(tangents) if not isinstance(t, SymbolicZero)]

        def of(*moved: Array) -> Any:
            operands = list(primals)
            for i, x in zip(moving, moved, strict=True):
                operands[i] = x
            return plain(*operands)

        # by `linearize` a scan has its residuals in the order that they have without the choice; by `jvp` in another
        y, tangent = jax.linearize(of, *[primals[i] for i in moving])
        return y, tangent(*[tangents[i] for i in moving])

    value.defjvp(derivative, symbolic_zeros=True)
    return value(*arrays)


_DEVICES = {"cpu": "cpu", "cuda": "gpu"}
"""What JAX calls the devices of each platform."""


def _is_on(platform: str, arrays: Sequence[Array]) -> bool:
    kind = _DEVICES[platform]
    devices = [device for x in arrays if isinstance(x, jax.Array) for device in x.devices()]
    return all(d.platform == kind for d in devices) if devices else jax.default_backend() == kind


def _run(jaxpr: ClosedJaxpr, arrays: Sequence[Array]) -> list[Array]:
    return jaxpr_as_fun(jaxpr)(*arrays)


def _pruned(used: Sequence[bool], *rest: Any) -> tuple[list[bool], Any]:
    """The rule of dead code: what neither form needs for the outputs in use is removed, as it would be without the choice."""
    equation = rest[-1]  # JAX 0.12 has one more argument before it
    if not any(used):
        return [False] * len(equation.invars), None
    forms = {name: equation.params[name] for name in ("special", "plain")}
    needed = [pe.dce_jaxpr(form.jaxpr, used)[1] for form in forms.values()]
    read = [a or b for a, b in zip(*needed, strict=True)]
    params = {
        name: ClosedJaxpr(pe.dce_jaxpr(form.jaxpr, used, instantiate=read)[0], form.consts)
        for name, form in forms.items()
    }
    invars = [v for v, is_read in zip(equation.invars, read, strict=True) if is_read]
    outvars = [v for v, is_used in zip(equation.outvars, used, strict=True) if is_used]
    return read, equation.replace(invars=invars, outvars=outvars, params=params)


def _choice_for(platform: str) -> Primitive:
    """The primitive whose form `special` is lowered for `platform`, and whose form `plain` for every other."""
    choice = Primitive("platform_choice" if platform == "cpu" else f"platform_choice_{platform}")
    choice.multiple_results = True

    def evaluated(*arrays: Array, special: ClosedJaxpr, plain: ClosedJaxpr) -> list[Array]:
        return _run(special if _is_on(platform, arrays) else plain, arrays)

    def batched(arrays: Sequence[Array], axes: Sequence[Any], *, special: ClosedJaxpr, plain: ClosedJaxpr) -> Any:
        forms = [
            jax.make_jaxpr(jax.vmap(lambda *xs, jaxpr=jaxpr: _run(jaxpr, xs), in_axes=tuple(axes)))(*arrays)
            for jaxpr in (special, plain)
        ]
        results = choice.bind(*arrays, special=forms[0], plain=forms[1])
        return results, [0] * len(results)

    choice.def_impl(evaluated)
    choice.def_abstract_eval(lambda *_, special, plain: plain.out_avals)
    batching.primitive_batchers[choice] = batched
    pe.dce_rules[choice] = _pruned
    mlir.register_lowering(choice, mlir.lower_fun(lambda *arrays, special, plain: _run(plain, arrays)))
    mlir.register_lowering(
        choice, mlir.lower_fun(lambda *arrays, special, plain: _run(special, arrays)), platform=platform
    )
    return choice


_choices = {platform: _choice_for(platform) for platform in _DEVICES}

__all__ = ["choose"]
