"""Large products, convolutions and poolings in pieces, which the threads of a small pool take in turn.

How the work is cut follows from shapes alone, and every piece is computed by one thread. So the results do not depend
on how many threads there are: with one, it takes all pieces.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from queue import SimpleQueue
from typing import Any

import numpy as np

from lamella.ir.program import Equation, Program
from lamella.ir.spec import size_of
from lamella.ops import primitives as p
from lamella_numpy import blas, window

Array = np.ndarray[Any, Any]
Spans = tuple[slice, ...]

LEAST = 1 << 22
"""Multiply-adds from which on a product is cut in two: an eighth of a millisecond of a core."""
PIECE = 1 << 23
"""Multiply-adds of a piece where there are more than two; of every piece of a convolution, which costs more calls."""
MOST = 8
"""Pieces at most."""
THREADED = 1 << 18
"""Multiply-adds from which on a BLAS uses its threads (OpenBLAS: 262,144)."""
POOLED = 1 << 20
"""Numbers times cells of the window from which on a pooling is cut."""
_ALIGNED = 16
"""Rows and columns are cut at multiples of so many: the kernels of a BLAS compute such blocks at once."""


# ---- the pool ---------------------------------------------------------------------------------------------------------


class _Work:
    """Pieces that several threads take in turn."""

    def __init__(self, compute: Callable[[int], object], count: int) -> None:
        self._compute = compute
        self._numbers: Iterator[int] = iter(range(count))
        self._changed = threading.Condition()
        self._active = 0
        self._error: BaseException | None = None

    def take_part(self) -> None:
        """Compute pieces until none is left, on a thread of the pool."""
        while True:
            with self._changed:
                number = next(self._numbers, None)
                if number is None:
                    return
                self._active += 1
            try:
                self._compute(number)
            except BaseException as error:  # raised again where the work was asked for
                self._error, self._numbers = error, iter(())
            with self._changed:
                self._active -= 1
                self._changed.notify_all()

    def finish(self, begin: Callable[[], object]) -> None:
        """Call `begin`, which gives the work to others; compute what they have not begun, and return when they are done.

        They write into arrays that are used again: so also after an error or an interrupt, which is raised then.
        """
        error: BaseException | None = None
        try:
            begin()
            for number in iter(self._next, None):
                self._compute(number)
        except BaseException as caught:  # raised when no thread writes any more, also an interrupt
            error = caught
        while True:
            try:
                with self._changed:
                    if error is not None:
                        self._numbers = iter(())
                    self._changed.wait_for(lambda: not self._active)
                break
            except BaseException as caught:
                error = caught
        error = error or self._error
        if error is not None:
            raise error

    def _next(self) -> int | None:
        with self._changed:
            return next(self._numbers, None)


class _Pool:
    """Threads that wait for work, begun when there is some for the first time."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[_Work] = SimpleQueue()
        self._lock = threading.Lock()
        self._helpers = -1

    def run(self, compute: Callable[[int], object], count: int) -> None:
        """`compute(0)` to `compute(count - 1)`, on this thread and the others."""
        helpers = self._begun()
        if not helpers or count < 2:
            for number in range(count):
                compute(number)
            return
        work = _Work(compute, count)
        work.finish(lambda: [self._queue.put(work) for _ in range(min(helpers, count - 1))])

    def _begun(self) -> int:
        if self._helpers < 0:
            with self._lock:
                if self._helpers < 0:
                    count = blas.cores() - 1
                    for number in range(count):
                        try:
                            threading.Thread(target=self._serve, name=f"lamella-{number}", daemon=True).start()
                        except RuntimeError:  # a limit of the system, or the interpreter ends: these are enough
                            count = number
                            break
                    self._helpers = count
        return self._helpers

    def _serve(self) -> None:
        with np.errstate(all="ignore"):
            while True:
                self._queue.get().take_part()


_POOL = _Pool()


def _in_child() -> None:
    """A forked process has no threads but the one that forked."""
    global _POOL
    _POOL = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


# ---- how work is cut ----------------------------------------------------------------------------------------------------


def _spans(size: int, pieces: int, aligned: int = 1) -> Spans:
    """`size` in a power of two of pieces, at most `pieces` and `MOST` of nearly equal lengths; one where it does not pay."""
    count = 1 << max(min(pieces, MOST), 1).bit_length() - 1
    length = math.ceil(size / count / aligned) * aligned
    return tuple(slice(start, min(start + length, size)) for start in range(0, size, max(length, 1)))


def _pieces(work: int) -> int:
    """The number of pieces of a product of `work` multiply-adds."""
    return max(work // PIECE, 2 if work >= LEAST else 1)


@lru_cache(maxsize=4096)
def cut(rows: int, inner: int, columns: int) -> tuple[int, Spans]:
    """The axis along which a product is cut, 0 for rows, and where; one span where it is too small."""
    axis = 0 if rows >= columns else 1
    size = (rows, columns)[axis]
    return axis, _spans(size, min(_pieces(rows * inner * columns), size // 64), _ALIGNED)


@lru_cache(maxsize=4096)
def _cut_stack(lead: tuple[int, ...], work: int) -> tuple[int, Spans]:
    """The axis along which a stack of products is cut, its longest, and where."""
    axis = lead.index(max(lead))
    return axis, _spans(lead[axis], _pieces(work))


def _part(x: Array, axis: int, span: slice) -> Array:
    """A span of a stack along `axis`; all of one that repeats along it."""
    return x if x.shape[axis] == 1 else x[(slice(None),) * axis + (span,)]


def product(x: Array, y: Array, out: Array) -> None:
    """x @ y, written into `out`; of matrices, or of stacks with as many axes, along which x and y may repeat"""
    if math.prod(out.shape[:-2]) == 1:
        x, y, out = (v.reshape(v.shape[-2:]) for v in (x, y, out))
    if out.ndim > 2:
        axis, spans = _cut_stack(out.shape[:-2], out.size * x.shape[-1])
        _POOL.run(lambda i: np.matmul(*[_part(v, axis, spans[i]) for v in (x, y, out)]), len(spans))
        return
    axis, spans = cut(*x.shape, y.shape[1])
    if len(spans) == 1:
        x.dot(y, out)
    elif axis == 0:
        _POOL.run(lambda i: np.matmul(x[spans[i]], y, out[spans[i]]), len(spans))
    else:
        _POOL.run(lambda i: np.matmul(x, y[:, spans[i]], out[:, spans[i]]), len(spans))


def _by_images(kernel: Callable[..., Array], images: int, work: Callable[..., int]) -> Callable[..., Array]:
    """`kernel` over pieces of the rows of its first `images` operands; the others are the same for all."""

    def compute(*operands: Array, out: Array, scratch: dict[str, Any], **attrs: Any) -> Array:
        count = len(operands[0])
        wanted = min(work(*operands, **attrs, out=out), count)
        if wanted < 2 or blas.control() is None:
            return kernel(*operands, out=out, scratch=scratch, **attrs)
        spans = _spans(count, wanted)

        def piece(i: int) -> None:
            part = [x[spans[i]] if n < images else x for n, x in enumerate(operands)]
            kernel(*part, out=out[spans[i]], scratch=scratch.setdefault(f"piece {i}", {}), **attrs)

        _POOL.run(piece, len(spans))
        return out

    return compute


def _convolving(x: Array, kernel: Array, *, out: Array, **_: Any) -> int:
    """The number of pieces that a convolution is worth."""
    return out.size * kernel[..., 0].size // PIECE


def _convolving_back(g: Array, kernel: Array, **_: Any) -> int:
    return g.size * kernel[..., 0].size // PIECE


def _pooling(x: Array, *others: Array, window: tuple[int, ...], out: Array, **_: Any) -> int:
    return max(x.size, out.size) * math.prod(window) // (POOLED // 2)


def convolve_kernel_gradient(x: Array, g: Array, *, out: Array, scratch: dict[str, Any], **attrs: Any) -> Array:
    """The sum over pieces of the images, added in their order"""
    wanted = min(g.size * out[..., 0].size // PIECE, len(x))
    if wanted < 2 or blas.control() is None:
        return window.convolve_kernel_gradient(x, g, out=out, scratch=scratch, **attrs)
    spans = _spans(len(x), wanted)
    parts = [out, *[window.kept(scratch, f"part {i}", out.shape, out.dtype) for i in range(1, len(spans))]]

    def piece(i: int) -> None:
        own = scratch.setdefault(f"piece {i}", {})
        window.convolve_kernel_gradient(x[spans[i]], g[spans[i]], out=parts[i], scratch=own, **attrs)

    _POOL.run(piece, len(spans))
    for part in parts[1:]:
        np.add(out, part, out=out)
    return out


KERNELS: dict[str, Callable[..., Any]] = {
    "product": product,
    "convolve": _by_images(window.convolve, 1, _convolving),
    "convolve_input_gradient": _by_images(window.convolve_input_gradient, 1, _convolving_back),
    "convolve_kernel_gradient": convolve_kernel_gradient,
    "max_pool": _by_images(window.max_pool, 1, _pooling),
    "max_pool_gradient": _by_images(window.max_pool_gradient, 3, _pooling),
    "average_pool": _by_images(window.average_pool, 1, _pooling),
    "average_pool_gradient": _by_images(window.average_pool_gradient, 1, _pooling),
}
"""What compiled programs call in the place of the plain kernels."""


# ---- programs -----------------------------------------------------------------------------------------------------------


def is_cut(x: Sequence[int], y: Sequence[int]) -> bool:
    """Whether the product of matrices, or stacks of them, of these shapes is computed by `product`."""
    if blas.control() is None:
        return False
    lead = tuple(max(pair) for pair in zip(x[:-2], y[:-2], strict=True))
    if size_of(lead) == 1:
        return len(cut(*x[-2:], y[-1])[1]) > 1
    return len(_cut_stack(lead, size_of([*lead, *x[-2:], y[-1]]))[1]) > 1


def is_large(program: Program) -> bool:
    """Whether something in `program` would use the threads of a BLAS, or is cut."""
    return any(_is_large(e) or any(is_large(body) for body in e.bodies.values()) for e in program.equations)


def _is_large(equation: Equation) -> bool:
    op, shapes = equation.op, [tuple(map(int, v.spec.shape)) for v in equation.inputs]
    if op is p.contract:
        left, batch = equation.attrs["contracting"][1], equation.attrs["batch"][1]
        other = size_of(d for i, d in enumerate(shapes[1]) if i not in left and i not in batch)
        return size_of(shapes[0]) * other >= THREADED
    if op.name.startswith("convolve"):
        kernel = equation.outputs[0].spec.shape if op is p.convolve_kernel_gradient else shapes[1]
        places = equation.outputs[0].spec.shape if op is p.convolve else shapes[0]
        places = shapes[1] if op is p.convolve_kernel_gradient else places
        return size_of(map(int, places)) * size_of(map(int, kernel[:-1])) >= THREADED
    return op.name in KERNELS and max(map(size_of, shapes)) * math.prod(equation.attrs["window"]) >= POOLED


__all__ = ["KERNELS", "is_cut", "is_large"]
