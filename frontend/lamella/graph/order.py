"""The order in which Keras lists the layers of a graph, which numbers their arrays in its files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from lamella.graph.graph import CALL, Graph
from lamella.ir.declared import Declared
from lamella.ir.program import Equation, Value

if TYPE_CHECKING:
    from lamella.ir.types import Tree


def in_keras_order(graph: Graph, declarations: Sequence[Any], outputs: Any) -> list[Any]:
    """The declarations of the inputs, the layers, and the equations that call none, each once.

    What is farther from the outputs comes first; what is as far, in the order in which it is met on the way back from them.
    Numbers, and operands that broadcasting alone makes larger, are not separate operations in Keras.

    Args:
        graph: the graph.
        declarations: for each input of the graph what declares it.
        outputs: the graph's outputs in their structure.
    """
    declared = dict(zip(graph.inputs, declarations, strict=True))
    met, finished = _search(outputs, declared)
    depths: dict[int, int] = {}
    farthest: dict[int, int] = {}
    owners: dict[int, Any] = {}
    for node, parents in reversed(finished):
        owner = _owner(node)
        depth = max(depths.get(id(node), 0), farthest.get(id(owner), 0))
        owners[id(owner)] = owner
        farthest[id(owner)] = depths[id(node)] = depth
        for parent in parents:
            depths[id(parent)] = max(depth + 1, depths.get(id(parent), 0))
    return sorted(owners.values(), key=lambda owner: (-farthest[id(owner)], met[id(owner)]))


def sorted_leaves(value: Tree[Value]) -> Iterator[Any]:
    """The leaves of a structure as Keras flattens it: the entries of a dict by their keys."""
    if isinstance(value, list | tuple):
        for item in value:
            yield from sorted_leaves(item)
    elif isinstance(value, dict):
        for key in sorted(value, key=str):
            yield from sorted_leaves(value[key])
    elif value is not None:
        yield value


def maker_of(value: Value) -> Equation:
    """The equation that a value of a graph is an output of."""
    return cast("Declared", value).maker


def _owner(node: Any) -> Any:
    """The layer that an equation calls; of other nodes themselves."""
    return node.attrs["layer"] if isinstance(node, Equation) and node.op is CALL else node


def _node_of(value: Value, declared: Mapping[Value, Any]) -> Any:
    """The declaration or the equation that makes a value, None for a number."""
    while value not in declared:
        maker = maker_of(value)
        if maker.op.name == "constant":
            return None
        source = spread_from(maker)
        if source is None:
            return maker
        value = source
    return declared[value]


def spread_from(equation: Equation) -> Value | None:
    """The operand that an equation only makes larger, as broadcasting does by itself; None where it does something else."""
    if equation.op.name != "broadcast":
        return None
    (source,), shape, axes = equation.inputs, equation.attrs["shape"], equation.attrs["axes"]
    if tuple(axes) == tuple(range(len(shape) - len(axes), len(shape))):
        return source
    maker = maker_of(source)
    if maker.op.name != "reshape":
        return None
    before = maker.inputs[0]  # with the axes of one entry that broadcasting takes out first
    sizes = [dim if i in axes else 1 for i, dim in enumerate(shape)][len(shape) - len(before.shape) :]
    return before if list(before.shape) == sizes else None


def _parents(node: Any, declared: Mapping[Value, Any]) -> list[Any]:
    if not isinstance(node, Equation):
        return []
    operands = node.inputs
    if node.op is CALL:
        operands = [leaf for leaf in sorted_leaves(node.attrs["arguments"]) if isinstance(leaf, Declared)]
    return [node for node in (_node_of(value, declared) for value in operands) if node is not None]


def _search(outputs: Any, declared: Mapping[Value, Any]) -> tuple[dict[int, int], list[tuple[Any, list[Any]]]]:
    """The search from the outputs, deep before wide.

    Returns:
        For each owner of a node, by id, when it is met; and the nodes with their parents, each behind all that it depends on.
    """
    met: dict[int, int] = {}
    finished: list[tuple[Any, list[Any]]] = []
    seen: set[int] = set()
    waiting = iter([_node_of(value, declared) for value in sorted_leaves(outputs)])
    stack: list[tuple[Any, list[Any], Iterator[Any]]] = []
    while True:
        node = next((node for node in waiting if node is not None and id(node) not in seen), None)
        if node is not None:
            seen.add(id(node))
            met.setdefault(id(_owner(node)), len(met))
            parents = _parents(node, declared)
            stack.append((node, parents, waiting))
            waiting = iter(parents)
        elif stack:
            done, parents, waiting = stack.pop()
            finished.append((done, parents))
        else:
            return met, finished
