"""Call a layer with declared values: trace it alone for their specs, and add an equation to the layer graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lamella.core.context import tracing
from lamella.errors import ArgumentError
from lamella.graph import CALL
from lamella.ir.declared import Declared, declared_by
from lamella.ir.trace import as_value
from lamella.layers.building import NO_KEY, specs_only
from lamella.tree import flatten, leaves, map_leaves, unflatten

if TYPE_CHECKING:
    from lamella.ir.spec import Spec
    from lamella.layers.base import Layer


def call(layer: Layer, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The outputs of `layer` for arguments with declared values among them.

    The layer is built; the first model that contains it gives its weights their values.

    Raises:
        ShapeError: the layer does not support such inputs; it is not changed.
        FreeDimensionError: it needs the size of a dimension that is None.
    """
    # lists and dicts are copied, because the caller may change them later
    arguments: Any = map_leaves(lambda leaf: leaf, (tuple(args), dict(kwargs)))
    given: list[Declared] = [leaf for leaf in leaves(arguments) if isinstance(leaf, Declared)]
    distinct = list(dict.fromkeys(given))
    specs: dict[str, Spec] = {f"input {i}": value.spec for i, value in enumerate(distinct)}
    masks = {f"mask {i}": value.mask for i, value in enumerate(distinct) if value.mask is not None}
    unbuilt = [part for part in (layer, *[held for _, held in layer.named_layers()]) if not part.built]
    try:
        with specs_only(), tracing(None, specs | masks, build_key=NO_KEY, draws_without_key=True) as traced:
            values = [traced.inputs[name] for name in specs]
            for i, value in enumerate(values):
                traced.context.set_mask(value, traced.inputs.get(f"mask {i}"))
            stand_ins = dict(zip(distinct, values, strict=True))
            traced_args, traced_kwargs = map_leaves(
                lambda leaf: stand_ins[leaf] if isinstance(leaf, Declared) else leaf, arguments
            )
            flat, structure = flatten(layer(*traced_args, **traced_kwargs))
            outputs = [as_value(value) for value in flat]
            found = [traced.context.mask_of(value) for value in flat]
    except BaseException:
        for part in unbuilt:
            part._unbuild()
        raise
    if not outputs:
        raise ArgumentError(f"Layer {layer.name!r} ({type(layer).__name__}) returned no array from its `call`.")
    attrs = {"layer": layer, "arguments": arguments}
    made = declared_by(
        CALL, given, attrs, [v.spec for v in outputs], [None if mask is None else mask.spec for mask in found]
    )
    result = unflatten(structure, made)
    layer._calls.append((arguments[0][0] if args else next(iter(arguments[1].values())), result))
    return result
