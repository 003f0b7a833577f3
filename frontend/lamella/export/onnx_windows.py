"""Convolution and pooling as ONNX nodes, which are channels-first: `(graph, equation, operands) -> result`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamella.export.onnx_graph import Graph, Names
from lamella.ir.dim import maximum, symbols_of
from lamella.ir.program import Equation

Padding = Sequence[tuple[Any, Any]]


def _pads(padding: Padding) -> list[Any]:
    return [*[low for low, _ in padding], *[high for _, high in padding]]


def _cropped(g: Graph, x: str, padding: Padding, size: Sequence[Any]) -> tuple[str, list[int]]:
    """The operand without the cells that negative padding removes, and the remaining padding."""
    cut = [
        (i, maximum(0, -low), n - maximum(0, -high))
        for i, ((low, high), n) in enumerate(zip(padding, size, strict=True))
    ]
    cut = [(i + 2, a, b) for i, a, b in cut if (a, b) != (0, size[i])]
    if cut:
        axes, start, stop = zip(*cut, strict=True)
        x = g.node("Slice", x, g.dims(start), g.dims(stop), g.constant(axes, np.int64))
    return _padded(g, x, [(maximum(0, low), maximum(0, high)) for low, high in padding])


def _padded(g: Graph, x: str, padding: Padding, *value: str) -> tuple[str, list[int]]:
    """`x`, padded by a separate node if the padding depends on a free dimension; and the remaining padding."""
    if not symbols_of(itertools.chain(*padding)):
        return x, _pads(padding)
    return g.node("Pad", x, g.dims(_pads([(0, 0), (0, 0), *padding])), *value), [0] * (2 * len(padding))


def convolve(g: Graph, e: Equation, names: Names) -> str:
    """Conv, its kernel turned to (channels out, channels in, spatial ...)"""
    n = len(e.attrs["strides"])
    kernel = g.transpose(names[1], (n + 1, n, *range(n)))
    x, pads = _cropped(g, names[0], e.attrs["padding"], e.inputs[0].shape[1:-1])
    return g.node(
        "Conv",
        x,
        kernel,
        strides=list(e.attrs["strides"]),
        pads=pads,
        dilations=list(e.attrs["dilation"]),
        group=e.attrs["groups"],
        kernel_shape=[int(d) for d in e.inputs[1].shape[:n]],
    )


def convolve_input_gradient(g: Graph, e: Equation, names: Names) -> str:
    """ConvTranspose over everything, then the part that the padding leaves"""
    attrs, n = e.attrs, len(e.attrs["strides"])
    kernel = g.transpose(names[1], (n + 1, n, *range(n)))
    window = [int(d) for d in e.inputs[1].shape[:n]]
    whole = [
        (o - 1) * s + (k - 1) * d + 1
        for o, s, k, d in zip(e.inputs[0].shape[1:-1], attrs["strides"], window, attrs["dilation"], strict=True)
    ]
    ends = [(low, w - low - size) for (low, _), w, size in zip(attrs["padding"], whole, attrs["size"], strict=True)]
    result = g.node(
        "ConvTranspose",
        names[0],
        kernel,
        strides=list(attrs["strides"]),
        pads=_pads([(maximum(0, low), maximum(0, high)) for low, high in ends]),
        dilations=list(attrs["dilation"]),
        group=attrs["groups"],
        kernel_shape=window,
    )
    missing = [(maximum(0, -low), maximum(0, -high)) for low, high in ends]
    if any(map(any, missing)):
        result = g.node("Pad", result, g.constant(_pads([(0, 0), (0, 0), *missing]), np.int64))
    return result


def max_pool(g: Graph, e: Equation, names: Names) -> str:
    """MaxPool; padding counts as minus infinity"""
    (x,), padding = names, e.attrs["padding"]
    if any(low != high for low, high in padding):
        # sides that differ are read differently here and there, so they are padded beforehand
        least = g.constant(-np.inf, e.inputs[0].dtype)
        x, padding = (
            g.node("Pad", x, g.dims(_pads([(0, 0), (0, 0), *padding])), least),
            ((0, 0),) * len(padding),
        )
    return _pooled(g, "MaxPool", x, e, padding)


def average_pool(g: Graph, e: Equation, names: Names) -> str:
    """AveragePool; padding does not count"""
    (x,), padding = names, e.attrs["padding"]
    if not symbols_of(itertools.chain(*padding)):
        return _pooled(g, "AveragePool", x, e, padding, count_include_pad=0)
    # the mean with zeros around, by the part of the window that is real
    none = ((0, 0),) * len(padding)
    spec = e.inputs[0]
    ones = g.node("Expand", g.constant(1, spec.dtype), g.dims([1, 1, *spec.shape[1:-1]]))
    means = [_pooled(g, "AveragePool", _padded(g, part, padding)[0], e, none) for part in (x, ones)]
    return g.node("Div", *means)


def _pooled(g: Graph, kind: str, x: str, e: Equation, padding: Any, **attributes: Any) -> str:
    window, strides = list(e.attrs["window"]), list(e.attrs["strides"])
    return g.node(kind, x, kernel_shape=window, strides=strides, pads=_pads(padding), **attributes)
