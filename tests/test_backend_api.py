"""A stranger's backend, in sixty lines and forward kernels only: found by entry point, conforming, and training."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest

import lamella
import lamella.backend as api
from lamella import layers, ops
from lamella.backend_api import registry
from lamella.errors import BackendError
from lamella.ir import interpret, trace
from lamella.ir.program import Program
from lamella.ir.spec import Spec
from lamella.ops import primitives as p
from lamella.testing import conformance

STRANGER = '''
"""A backend that counts its equations and computes floats in float64."""
import string

import numpy as np

from lamella.backend import Backend
from lamella.ir.trace import constant
from lamella.ir.spec import numpy_dtype
from lamella.ops import primitives as p
from lamella.testing.reference import KERNELS as PLAIN


def broadcast(x, shape, axes):
    return np.broadcast_to(x.reshape([d if i in axes else 1 for i, d in enumerate(shape)]), shape)


def pad(x, low, high, interior, value):
    inner = [max(0, d + (d - 1) * i) for d, i in zip(x.shape, interior)]
    y = np.full([a + n + b for a, n, b in zip(low, inner, high)], value, x.dtype)
    y[tuple(slice(a, a + n, i + 1) for a, n, i in zip(low, inner, interior))] = x
    return y


def contract(x, y, contracting, batch):
    left, right = list(string.ascii_lowercase[: x.ndim]), list(string.ascii_uppercase[: y.ndim])
    for i, j in zip((*contracting[0], *batch[0]), (*contracting[1], *batch[1])):
        right[j] = left[i]
    lead = [left[i] for i in batch[0]]
    rest = [c for a, n in ((left, 0), (right, 1)) for i, c in enumerate(a) if i not in (*contracting[n], *batch[n])]
    return np.einsum("".join(left) + "," + "".join(right) + "->" + "".join(lead + rest), x, y)


def scatter_add(updates, indices, axis, size):
    moved = np.moveaxis(updates.reshape(*updates.shape[:axis], -1, *updates.shape[axis + indices.ndim :]), axis, 0)
    y = np.zeros((size, *moved.shape[1:]), updates.dtype)
    np.add.at(y, np.clip(indices.reshape(-1), 0, size - 1), moved)
    return np.moveaxis(y, 0, axis)


KERNELS = {getattr(p, name): getattr(np, name) for name in (
    "equal less less_equal bitwise_and bitwise_or bitwise_xor bitwise_not left_shift right_shift add subtract multiply "
    "divide remainder power maximum minimum negative exp expm1 log log1p sqrt tanh sin cos abs sign floor round").split()}
KERNELS |= {
    p.select: np.where, p.broadcast: broadcast, p.pad: pad, p.contract: contract, p.scatter_add: scatter_add,
    p.convert: PLAIN[p.convert],
    p.reshape: lambda x, shape: x.reshape(shape),
    p.transpose: lambda x, permutation: x.transpose(permutation),
    p.slice: lambda x, start, stop, strides: x[tuple(map(slice, start, stop, strides))],
    p.concatenate: lambda *xs, axis: np.concatenate(xs, axis),
    p.reverse: lambda x, axes: np.flip(x, axes),
    p.iota: lambda shape, dtype, axis: np.indices(shape)[axis],
    p.reduce_sum: lambda x, axes: x.sum(axes), p.reduce_max: lambda x, axes: x.max(axes),
    p.reduce_min: lambda x, axes: x.min(axes), p.argmax: lambda x, axis: x.argmax(axis),
    p.take: lambda x, indices, axis: x.take(np.clip(indices.astype(int), 0, x.shape[axis] - 1), axis),
}


class Counting(Backend):
    count = 0

    def apply(self, equation, operands):
        self.count += 1
        if equation.op is constant:
            return (np.array(equation.attrs["value"]),)
        wide = [x.astype(np.float64) if x.dtype.kind == "f" else x for x in operands]
        with np.errstate(all="ignore"):
            result = self.kernels[equation.op](*wide, **equation.attrs)
        y = np.array(result, numpy_dtype(equation.outputs[0].spec.dtype))
        if equation.outputs[0].spec.dtype == "bfloat16":
            y = ((y.view(np.uint32) + 0x7FFF + (y.view(np.uint32) >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)
        return (y,)

    def asarray(self, array, dtype=None):
        return np.array(array, None if dtype is None else numpy_dtype(dtype))

    def evaluate(self, op, arrays, attrs):
        from lamella.ir import trace
        from lamella.ir.spec import spec_of

        return self.compile(trace.trace(lambda *x: op.bind(*x, **attrs), *map(spec_of, arrays)))(*arrays)


BACKEND = Counting("counting", KERNELS)
'''


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts modules and an entry point on the path, as an installed distribution would."""
    monkeypatch.setattr(registry, "_LOADED", dict(registry._LOADED))
    monkeypatch.setattr(interpret, "_EVALUATORS", list(interpret._EVALUATORS))
    monkeypatch.syspath_prepend(tmp_path)

    def add(name, source, attribute="BACKEND", distribution="stranger"):
        module = f"{distribution}_{name}"
        (tmp_path / f"{module}.py").write_text(source, encoding="utf-8")
        information = tmp_path / f"{module}-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n", encoding="utf-8"
        )
        points = f"[{api.GROUP}]\n{name} = {module}:{attribute}\n"
        (information / "entry_points.txt").write_text(points, encoding="utf-8")
        monkeypatch.delitem(sys.modules, module, raising=False)
        importlib.invalidate_caches()
        return module

    return add


@pytest.fixture
def counting(install):
    install("counting", STRANGER)
    return api.load_backend("counting")


def test_it_is_small():
    assert len([line for line in STRANGER.splitlines() if line.strip()]) <= 80


def test_it_is_listed_and_loaded_by_name_and_not_before(install):
    module = install("counting", STRANGER)
    assert {"numpy", "counting"} <= set(api.available_backends())
    assert module not in sys.modules
    backend = api.load_backend("counting")
    assert backend.name == "counting" and backend is api.load_backend("counting")
    with api.backend_scope("counting"):
        assert api.current_backend() == "counting"


def test_it_is_chosen_by_the_environment(install, monkeypatch):
    install("counting", STRANGER)
    monkeypatch.setenv("LAMELLA_BACKEND", "counting")
    assert api.current_backend() == "counting" and api.load_backend().name == "counting"


def test_it_has_forward_kernels_only_and_every_mandatory_one(counting):
    assert set(counting.kernels) == set(p.mandatory_ops().values())


def test_it_conforms(counting):
    report = conformance.run("counting", quick=True, derivatives=False)
    assert report.failures == [], report
    assert counting.count > 100


def test_gradients_and_composites_run_on_it(counting):
    from lamella.passes import differentiate
    from lamella.testing.equivalence import assert_close, run_on

    def loss(x, k, w):
        h = ops.convolve.bind(x, k, strides=(1, 1), padding=((1, 1), (1, 1)), dilation=(1, 1), groups=1)
        h = ops.primitives.max_pool.bind(ops.relu(h), window=(2, 2), strides=(2, 2), padding=((0, 0), (0, 0)))
        return -ops.mean(ops.log_softmax(ops.reshape(h, (2, -1)) @ w))

    specs = [Spec((2, 4, 4, 1), "float32"), Spec((3, 3, 1, 2), "float32"), Spec((8, 3), "float32")]
    program = differentiate(trace.trace(loss, *specs), [1, 2])
    arguments = [np.random.default_rng(i).standard_normal(s.shape).astype("float32") for i, s in enumerate(specs)]
    for mine, wanted in zip(run_on(counting, program, arguments), run_on("numpy", program, arguments), strict=True):
        assert_close(mine, wanted, 1e-5)


def test_a_missing_primitive_is_one_error_before_any_work(install):
    install(
        "lacking", STRANGER.replace("BACKEND =", "KERNELS.pop(p.exp)\nBACKEND =").replace('"counting"', '"lacking"')
    )
    backend = api.load_backend("lacking")
    program = trace.trace(lambda x: ops.sigmoid(x * 2.0), Spec((3,), "float32"), where="encoder/gate")
    for call in (backend.prepare, backend.compile):
        with pytest.raises(
            BackendError, match=r"'lacking' has no kernel for the mandatory op 'exp'.*layer 'encoder/gate'"
        ):
            call(program)
    assert backend.count == 0
    # what does not need it runs
    backend.compile(trace.trace(lambda x: x * 2.0, Spec((3,), "float32")))(np.ones(3, np.float32))


def test_a_backend_that_fails_to_import_harms_nobody_else(install):
    install("broken", "raise RuntimeError('no driver on this machine')")
    install("counting", STRANGER, distribution="other")
    assert {"broken", "counting", "numpy"} <= set(api.available_backends())
    assert api.load_backend("counting").name == "counting"
    with pytest.raises(BackendError, match=r"'broken' \(stranger_broken:BACKEND\) failed to import.*no driver"):
        api.load_backend("broken")
    before = api.current_backend()
    with pytest.raises(BackendError):
        api.set_backend("broken")
    assert api.current_backend() == before
    assert api.load_backend("numpy").name == "numpy"


def test_an_entry_point_to_nothing_is_an_error_of_ours(install):
    install("absent", "", attribute="NOTHING")
    with pytest.raises(BackendError, match="failed to import"):
        api.load_backend("absent")


def test_another_version_of_the_api_is_refused(install):
    install("future", STRANGER.replace('"counting", KERNELS)', '"future", KERNELS)\nBACKEND.api_version = 99'))
    with pytest.raises(BackendError, match="version 99 of the backend API, this lamella has version 1"):
        api.load_backend("future")
    with pytest.raises(BackendError, match="version 99"):
        api.load_backend("future")  # and is not kept


def test_the_former_names_of_the_version_still_work(install):
    install("former", STRANGER.replace('"counting", KERNELS)', '"former", KERNELS)\nBACKEND.seam = 99'))
    with pytest.warns(DeprecationWarning, match="the attribute is `api_version` today"):
        with pytest.raises(BackendError, match="version 99 of the backend API"):
            api.load_backend("former")
    with pytest.warns(DeprecationWarning, match=r"backend\.API_VERSION today"):
        assert api.SEAM == api.API_VERSION
    with pytest.warns(DeprecationWarning, match=r"Backend\.api_version today"):
        assert api.load_backend("numpy").seam == api.API_VERSION


@pytest.mark.parametrize("wrong", ["nunpy", "Numpy", "numppy"])
def test_an_unknown_name_gets_the_nearest_known_one(wrong):
    with pytest.raises(BackendError, match="did you mean 'numpy'"):
        api.load_backend(wrong)


def test_an_unknown_name_from_the_environment(monkeypatch):
    monkeypatch.setenv("LAMELLA_BACKEND", "tensorflow")
    with pytest.raises(BackendError, match="Unknown backend 'tensorflow'"):
        api.load_backend()


def test_a_backend_may_be_registered_without_an_entry_point(counting):
    mine = type(counting)("mine", counting.kernels)
    assert api.register_backend(mine) is mine
    assert "mine" in api.available_backends() and api.load_backend("mine") is mine


def test_a_model_trains_through_the_default_runner(counting):
    import lamella
    from lamella.layers import Dense

    generator = np.random.default_rng(0)
    x = generator.standard_normal((40, 3)).astype("float32")
    y = np.tanh(x @ generator.standard_normal((3, 2))).astype("float32")
    losses = {}
    for name in ("numpy", "counting"):
        lamella.utils.set_random_seed(7)
        model = lamella.Sequential([lamella.Input((3,)), Dense(8, activation="relu"), Dense(2)])
        model.compile(optimizer="adam", loss="mse", backend=name)
        losses[name] = model.fit(x, y, batch_size=16, epochs=3, verbose=0).history["loss"]
        assert model.predict(x, verbose=0).shape == (40, 2)
    assert counting.count > 0
    assert losses["counting"][-1] < losses["counting"][0]
    np.testing.assert_allclose(losses["counting"], losses["numpy"], rtol=1e-5)


def test_the_former_names_of_external_optimizers_still_work():
    class Former(api.Runner):
        def __init__(self, backend):
            self.backend = backend

        def foreign_update(self, after, gradients, leaves):
            return [after, gradients, leaves]

    numpy = api.load_backend("numpy")
    with pytest.warns(DeprecationWarning, match="the method is `external_update` today"):
        assert Former(numpy).external_update([1], [2], [3]) == [[1], [2], [3]]
    step = api.StepProgram(Program((), (), ()), (), (), (), "an optimizer")
    with pytest.warns(DeprecationWarning, match="external_optimizer today"):
        assert step.foreign_optimizer == "an optimizer"


def test_predictions_and_converted_arrays_may_be_written_to(backend):
    model = lamella.Sequential([layers.Input((3,)), layers.Dense(2)])
    x = np.ones((4, 3), "float32")
    for y in (
        model.predict(x, verbose=0),
        model.predict(x, verbose=0),
        model.predict(x, batch_size=3, verbose=0),
        model.predict_on_batch(x),
        ops.convert_to_numpy(model.weights[0].value),
    ):
        y[0] = 1.0
    given = np.ones(3)
    ops.convert_to_numpy(given)[0] = 2.0
    assert given[0] == 1.0


OPS_BEFORE_ANY_BACKEND = """
import jax, jax.numpy as jnp
from lamella import ops

@ops.custom_gradient
def clipped(x):
    return ops.square(x), lambda g: g * 10.0

assert isinstance(ops.square(jnp.ones(2)), jax.Array)
assert jax.grad(clipped)(jnp.float32(3.0)) == 10.0
assert jax.jit(jax.grad(lambda x: ops.sum(clipped(x))))(jnp.ones(3)).tolist() == [10.0] * 3
assert jax.grad(lambda w, x: clipped(x * w))(jnp.float32(2.0), jnp.float32(3.0)) == 30.0
"""


def test_ops_of_jax_arrays_are_jax_s_before_a_backend_was_loaded(run_python):
    pytest.importorskip("jax")
    run_python(code=OPS_BEFORE_ANY_BACKEND)
