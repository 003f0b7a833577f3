"""The NumPy backend's kernels that read and add at integer positions, against explicit loops."""

import numpy as np
import pytest

from lamella_numpy.indexing import scatter_add, scatter_max, take

CASES = [  # (shape before the axis, shape of indices, shape after the axis, size)
    ((), (9,), (), 4),
    ((), (9,), (5,), 4),
    ((), (3, 4), (5,), 1),
    ((2, 3), (4,), (5, 2), 6),
    ((2,), (2, 3), (), 1000),
    ((3,), (), (2,), 4),
    ((), (0,), (5,), 4),
    ((0,), (3,), (5,), 4),
    ((), (2000,), (3,), 500),  # many short runs of equal indices, then few
    ((2,), (3000,), (2,), 200),  # many long ones
    ((), (600,), (3,), 70000),  # more places than 16 bits count
]


def operands(case, dtype="float64", index="int32"):
    before, indices, after, size = case
    rng = np.random.default_rng(0)
    low = 0 if index.startswith("u") else -2
    places = np.asarray(rng.integers(low, size + 3, indices), index)
    updates = rng.normal(size=(*before, *indices, *after)).astype(dtype)
    return updates, places, {"axis": len(before), "size": size}


def loop_scatter_add(updates, indices, *, axis, size):
    before, after = updates.shape[:axis], updates.shape[axis + indices.ndim :]
    result = np.zeros((*before, size, *after), updates.dtype)
    for position in np.ndindex(*indices.shape):
        place = min(max(int(indices[position]), 0), size - 1)
        rows = (slice(None),) * axis
        result[(*rows, place)] += updates[rows + position]
    return result


@pytest.mark.parametrize("index", ["int32", "int64", "uint8", "uint64"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_scatter_add_is_the_loop(case, index):
    for dtype, tolerance in (("float64", 1e-12), ("float32", 1e-5), ("int32", 0)):
        updates, indices, attrs = operands(case, dtype, index)
        expected = loop_scatter_add(updates, indices, **attrs)
        actual = scatter_add(updates, indices, **attrs)
        assert actual.dtype == expected.dtype and actual.shape == expected.shape
        np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_scatter_add_is_the_transpose_of_take(case):
    updates, indices, attrs = operands(case)
    x = np.random.default_rng(1).normal(size=scatter_add(updates, indices, **attrs).shape)
    read = take(x, indices, axis=attrs["axis"])
    np.testing.assert_allclose(np.vdot(read, updates), np.vdot(x, scatter_add(updates, indices, **attrs)), atol=1e-9)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_scatter_add_into_out(case):
    updates, indices, attrs = operands(case)
    expected, scratch = scatter_add(updates, indices, **attrs), {}
    out = np.full_like(expected, np.nan)
    for _ in range(2):
        assert scatter_add(updates, indices, out=out, scratch=scratch, **attrs) is out
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_scatter_max_is_the_loop(case):
    updates, indices, attrs = operands(case, "float32")
    updates[updates > 2] = np.nan
    size, before, after = attrs["size"], case[0], case[2]
    expected = np.full((*before, size, *after), -np.inf, "float32")
    places = np.clip(indices, 0, size - 1).reshape(-1)
    rows = updates.reshape(*before, len(places), *after)
    for position, place in enumerate(places):
        at = (slice(None),) * len(before)
        expected[(*at, place)] = np.maximum(expected[(*at, place)], rows[(*at, position)])
    np.testing.assert_array_equal(scatter_max(updates, indices, **attrs), expected)


def test_updates_that_are_not_finite_stay_where_they_belong():
    updates = np.array([1.0, np.inf, np.nan, 2.0])
    result = scatter_add(updates, np.array([0, 1, 2, 0]), axis=0, size=4)
    np.testing.assert_array_equal(result, [3.0, np.inf, np.nan, 0.0])


@pytest.mark.parametrize("index", ["int8", "int64", "uint8", "uint64"])
def test_take_moves_an_index_outside_to_the_nearest_end(index):
    x = np.arange(12.0).reshape(3, 4)
    largest = np.iinfo(index).max
    indices = np.array([0, 1, 2, 3, largest], index)
    np.testing.assert_array_equal(take(x, indices, axis=0), x[[0, 1, 2, 2, 2]])
    out = np.empty((3, 5))
    assert take(x, indices, axis=1, out=out) is out
    np.testing.assert_array_equal(out, x[:, [0, 1, 2, 3, 3]])
    if index.startswith("i"):
        np.testing.assert_array_equal(take(x, np.array([-1, -100], index), axis=0), x[[0, 0]])
