"""Contractions of two operands: matrix multiplication, tensor products and einsum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lamella.errors import ArgumentError, DTypeError, ShapeError
from lamella.ir.dim import differ, exceeds
from lamella.ir.program import op
from lamella.ir.spec import Spec, spec_of
from lamella.ir.trace import operand
from lamella.ops.coerce import as_tensor, broadcast_shape, broadcast_to, common_dtype, normalize_axis, sum_dtype
from lamella.ops.reduction import reduce_sum
from lamella.ops.shapes import reshape, transpose
from lamella.tracebacks import filter_functions

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor

Pairs = tuple[tuple[int, ...], tuple[int, ...]]


def _free(ndim: int, *used: tuple[int, ...]) -> tuple[int, ...]:
    taken = {a for axes in used for a in axes}
    return tuple(a for a in range(ndim) if a not in taken)


@op(mandatory=True)
def contract(x: Spec, y: Spec, *, contracting: Pairs, batch: Pairs) -> Spec:
    """Products of x and y summed over the `contracting` axes, one by one along the `batch` axes.

    Each is a pair (axes of x, axes of y). The result has the batch axes, then x's free axes, then y's.
    """
    if x.dtype != y.dtype or x.dtype == "bool":
        raise DTypeError(f"operands must be numbers of one dtype, got {x.dtype} and {y.dtype}.")
    for (left, right), what in ((contracting, "contracting"), (batch, "batch")):
        if len(left) != len(right) or any(differ(x.shape[a], y.shape[b]) for a, b in zip(left, right, strict=True)):
            raise ShapeError(f"{what} axes {left} of {x} and {right} of {y} do not agree.")
    if len({*contracting[0], *batch[0]}) != len(contracting[0]) + len(batch[0]):
        raise ShapeError(f"axes of {x} must be distinct in contracting {contracting} and batch {batch}.")
    shape = (
        *[x.shape[a] for a in batch[0]],
        *[x.shape[a] for a in _free(x.ndim, contracting[0], batch[0])],
        *[y.shape[a] for a in _free(y.ndim, contracting[1], batch[1])],
    )
    return Spec(shape, x.dtype)


@contract.def_vjp
def _(g: Tensor, out: Tensor, x: Tensor, y: Tensor, *, contracting: Pairs, batch: Pairs) -> tuple[Tensor, ...]:
    return (
        _operand_gradient(g, y, contracting, batch, spec_of(x).ndim, spec_of(y).ndim, left=True),
        _operand_gradient(g, x, contracting[::-1], batch[::-1], spec_of(y).ndim, spec_of(x).ndim, left=False),
    )


def _operand_gradient(
    g: Any, other: Any, contracting: Any, batch: Any, ndim: int, other_ndim: int, *, left: bool
) -> Any:
    """The gradient of one operand: `g` contracted with the other over the other's free axes, axes put back in order."""
    (mine, theirs), (my_batch, their_batch) = contracting, batch
    shared = dict(zip((*their_batch, *theirs), (*my_batch, *mine), strict=True))
    # Axes are named by their number in the operand; axes of the other operand alone get higher numbers.
    others = [shared.get(a, ndim + a) for a in range(other_ndim)]
    free, other_free = _free(ndim, mine, my_batch), [ndim + a for a in _free(other_ndim, theirs, their_batch)]
    if left:
        return _product(g, [*my_batch, *free, *other_free], other, others, range(ndim))
    return _product(other, others, g, [*my_batch, *other_free, *free], range(ndim))


def _product(x: Tensor, of_x: Sequence[Any], y: Tensor, of_y: Sequence[Any], result: Sequence[Any]) -> Any:
    """The contraction of x and y, whose axes are named, to the axes of `result`, summed over the other common axes.

    The operands are ordered so that the result has its axes in order. If neither order does, the larger operand is
    placed so that it is read in row-major order: left if it is summed over its last axis, right if not. (The other
    order takes twice the time with XLA on a CPU.)
    """
    both = set(of_x) & set(of_y)
    kept, gone = [c for c in result if c in both], [c for c in of_x if c in both and c not in result]
    mine, others = ([c for c in axes if c not in both] for axes in (of_x, of_y))
    straight, swapped = [*kept, *mine, *others], [*kept, *others, *mine]
    if straight != [*result] and (swapped == [*result] or (gone and not _rows_as_they_lie(x, of_x, y, of_y, gone))):
        x, of_x, y, of_y, straight = y, of_y, x, of_x, swapped
    product = contract.bind(
        x,
        y,
        contracting=(tuple(of_x.index(c) for c in gone), tuple(of_y.index(c) for c in gone)),
        batch=(tuple(of_x.index(c) for c in kept), tuple(of_y.index(c) for c in kept)),
    )
    return transpose(product, [straight.index(c) for c in result])


def _rows_as_they_lie(x: Tensor, of_x: Sequence[Any], y: Tensor, of_y: Sequence[Any], gone: Sequence[Any]) -> bool:
    """Whether the product of x and y reads the larger operand in row-major order."""
    x_is_larger = not exceeds(spec_of(y).size, spec_of(x).size)
    return of_x[-1] in gone if x_is_larger else of_y[-1] not in gone


def _product_dtype(*xs: Any) -> str:
    """The common dtype of operands whose products are added up."""
    dtype = common_dtype(*xs)
    return dtype if dtype == "bool" else sum_dtype(dtype)


def matmul(x1: ArrayLike, x2: Any) -> Tensor:
    """x1 @ x2 by NumPy's rule: the last axis of x1 with the last but one of x2, the leading axes broadcast

    Integers of less than 32 bits become 32 bits wide first, because sums of their products would wrap around.

    Args:
        x1: array `(..., n, k)`, or a vector `(k,)`.
        x2: array `(..., k, m)`, or a vector `(k,)`.

    Returns:
        An array `(..., n, m)` in the promoted dtype; the axis of a vector is left out.

    Raises:
        ShapeError: an operand is a scalar, the inner sizes differ, or the leading axes do not broadcast.
        DTypeError: both operands are bool.

    Example:
        >>> from lamella import ops
        >>> x = [[1, 2], [3, 4]]
        >>> ops.matmul(x, [[0, 1], [1, 0]]), ops.matmul(x, [1, 1])
        (array([[2, 1],
               [4, 3]], dtype=int32), array([3, 7], dtype=int32))
    """
    x1, x2 = operand(x1), operand(x2)
    dtype = _product_dtype(x1, x2)
    x1, x2 = as_tensor(x1, dtype), as_tensor(x2, dtype)
    nx, ny = spec_of(x1).ndim, spec_of(x2).ndim
    if nx == 0 or ny == 0:
        raise ShapeError("matmul needs operands with at least one dimension; use multiply for scalars.")
    if differ(x1.shape[-1], x2.shape[-2 if ny > 1 else 0]):
        columns, rows = x1.shape[-1], x2.shape[-2 if ny > 1 else 0]
        raise ShapeError(f"matmul of {spec_of(x1)} and {spec_of(x2)}: {columns} columns meet {rows} rows.")
    if ny <= 2:
        return contract.bind(x1, x2, contracting=((nx - 1,), (max(ny - 2, 0),)), batch=((), ()))
    if nx == 1:
        return contract.bind(x1, x2, contracting=((0,), (ny - 2,)), batch=((), ()))
    lead = broadcast_shape(tuple(x1.shape[:-2]), tuple(x2.shape[:-2]))
    x1, x2 = broadcast_to(x1, (*lead, *x1.shape[-2:])), broadcast_to(x2, (*lead, *x2.shape[-2:]))
    n = len(lead)
    at = tuple(range(n))
    return contract.bind(x1, x2, contracting=((n + 1,), (n,)), batch=(at, at))


def dot(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """Sums of products over the last axis of x1 and the last but one of x2 (the only one of a vector).

    Unlike in `matmul` the leading axes do not broadcast: those of x1 come first in the result, then those of x2. A
    scalar multiplies every entry.

    Args:
        x1: array `(..., k)`, or a scalar.
        x2: array `(..., k, m)`, a vector `(k,)`, or a scalar.

    Returns:
        An array in the promoted dtype with the axes of `x1` and then those of `x2`, without the two that are summed
        over.

    Raises:
        ShapeError: the sizes of the two axes differ.

    Example:
        >>> from lamella import ops
        >>> ops.dot([1, 2], [3, 4]), ops.dot([[1, 2], [3, 4]], [[0, 1], [1, 0]])
        (array(11, dtype=int32), array([[2, 1],
               [4, 3]], dtype=int32))
    """
    from lamella.ops.elementwise import multiply

    x1, x2 = as_tensor(x1), as_tensor(x2)
    if not spec_of(x1).ndim or not spec_of(x2).ndim:
        return multiply(x1, x2)
    return tensordot(x1, x2, ((-1,), (-1 if spec_of(x2).ndim == 1 else -2,)))


def tensordot(x1: ArrayLike, x2: ArrayLike, axes: int | Sequence[Any] = 2) -> Any:
    """Products summed over the last `axes` axes of x1 and the first of x2, or over a pair of axis lists.

    Args:
        x1: array of numbers.
        x2: array of numbers.
        axes: the number of axes, or a pair: the axes of `x1`, and those of `x2`, an integer or a list each.

    Returns:
        An array in the promoted dtype with the remaining axes of `x1`, then those of `x2`.

    Raises:
        ShapeError: sizes of paired axes differ, or an axis is out of range.

    Example:
        >>> from lamella import ops
        >>> x, y = ops.ones((2, 3, 4)), ops.ones((4, 3, 5))
        >>> ops.tensordot(x, y, ((1, 2), (1, 0))).shape, ops.tensordot([1, 2], [3, 4], axes=1)
        ((2, 5), array(11, dtype=int32))
    """
    x1, x2 = operand(x1), operand(x2)
    dtype = common_dtype(x1, x2) if axes == 0 else _product_dtype(x1, x2)
    x1, x2 = as_tensor(x1, dtype), as_tensor(x2, dtype)
    nx, ny = spec_of(x1).ndim, spec_of(x2).ndim
    if isinstance(axes, int):
        left, right = tuple(range(nx - axes, nx)), tuple(range(axes))
    else:
        left, right = ((a,) if isinstance(a, int) else tuple(a) for a in axes)
        left = tuple(normalize_axis(a, nx) for a in left)
        right = tuple(normalize_axis(a, ny) for a in right)
    return contract.bind(x1, x2, contracting=(left, right), batch=((), ()))


def einsum(subscripts: str, *operands: Any) -> Tensor:
    """Einstein summation of one or more operands, for example `einsum("bij,bjk->bik", x, y)`.

    An index that is missing on the right of "->" is summed over. Without "->" the result has the indices that occur
    once, in alphabetical order. "..." stands for shared leading axes. Pairs are contracted from left to right.

    Args:
        subscripts: one letter per axis, operands separated by commas, then "->" and the indices of the result.
        *operands: one array per comma-separated term.

    Returns:
        An array in the promoted dtype with the axes that the right side names.

    Raises:
        ShapeError: a term does not have as many indices as its operand has axes, or sizes of one index differ.
        ArgumentError: the number of terms and operands differs, an index occurs twice in one term, or the right side
            names an index that no operand has.

    Example:
        >>> from lamella import ops
        >>> ops.einsum("ij,j->i", [[1, 2], [3, 4]], [10, 1])
        array([12, 34], dtype=int32)
        >>> ops.einsum("bij,bkj->bik", ops.ones((2, 3, 4)), ops.ones((2, 5, 4))).shape
        (2, 3, 5)
    """
    dtype = _product_dtype(*operands)
    items = [as_tensor(x, dtype) for x in operands]
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(items):
        raise ArgumentError(f"einsum {subscripts!r} names {len(terms)} operands, got {len(items)}.")
    spare = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in subscripts]
    width = max(
        (spec_of(x).ndim - len(t.replace("...", "")) for t, x in zip(terms, items, strict=True) if "..." in t),
        default=0,
    )
    dots = "".join(spare[:width])
    for i, (term, x) in enumerate(zip(terms, items, strict=True)):
        missing = spec_of(x).ndim - len(term.replace("...", ""))
        terms[i] = term.replace("...", dots[width - missing :] if "..." in term else "")
        if len(terms[i]) != spec_of(x).ndim:
            raise ShapeError(f"einsum {subscripts!r}: {term!r} does not describe {spec_of(x)}.")
        if len(set(terms[i])) != len(terms[i]):
            raise ArgumentError(f"einsum {subscripts!r}: a repeated index within one operand is not supported.")
    every = "".join(terms)
    output = (
        right.replace("...", dots)
        if arrow
        else dots + "".join(sorted(c for c in set(every) - set(dots) if every.count(c) == 1))
    )
    if any(c not in every for c in output):
        raise ArgumentError(f"einsum {subscripts!r}: the output names an index that no operand has.")
    term, x = terms[0], items[0]
    for number, (other_term, other) in enumerate(zip(terms[1:], items[1:], strict=True), start=1):
        later = set(output).union(*terms[number + 1 :])
        term, x = _sum_out(term, x, later | set(other_term))
        other_term, other = _sum_out(other_term, other, later | set(term))
        left = [c for c in term if c in other_term and c in later]
        left += [c for c in term + other_term if (c in term) != (c in other_term)]
        if sorted(left) == sorted(output):
            left = list(output)
        term, x = "".join(left), _product(x, term, other, other_term, left)
    term, x = _sum_out(term, x, set(output))
    return transpose(x, [term.index(c) for c in output])


def _sum_out(term: str, x: Tensor, needed: set[str]) -> tuple[str, Any]:
    """The term and `x`, summed over the axes that are not needed."""
    axes = tuple(i for i, c in enumerate(term) if c not in needed)
    if not axes:
        return term, x
    return "".join(c for c in term if c in needed), reduce_sum.bind(x, axes=axes)


def outer(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """All products of an entry of x1 and an entry of x2.

    Args:
        x1: array of numbers, which is flattened.
        x2: array of numbers, which is flattened.

    Returns:
        An array `(size of x1, size of x2)` in the promoted dtype.

    Example:
        >>> from lamella import ops
        >>> ops.outer([1, 2, 3], [10, 1])
        array([[10,  1],
               [20,  2],
               [30,  3]], dtype=int32)
    """
    return tensordot(reshape(x1, (-1,)), reshape(x2, (-1,)), 0)


filter_functions(__name__)
