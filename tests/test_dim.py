"""Dimensions that are left free: their arithmetic against that of numbers, and what a size that is asked for says."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamella.ir import dim as dims
from lamella.ir.dim import Dim, FreeDimensionError, symbol

BATCH, TIME = symbol("batch"), symbol("time")
SIZES = [{"batch": b, "time": t} for b in (1, 2, 5) for t in (1, 3, 8)]


def expressions():
    """Expressions over two symbols, each with a function that computes it from their sizes."""
    leaves = st.one_of(
        st.integers(-6, 6).map(lambda n: (n, lambda sizes: n)),
        st.sampled_from(["batch", "time"]).map(lambda name: (symbol(name), lambda sizes: sizes[name])),
    )

    def combined(children):
        operators = {
            "+": (lambda a, b: a + b, lambda a, b: a + b),
            "-": (lambda a, b: a - b, lambda a, b: a - b),
            "*": (lambda a, b: a * b, lambda a, b: a * b),
            "max": (dims.maximum, max),
            "min": (dims.minimum, min),
        }

        def both(name, left, right):
            free, plain = operators[name]
            return free(left[0], right[0]), lambda sizes: plain(left[1](sizes), right[1](sizes))

        def divided(left, n, remainder):
            if remainder:
                return left[0] % n, lambda sizes: left[1](sizes) % n
            return left[0] // n, lambda sizes: left[1](sizes) // n

        return st.one_of(
            st.builds(both, st.sampled_from(sorted(operators)), children, children),
            st.builds(divided, children, st.integers(1, 5), st.booleans()),
        )

    return st.recursive(leaves, combined, max_leaves=8)


@settings(deadline=None)
@given(expressions())
def test_an_expression_has_the_value_of_its_numbers(pair):
    expression, plain = pair
    for sizes in SIZES:
        assert dims.at(expression, sizes) == plain(sizes)
        assert eval(str(expression), {}, dict(sizes)) == plain(sizes)  # its text is Python


@settings(deadline=None)
@given(expressions(), expressions())
def test_what_is_proved_of_two_dimensions_holds_for_all_sizes(left, right):
    values = [(left[1](sizes), right[1](sizes)) for sizes in SIZES]
    if left[0] == right[0]:
        assert all(a == b for a, b in values)
    if dims.differ(left[0], right[0]):
        assert all(a != b for a, b in values)
    if dims.exceeds(left[0], right[0]):
        assert all(a > b for a, b in values)


def test_equal_expressions_are_equal_dimensions():
    assert (TIME + 1) * 2 - 2 == TIME * 2 and hash((TIME + 1) * 2 - 2) == hash(2 * TIME)
    assert BATCH * TIME * 12 // (TIME * BATCH) == 12 and (4 * BATCH * TIME + 8 * BATCH) // (BATCH * (TIME + 2)) == 4
    assert dims.ceil_div(TIME, 2) == (TIME + 1) // 2 and 3 * TIME % 3 == 0
    assert TIME != 5 and TIME != BATCH and {TIME: 1}[symbol("time")] == 1
    assert pickle.loads(pickle.dumps(TIME // 2 + BATCH)) == TIME // 2 + BATCH


def test_what_a_size_of_at_least_one_proves():
    assert dims.maximum(TIME - 1, 0) == TIME - 1 and dims.minimum(0, TIME) == 0
    assert dims.differ(TIME, TIME + 1) and dims.differ(TIME, 0) and not dims.differ(TIME, 1)
    assert TIME >= 1 and not TIME < 1 and TIME + 3 > 3 and bool(TIME)


ASKED = {
    "int": int,
    "float": float,
    "range": range,
    "an index": lambda d: [0][d],
    "a shape of NumPy's": lambda d: np.zeros((d, 2)),
    "a root of NumPy's": np.sqrt,
    "a comparison": lambda d: d < 5,
    "a truth value": lambda d: bool(d - 1),
    "a division": lambda d: d / 2,
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_a_free_dimension_is_no_number(asked):
    with pytest.raises(FreeDimensionError, match=r"the dimension time( - 1)? is left free \(None\)"):
        asked(TIME)


def test_shapes_as_users_write_them():
    assert dims.named_shape((None, None, 8)) == (BATCH, TIME, 8)
    assert [str(d) for d in dims.named_shape((None, None, None, 3))] == ["batch", "height", "width", "3"]
    assert [str(d) for d in dims.named_shape((None, 3, None, None))] == ["batch", "3", "height", "width"]
    assert dims.public_shape((BATCH, 2 * TIME, 8)) == (None, None, 8)
    assert dims.sizes_from([((BATCH, TIME, 8), (4, 7, 8))]) == {"batch": 4, "time": 7}


def test_sizes_may_come_one_by_one():
    assert (BATCH * TIME + TIME // 2).at({"batch": 3}) == 3 * TIME + TIME // 2
    assert isinstance(dims.maximum(TIME - 3, 0), Dim) and dims.maximum(TIME - 3, 0).at({"time": 2}) == 0


def test_a_multiple_of_a_symbol():
    assert (BATCH * 6).is_multiple_of("batch") and (BATCH * TIME).is_multiple_of("batch")
    assert not (BATCH + 1).is_multiple_of("batch") and not (BATCH // 2).is_multiple_of("batch")
