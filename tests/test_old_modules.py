"""The modules that tutorials for Keras 1 and 2 import from."""

from __future__ import annotations

import importlib
import sys
import warnings

import numpy as np
import pytest

import lamella
from lamella import constraints, initializers, layers, losses, ops, regularizers
from lamella.compat import modules

STATEMENTS = {
    "from lamella.layers.convolutional import Convolution2D, MaxPooling2D, ZeroPadding2D": "layers",
    "from lamella.layers.convolutional import Conv2D, UpSampling2D, Cropping2D, AveragePooling1D": "layers",
    "from lamella.layers.advanced_activations import LeakyReLU, PReLU, ELU": "layers",
    "from lamella.layers.embeddings import Embedding": "layers",
    "from lamella.layers.noise import GaussianNoise, GaussianDropout, AlphaDropout": "layers",
    "from lamella.layers.wrappers import TimeDistributed, Bidirectional": "layers",
    "from lamella.layers.convolutional_recurrent import ConvLSTM2D": "layers",
    "from lamella.layers.merge import Add, Concatenate, Dot": "layers",
    "from lamella.engine.topology import Layer, Input": "layers",
    "from lamella.engine import Layer": "layers",
    "from lamella.engine.base_layer import Layer": "layers",
    "from lamella.engine.training import Model": "models",
    "from lamella.layers.containers import Sequential": "models",
    "from lamella.initializations import glorot_uniform, normal, orthogonal": "initializers",
    "from lamella.objectives import mean_squared_error, binary_crossentropy, categorical_crossentropy": "losses",
    "from lamella.layers.experimental import SpectralNormalization": "layers",
    "from lamella.layers.experimental.preprocessing import RandomFlip, Rescaling, Normalization": "layers",
    "from lamella.optimizers.legacy import Adam, SGD": "optimizers",
    "from lamella.utils.np_utils import to_categorical": "utils",
    "from lamella.utils.data_utils import Sequence": "utils",
    "from lamella.utils.conv_utils import normalize": "utils",
    "from lamella.utils.generic_utils import get_custom_objects, custom_object_scope": "utils",
    "from lamella.utils.io_utils import enable_interactive_logging": "utils",
    "from lamella.utils.layer_utils import normalize": "utils",
    "from lamella.utils.vis_utils import plot_model": "utils",
    "from lamella.utils.visualize_util import plot_model": "utils",
    "from lamella.layers.core import Permute, RepeatVector, Lambda, Masking, ActivityRegularization": "layers",
    "from lamella.layers.normalization import LayerNormalization": "layers",
    "from lamella.layers.pooling import GlobalMaxPool2D": "layers",
    "from lamella.layers.recurrent import StackedRNNCells, Bidirectional": "layers",
}


@pytest.fixture
def fresh(monkeypatch):
    """Old modules as if never imported."""
    for name in (*modules.GONE, *modules.RENAMED):
        parent, _, last = name.rpartition(".")
        monkeypatch.delitem(sys.modules, name, raising=False)
        if parent in sys.modules and last in vars(sys.modules[parent]):
            monkeypatch.delattr(sys.modules[parent], last)


@pytest.mark.parametrize("statement, today", STATEMENTS.items())
def test_an_old_import_gives_what_is_there_today_with_a_warning(statement, today, fresh):
    found = {}
    with pytest.warns(DeprecationWarning, match=rf"an earlier Keras; write lamella\.{today}") as warned:
        exec(statement, found)  # the statement is this file's own
    assert {w.filename for w in warned} == {"<string>"}
    for name in statement.partition("import ")[2].split(", "):
        assert found[name] is getattr(getattr(lamella, today), name)


@pytest.mark.parametrize(
    "statement",
    [
        "from lamella.layers.core import Dense, Dropout, Activation, Flatten, Reshape",
        "from lamella.layers.recurrent import LSTM, GRU, SimpleRNN",
        "from lamella.layers.normalization import BatchNormalization",
        "from lamella.layers.pooling import MaxPooling2D, GlobalAveragePooling2D",
        "from lamella.constraints import maxnorm, nonneg, unitnorm, max_norm, MinMaxNorm",
        "from lamella.regularizers import l1, l2, l1_l2, orthogonal_regularizer",
    ],
)
def test_what_is_still_there_does_not_warn(statement):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(statement, {})  # the statement is this file's own


def test_every_old_module_has_a_statement():
    named = {statement.split()[1] for statement in STATEMENTS}
    assert named | {"lamella.layers.local"} == {*modules.GONE, *modules.MOVED}


def test_a_module_within_one_that_is_gone(fresh):
    with pytest.warns(DeprecationWarning, match=r"lamella\.engine\.topology"):
        from lamella.engine import topology
    assert topology.Layer is lamella.layers.Layer


def test_what_is_gone_for_good_is_refused_in_a_sentence(fresh):
    with (
        pytest.warns(DeprecationWarning),
        pytest.raises(ImportError, match="LocallyConnected1D: it is gone from Keras"),
    ):
        from lamella.layers.local import LocallyConnected1D  # noqa: F401
    with pytest.raises(ImportError, match="MaxoutDense"):
        from lamella.layers.core import MaxoutDense  # noqa: F401
    with pytest.raises(ModuleNotFoundError):
        import lamella.layers.convolutions  # noqa: F401


def test_old_modules_cost_nothing_until_asked_for(run_python):
    loaded = "import sys, lamella; print([m for m in sys.modules if m in lamella.compat.modules.GONE])"
    assert run_python(code=loaded).stdout.strip() == "[]"


# ---- names of both eras ----


@pytest.mark.parametrize(
    "make, l1, l2",
    [
        (lambda: regularizers.l1l2(), 0.01, 0.01),
        (lambda: regularizers.WeightRegularizer(l1=0.1), 0.1, 0.0),
        (lambda: regularizers.ActivityRegularizer(l2=0.2), 0.0, 0.2),
        (lambda: regularizers.activity_l1(0.3), 0.3, 0.0),
        (lambda: regularizers.activity_l2(), 0.0, 0.01),
        (lambda: regularizers.activity_l1l2(0.1, 0.2), 0.1, 0.2),
    ],
)
def test_old_regularizers(make, l1, l2):
    with pytest.warns(DeprecationWarning, match=r"regularizers\."):
        made = make()
    x = np.array([-1.0, 2.0], "float32")
    np.testing.assert_allclose(made(x), l1 * 3 + l2 * 5, rtol=1e-6)
    with pytest.warns(DeprecationWarning):
        layers.Dense(2, W_regularizer=made, activity_regularizer=make())


@pytest.mark.parametrize(
    "name", ["l1", "l2", "l1l2", "L1", "L2", "L1L2", "orthogonal_regularizer", "OrthogonalRegularizer"]
)
def test_strings_of_regularizers(name):
    assert isinstance(regularizers.get(name), regularizers.Regularizer)


@pytest.mark.parametrize(
    "name", ["max_norm", "min_max_norm", "non_neg", "unit_norm", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"]
)
def test_strings_of_constraints(name):
    assert isinstance(constraints.get(name), constraints.Constraint)
    assert getattr(constraints, name) is type(constraints.get(name))


@pytest.mark.parametrize("name", ["maxnorm", "nonneg", "unitnorm"])
def test_old_strings_of_constraints(name):
    with pytest.warns(DeprecationWarning, match=name):
        assert isinstance(constraints.get(name), getattr(constraints, name))


KERAS_INITIALIZERS = """
    Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal LecunUniform Ones
    Orthogonal OrthogonalInitializer RandomNormal RandomUniform STFT STFTInitializer TruncatedNormal VarianceScaling Zeros
    constant glorot_normal glorot_uniform he_normal he_uniform identity lecun_normal lecun_uniform normal one ones orthogonal
    random_normal random_uniform stft truncated_normal uniform variance_scaling zero zeros
""".split()


@pytest.mark.parametrize("name", KERAS_INITIALIZERS)
def test_names_of_initializers(name):
    made = initializers.get(name)
    assert isinstance(made, initializers.Initializer)
    assert getattr(initializers, name) is type(made)
    assert type(made).from_config(made.get_config()).get_config() == made.get_config()


# Keras 3.15.1: the first rows of `keras.initializers.STFT(...)((8, 1, 5))`, flat
STFT = [
    ({"side": "real", "window": "hann"}, 5, [0.11619358, 0.082161263, 0, -0.082161263, -0.11619358, 0.37727818, 0]),
    (
        {"side": "imag", "window": "hamming", "scaling": "spectrum"},
        5,
        [0, -0.046382301, -0.065594479, -0.046382301, 0, 0, -0.16641441],
    ),
    ({"side": "real", "window": None}, 5, [1, 0.70710677, 0, -0.70710677, -1, 1, 0]),
    (
        {"side": "imag", "window": np.linspace(0.1, 1, 8), "periodic": True},
        5,
        [0, -0.091585703, -0.12952176, -0.091585703, 0, 0, -0.20237774],
    ),
]


@pytest.mark.parametrize("kwargs, start, expected", STFT)
def test_stft_kernels_are_those_of_keras(kwargs, start, expected):
    made = initializers.STFT(**kwargs)((8, 1, 5))
    assert made.shape == (8, 1, 5) and made.dtype == np.float32
    np.testing.assert_allclose(made.ravel()[start : start + 7], expected, atol=3e-8)


@pytest.mark.parametrize("kwargs", [{"side": "both"}, {"window": "han"}, {"scaling": "none"}])
def test_stft_refuses_what_it_does_not_know(kwargs):
    with pytest.raises(ValueError, match=next(iter(kwargs))):
        initializers.STFT(**kwargs)


def test_losses_and_old_objectives_are_one(fresh):
    with pytest.warns(DeprecationWarning):
        from lamella import objectives
    assert objectives.mean_squared_error is losses.mean_squared_error
    assert float(np.mean(objectives.mean_squared_error(np.zeros((1, 2), "float32"), ops.ones((1, 2))))) == 1.0


@pytest.mark.parametrize("old, today", modules.RENAMED.items())
def test_a_module_that_has_moved_is_found_at_its_former_place(old, today, fresh):
    with pytest.warns(DeprecationWarning, match=f"{old} is {today} today") as caught:
        found = importlib.import_module(old)
    assert [w.filename for w in caught] == [importlib.__file__]
    module = importlib.import_module(today)
    for name in [n for n in vars(module) if not n.startswith("__")]:
        assert getattr(found, name) is getattr(module, name)


def test_names_of_a_moved_module_are_imported_from_its_package(fresh):
    with pytest.warns(DeprecationWarning, match=r"lamella\.ir\.builder is lamella\.ir\.trace today") as caught:
        from lamella.ir import builder  # type: ignore[attr-defined]
    assert [w.filename for w in caught] == [__file__]
    assert builder.bind is importlib.import_module("lamella.ir.trace").bind


@pytest.mark.parametrize("name", ["tree", "applications"])
def test_a_package_of_another_distribution_is_not_refused(name):
    assert modules._Finder().find_spec(name) is None
    with pytest.raises(ModuleNotFoundError, match=f"has no {name}"):
        modules._Finder().find_spec(f"lamella.{name}")
