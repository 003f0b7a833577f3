"""`model.export("net.onnx")`: a model as an ONNX graph, equation by equation."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lamella.errors import LamellaError
from lamella.export.broadcasts import implied
from lamella.export.onnx_graph import ELEMENTS, Graph, Size
from lamella.export.onnx_ops import ELEMENTWISE, TRANSLATIONS
from lamella.export.symbolic import ExportError, Inference, inference_of, version
from lamella.files.atomic import write_atomically
from lamella.ir.dim import Dim, Dimension
from lamella.ir.program import Equation, Program, Value
from lamella.ir.spec import numpy_dtype
from lamella.ir.trace import constant
from lamella.layers.naming import first_free
from lamella.ops import primitives as p
from lamella.passes.expressions import aligned

OPSET = 18
"""The opset of 2022, which onnxruntime 1.14 and newer and the converters for phones and browsers support."""
IR_VERSION = 8
_LARGEST = 2**31 - 2**20
"""The maximum size of a protobuf file in bytes."""


class MissingOnnxError(LamellaError, ImportError):
    """The package `onnx` is not installed."""


def need_onnx() -> Any:
    """The package onnx.

    Raises:
        MissingOnnxError: it is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise MissingOnnxError("ONNX files need the package onnx: pip install onnx.") from None
    return onnx


def export_onnx(model: Any, path: str | os.PathLike[str]) -> None:
    """Write `model` as an ONNX file; see `Sequential.export`."""
    onnx = need_onnx()
    if sum(v.numpy().nbytes for _, v in model.named_weights()) > _LARGEST:
        raise ExportError(f"Model {model.name!r} has more than 2 GB of weights, which no ONNX file holds.")
    inference = inference_of(model, lambda op: op in TRANSLATIONS or op in (p.scan, p.switch))
    made = _Translation(inference).model(model)
    onnx.checker.check_model(made, full_check=True)
    write_atomically(path, made.SerializeToString(deterministic=True))


class _Translation:
    def __init__(self, inference: Inference) -> None:
        self.inference = inference
        self.graph = Graph()

    def model(self, model: Any) -> Any:
        from onnx import helper

        graph, inference = self.graph, self.inference
        program = inference.program
        count = len(inference.weights)
        named = zip(program.inputs[:count], program.input_names[:count], inference.weights, strict=True)
        for value, name, array in named:
            graph.bind(value, graph.constant(array, name=name))
        inputs = _apart(inference.batches, {*program.input_names[:count]})
        outputs = _apart(inference.predictions, {*program.input_names[:count], *inputs})
        for name, batch in inputs.items():
            graph.bind(batch, name)
            for axis, dim in enumerate(batch.shape):
                if isinstance(dim, Dim) and str(dim) not in graph.sizes:
                    size = graph.fresh(str(dim))
                    graph.sizes[str(dim)] = Size(graph, size)
                    graph.nodes.append(helper.make_node("Shape", [name], [size], name=size, start=axis, end=axis + 1))
        self._equations(program)
        graph.where = ""
        for name, prediction in outputs.items():
            graph.nodes.append(helper.make_node("Identity", [graph.name_of(prediction)], [name], name=name))
        _drop_unread(graph)
        made = helper.make_graph(
            graph.nodes,
            "".join(c if c.isalnum() else "_" for c in model.name),
            [self._info(name, value) for name, value in inputs.items()],
            [self._info(name, value) for name, value in outputs.items()],
            graph.initializers,
        )
        return helper.make_model(
            made,
            producer_name="lamella",
            producer_version=version(),
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )

    def _info(self, name: str, value: Value) -> Any:
        from onnx import helper

        shape = [d if isinstance(d, int) else str(d).replace(" ", "") for d in value.shape]
        return helper.make_tensor_value_info(name, ELEMENTS[value.dtype], shape)

    def _equations(self, program: Program) -> None:
        graph = self.graph
        spread = implied(program, lambda op: op in ELEMENTWISE)
        made = {e.outputs[0]: e for e in program.equations if e.op is p.broadcast and e.outputs[0] in spread}
        for equation in program.equations:
            graph.where = equation.where
            if equation.op is constant:
                array = np.asarray(equation.attrs["value"], numpy_dtype(equation.attrs["dtype"]))
                graph.bind(equation.outputs[0], graph.constant(array))
            elif equation.outputs[0] in made:
                shape, name = aligned(equation), graph.name_of(equation.inputs[0])
                graph.bind(equation.outputs[0], name if shape is None else graph.reshape(name, shape))
            elif equation.op is p.scan:
                self._scan(equation)
            elif equation.op is p.switch:
                operands = [graph.name_of(v) for v in equation.inputs]
                results = self._switch(equation, operands[0], operands[1:], equation.attrs["branches"])
                for value, name in zip(equation.outputs, results, strict=True):
                    graph.bind(value, name)
            elif equation.op in ELEMENTWISE and self._channels_first(equation, made):
                operands = [self._first_operand(v, made) for v in equation.inputs]
                graph.bind_first(equation.outputs[0], TRANSLATIONS[equation.op](graph, equation, operands))
            else:
                TRANSLATIONS[equation.op].emit(graph, equation)

    def _channels_first(self, equation: Equation, spread: dict[Value, Equation]) -> bool:
        """Whether an elementwise equation is best computed with channels first, as a convolution left its operand."""
        rank = equation.outputs[0].ndim

        def fits(value: Value) -> bool:
            axes = spread[value].attrs["axes"] if value in spread else None
            return self.graph.is_first(value) or (axes is not None and tuple(axes) in ((), (rank - 1,)))

        return any(self.graph.only_first(v) for v in equation.inputs) and all(fits(v) for v in equation.inputs)

    def _first_operand(self, value: Value, spread: dict[Value, Equation]) -> str:
        if value not in spread:
            return self.graph.first_of(value)
        name = self.graph.name_of(spread[value].inputs[0])
        if not spread[value].attrs["axes"]:
            return name
        return self.graph.reshape(name, (value.shape[-1], *[1] * (value.ndim - 2)))

    def _switch(
        self, equation: Equation, index: str, operands: Sequence[str], branches: Sequence[Program]
    ) -> list[str]:
        """The first branch, or a choice among the others."""
        from onnx import helper

        graph, where, choices = self.graph, equation.where, []
        for first in (True, False):
            with graph.body() as nodes:
                if first or len(branches) == 1:
                    for value, name in zip(branches[0].inputs, operands, strict=True):
                        graph.bind(value, name)
                    self._equations(branches[0])
                    graph.where = where
                    names = [graph.name_of(v) for v in branches[0].outputs]
                else:
                    one = graph.constant(1, equation.inputs[0].dtype)
                    names = self._switch(equation, graph.node("Sub", index, one), operands, branches[1:])
                names = [graph.node("Identity", name) for name in names]
                infos = [self._info(n, v) for n, v in zip(names, equation.outputs, strict=True)]
                choices.append(helper.make_graph(nodes, graph.fresh("branch"), [], infos))
        holds = graph.node("LessOrEqual", index, graph.constant(0, equation.inputs[0].dtype))
        results = graph.node("If", holds, outputs=len(infos), then_branch=choices[0], else_branch=choices[1])
        return [results] if len(infos) == 1 else results

    def _scan(self, equation: Equation) -> None:
        from onnx import helper

        graph, attrs = self.graph, equation.attrs
        body, consts, carries = attrs["body"], attrs["consts"], attrs["carries"]
        operands = [graph.name_of(v) for v in equation.inputs]
        stacked = [self._in_time(name, attrs) for name in operands[consts + carries :]]
        where = equation.where
        if not stacked:  # Scan counts its steps by what it scans
            stacked = [self._steps(attrs["length"])]
        inputs, outputs = [], []
        with graph.body() as nodes:
            for value, name in zip(body.inputs[:consts], operands[:consts], strict=True):
                graph.bind(value, name)
            for value in body.inputs[consts:]:
                graph.bind(value, graph.fresh("state"))
                inputs.append(self._info(graph.name_of(value), value))
            if len(stacked) > len(body.inputs) - consts - carries:
                inputs.append(helper.make_tensor_value_info(graph.fresh("step"), ELEMENTS["int64"], []))
            self._equations(body)
            graph.where = where
            for value in body.outputs:
                # an output must be made in the body, and each only once
                result = graph.node("Identity", graph.name_of(value))
                outputs.append(self._info(result, value))
            inner = helper.make_graph(nodes, graph.fresh("body"), inputs, outputs)
        results = graph.node(
            "Scan",
            *operands[consts : consts + carries],
            *stacked,
            outputs=len(outputs),
            body=inner,
            num_scan_inputs=len(stacked),
        )
        for i, (value, name) in enumerate(
            zip(equation.outputs, [results] if len(outputs) == 1 else results, strict=True)
        ):
            graph.bind(value, name if i < carries else self._in_time(name, attrs))

    def _steps(self, length: Dimension) -> str:
        """The numbers of the steps of a loop."""
        graph = self.graph
        if isinstance(length, int):
            return graph.constant(np.arange(length))
        ends = graph.constant(0, np.int64), graph.reshape(graph.dims([length]), ()), graph.constant(1, np.int64)
        return str(graph.node("Range", *ends))

    def _in_time(self, name: str, attrs: Mapping[str, Any]) -> str:
        """Steps in the order of Scan: not every runtime supports its reverse direction."""
        return self.graph.reverse(name, (0,)) if attrs["reverse"] else name


def _apart(values: Mapping[str, Value], taken: set[str]) -> dict[str, Value]:
    """`values` by unique names."""
    found: dict[str, Value] = {}
    for name, value in values.items():
        found[first_free(name, {*taken, *found})] = value
    return found


def _drop_unread(graph: Graph) -> None:
    """Remove initializers that were only used to make others, and unused sizes."""
    read, sizes = set(_read(graph.nodes)), {size.name for size in graph.sizes.values()}
    graph.initializers = [i for i in graph.initializers if i.name in read]
    graph.nodes = [n for n in graph.nodes if n.output[0] not in sizes - read]


def _read(nodes: Sequence[Any]) -> list[str]:
    found = []
    for node in nodes:
        found += node.input
        for attribute in node.attribute:
            if attribute.g.node:
                found += _read(attribute.g.node)
    return found
