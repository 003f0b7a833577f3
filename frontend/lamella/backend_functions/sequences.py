"""Loops over time, and connectionist temporal classification."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import losses, ops, tree
from lamella.backend_functions.variables import get_value
from lamella.errors import ArgumentError
from lamella.ir import settings
from lamella.ir.dim import Dim, differ
from lamella.losses.sequence import IMPOSSIBLE
from lamella.tracebacks import filter_functions

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, DTypeLike, Tensor


def map_fn(fn: Callable[[Any], Any], elems: Tensor, name: str | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """`fn` applied to every entry of the leading axis of `elems`, and the results stacked.

    Args:
        fn: takes a slice (nested as `elems` is) and returns an array, or a nested tuple, list or dict of arrays.
        elems: an array, or a nested tuple, list or dict of arrays with equally long leading axes.
        name: has no effect.
        dtype: the dtype of the results; None keeps it.

    Returns:
        The results with a leading axis.

    Example:
        >>> from lamella import backend as K, ops
        >>> K.map_fn(lambda x: x * x, ops.array([1, 2, 3]), dtype="float32")
        array([1., 4., 9.], dtype=float32)
    """
    found = ops.map(fn, elems)
    return found if dtype is None else tree.map_leaves(lambda y: ops.cast(y, dtype), found)


def _folded(fn: Callable[[Any, Any], Any], elems: Tensor, initializer: Any, reverse: bool) -> Tensor:
    if initializer is None:
        first = -1 if reverse else 0
        rest = slice(None, -1) if reverse else slice(1, None)
        elems = tree.map_leaves(ops.convert_to_tensor, elems)
        # An entry of a NumPy array may be a scalar, which would lose its dtype.
        initializer = tree.map_leaves(lambda x: ops.convert_to_tensor(x[first], ops.dtype(x)), elems)
        elems = tree.map_leaves(lambda x: x[rest], elems)
    return ops.scan(lambda total, x: (fn(total, x), None), initializer, elems, reverse=reverse)[0]


def foldl(fn: Callable[[Any, Any], Any], elems: Tensor, initializer: Any = None, name: str | None = None) -> Tensor:
    """The last total of `total = fn(total, x)` over the entries x of the leading axis.

    Args:
        fn: takes the total and an entry, and returns the new total of the same shape and dtype.
        elems: an array, or a nested tuple, list or dict of arrays with equally long leading axes.
        initializer: the first total; None takes the first entry.
        name: has no effect.

    Returns:
        The total.

    Example:
        >>> from lamella import backend as K, ops
        >>> K.foldl(lambda total, x: 10 * total + x, ops.array([1, 2, 3]))
        array(123, dtype=int32)
    """
    return _folded(fn, elems, initializer, False)


def foldr(fn: Callable[[Any, Any], Any], elems: Tensor, initializer: Any = None, name: str | None = None) -> Tensor:
    """The last total of `total = fn(total, x)` over the entries x of the leading axis, from the last to the first.

    Args:
        fn: takes the total and an entry, and returns the new total of the same shape and dtype.
        elems: an array, or a nested tuple, list or dict of arrays with equally long leading axes.
        initializer: the first total; None takes the last entry.
        name: has no effect.

    Returns:
        The total.

    Example:
        >>> from lamella import backend as K, ops
        >>> K.foldr(lambda total, x: 10 * total + x, ops.array([1, 2, 3]))
        array(321, dtype=int32)
    """
    return _folded(fn, elems, initializer, True)


def rnn(
    step_function: Callable[[Any, Any], tuple[Any, Any]],
    inputs: Any,
    initial_states: Sequence[Any],
    go_backwards: bool = False,
    mask: Any = None,
    constants: Sequence[Any] | None = None,
    unroll: bool = False,
    input_length: int | None = None,
    time_major: bool = False,
    zero_output_for_mask: bool = False,
    return_all_outputs: bool = True,
) -> tuple[Any, Any, list[Any]]:
    """A function applied step by step over time, with states that each step passes to the next.

    Args:
        step_function: `(x, states + constants)` to `(output, new states)`, for `x` of shape `(batch, ...)`.
        inputs: `(batch, time, ...)`, or a list, tuple or dict of such arrays.
        initial_states: the states before the first step.
        go_backwards: whether it begins with the last step; outputs are then in that order.
        mask: `(batch, time)` or `(batch, time, 1)`: where it is 0 the states stay, and the output is the previous one.
        constants: arrays that every step is given after the states.
        unroll: whether every step is written into the program, without a loop.
        input_length: the expected number of steps; None does not check it.
        time_major: whether time comes before the batch, in inputs, mask and outputs.
        zero_output_for_mask: whether masked steps give zeros.
        return_all_outputs: whether every output is returned, or only the last, as one step.

    Returns:
        A tuple of the last output, the outputs `(batch, time, ...)`, and a list of the last states.

    Raises:
        ArgumentError: `input_length` differs from the number of steps, or `unroll` is asked for with a number of steps
            that is left free.

    Example:
        >>> from lamella import backend as K, ops
        >>> def total(x, states):
        ...     return states[0] + x, [states[0] + x]
        >>> last, outputs, states = K.rnn(total, ops.ones((2, 3, 1)), [ops.zeros((2, 1))])
        >>> outputs[0, :, 0], last.shape
        (array([1., 2., 3.], dtype=float32), (2, 1))
    """

    def swapped(x: Tensor) -> Tensor:
        return x if time_major else ops.swapaxes(x, 0, 1)

    steps: Any = tree.map_leaves(swapped, inputs)
    length = ops.shape(next(iter(tree.leaves(steps))))[0]
    if input_length is not None and differ(input_length, length):
        raise ArgumentError(f"K.rnn: input_length must be the number of steps, {length}, got {input_length}.")
    if unroll and isinstance(length, Dim):
        raise ArgumentError("K.rnn: unroll needs a number of steps that is not left free.")
    present = None
    if mask is not None:
        present = ops.cast(mask, "bool")
        present = swapped(ops.squeeze(present, -1) if ops.ndim(present) == 3 else present)
    if go_backwards:
        steps, present = tree.map_leaves(lambda x: ops.flip(x, 0), (steps, present))
    more = tuple(constants or ())

    def once(states: Any, x: Tensor) -> tuple[Any, list[Any]]:
        output, new = step_function(x, (*states, *more))
        return ops.convert_to_tensor(output), list(new)

    def chosen(here: Tensor, new: Tensor, old: Any) -> Any:
        return ops.where(ops.reshape(here, (-1, *[1] * (ops.ndim(new) - 1))), new, old)

    start = [ops.convert_to_tensor(s) for s in initial_states]
    if present is None:

        def step(states: Any, x: Tensor) -> tuple[Any, Any]:
            output, new = once(states, x)
            return new, output

        states, outputs = ops.scan(step, start, steps, unroll=unroll)
    else:
        example, _ = once(start, tree.map_leaves(lambda x: x[0], steps))

        def masked_step(carry: Any, given: Any) -> tuple[Any, Any]:
            (before, states), (x, here) = carry, given
            output, new = once(states, x)
            kept = chosen(here, output, before)
            states = [chosen(here, s, old) for s, old in zip(new, states, strict=True)]
            shown = chosen(here, output, ops.zeros_like(output)) if zero_output_for_mask else kept
            return [kept, states], shown

        first = [ops.zeros_like(example), start]
        (_, states), outputs = ops.scan(masked_step, first, (steps, present), unroll=unroll)
    last = outputs[-1]
    outputs = outputs if return_all_outputs else ops.expand_dims(last, 0)
    return last, swapped(outputs), list(states)


def ctc_batch_cost(y_true: Tensor, y_pred: Tensor, input_length: Tensor, label_length: Tensor) -> Tensor:
    """-log of the probability that a path through the steps spells the labels, one number per sequence

    Args:
        y_true: class indices `(batch, length)`, below the index of the blank, which is the last class.
        y_pred: probabilities `(batch, steps, classes)`.
        input_length: the number of steps of each sequence, `(batch, 1)`.
        label_length: the number of labels of each sequence, `(batch, 1)`.

    Returns:
        An array of floats `(batch, 1)`.

    References:
        A. Graves, S. Fernández, F. Gomez, J. Schmidhuber, "Connectionist temporal classification", ICML 2006,
        https://doi.org/10.1145/1143844.1143891.

    Example:
        >>> import numpy as np
        >>> from lamella import backend as K
        >>> y_pred = np.full((1, 3, 2), 0.5, "float32")  # one class and the blank
        >>> cost = K.ctc_batch_cost(np.array([[0]]), y_pred, np.array([[3]]), np.array([[1]]))
        >>> round(float(cost[0, 0]), 3)
        0.288
    """
    labels, lengths = ops.cast(y_true, "int32"), ops.cast(label_length, "int32")
    labels = ops.where(ops.less(ops.arange(ops.shape(labels)[1]), lengths), ops.add(labels, 1), 0)
    logits = ops.log(ops.add(y_pred, settings.epsilon()))
    logits = ops.log_softmax(ops.concatenate([logits[:, :, -1:], logits[:, :, :-1]], -1))  # the blank first
    steps, classes = ops.shape(logits)[1:]
    real = ops.less(ops.arange(steps), ops.cast(input_length, "int32"))
    blank = np.where(np.arange(classes) == 0, 0.0, IMPOSSIBLE).astype(ops.dtype(logits))  # adds nothing to a path
    logits = ops.where(ops.expand_dims(real, -1), logits, blank)
    return ops.expand_dims(losses.ctc(labels, logits), 1)


def ctc_decode(
    y_pred: Tensor, input_length: ArrayLike, greedy: bool = True, beam_width: int = 100, top_paths: int = 1
) -> tuple[list[np.ndarray], np.ndarray]:
    """The labels of the most probable path of each sequence.

    Repeated classes are merged, and blanks, the last class, removed. It works on arrays, not in a program.

    Args:
        y_pred: probabilities `(batch, steps, classes)`.
        input_length: the number of steps of each sequence, `(batch,)`.
        greedy: must be True: the most probable class of each step is taken.
        beam_width: has no effect; it belongs to a beam search.
        top_paths: has no effect; it belongs to a beam search.

    Returns:
        A list of one int32 array `(batch, steps)`, its rows filled up with -1, and an array `(batch, 1)`: minus the
        logarithm of the probability of each path.

    Raises:
        ArgumentError: `greedy` is False.

    Example:
        >>> import numpy as np
        >>> from lamella import backend as K
        >>> classes = [0, 0, 2, 1]  # 2 is the blank
        >>> K.ctc_decode(np.eye(3)[None, classes], [4])[0]
        [array([[ 0,  1, -1, -1]], dtype=int32)]
    """
    if not greedy:
        raise ArgumentError("K.ctc_decode: greedy must be True: lamella has no beam search.")
    scores = np.log(np.asarray(get_value(y_pred)) + settings.epsilon())
    batch, steps, classes = scores.shape
    real = np.arange(steps) < np.asarray(get_value(input_length)).reshape(-1, 1)
    best = np.where(real, scores.argmax(-1), classes - 1)
    new = np.concatenate([np.ones((batch, 1), bool), best[:, 1:] != best[:, :-1]], 1) & (best != classes - 1)
    labels = np.full((batch, steps), -1, np.int32)
    for row, kept, path in zip(labels, new, best, strict=True):
        row[: kept.sum()] = path[kept]
    return [labels], -np.where(real, scores.max(-1), 0.0).sum(1, keepdims=True)


filter_functions(__name__)
