"""`python -m lamella run`: scripts for Keras and tf.keras, unchanged."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import lamella
from lamella import cli
from lamella.cli import scripts

# what a script writes, and where lamella has the name
PLACES = {
    "keras.Sequential": "lamella.Sequential",
    "keras.layers.Dense": "lamella.layers.Dense",
    "tensorflow.keras.layers.Dense": "lamella.layers.Dense",
    "tensorflow.python.keras.layers.Dense": "lamella.layers.Dense",
    "tensorflow.compat.v1.keras.layers.Dense": "lamella.layers.Dense",
    "tensorflow.contrib.keras.python.keras.layers.Dense": "lamella.layers.Dense",
    "tf_keras.layers.Dense": "lamella.layers.Dense",
    "keras.src.layers.core.dense.Dense": "lamella.layers.Dense",
    "keras.layers.core.Dense": "lamella.layers.Dense",
    "keras.layers.convolutional.Convolution2D": "lamella.layers.Convolution2D",
    "keras.layers.advanced_activations.LeakyReLU": "lamella.layers.LeakyReLU",
    "keras.layers.normalization.BatchNormalization": "lamella.layers.BatchNormalization",
    "keras.layers.merge.concatenate": "lamella.layers.concatenate",
    "keras.layers.merging.Add": "lamella.layers.Add",
    "keras.layers.experimental.preprocessing.RandomFlip": "lamella.layers.RandomFlip",
    "keras.layers.rnn.lstm.LSTM": "lamella.layers.LSTM",
    "keras.engine.topology.Layer": "lamella.layers.Layer",
    "keras.engine.training.Model": "lamella.models.Model",
    "keras.engine.Model": "lamella.models.Model",
    "keras.engine.InputSpec": "lamella.layers.InputSpec",
    "keras.initializations.glorot_uniform": "lamella.initializers.glorot_uniform",
    "keras.objectives.mse": "lamella.losses.mse",
    "keras.optimizers.legacy.Adam": "lamella.optimizers.Adam",
    "keras.optimizers.schedules.ExponentialDecay": "lamella.optimizers.schedules.ExponentialDecay",
    "keras.wrappers.scikit_learn.KerasClassifier": "lamella.wrappers.scikit_learn.KerasClassifier",
    "scikeras.wrappers.KerasClassifier": "lamella.wrappers.KerasClassifier",
    "keras.utils.np_utils.to_categorical": "lamella.utils.to_categorical",
    "keras.utils.vis_utils.plot_model": "lamella.utils.plot_model",
    "keras.utils.generic_utils.get_custom_objects": "lamella.utils.get_custom_objects",
    "keras.saving.hdf5_format.load_model": "lamella.saving.load_model",
    "keras.callbacks.tensorboard_v1.TensorBoard": "lamella.callbacks.TensorBoard",
    "keras.preprocessing.sequence.pad_sequences": "lamella.preprocessing.sequence.pad_sequences",
    "keras_preprocessing.sequence.pad_sequences": "lamella.preprocessing.sequence.pad_sequences",
    "keras.ops.nn.relu": "lamella.ops.nn.relu",
    "tensorflow.random.set_seed": "tensorflow.random.set_seed",
    "tensorflow.compat.v1.set_random_seed": "tensorflow.set_random_seed",
}


@pytest.mark.parametrize("name, where", PLACES.items())
def test_old_and_new_paths_are_answered_by_one_table(name, where):
    assert scripts.place(name)[1] == where
    assert scripts.is_there(where)


@pytest.mark.parametrize("name, where", PLACES.items())
def test_every_way_to_import_a_name_gives_it(name, where):
    module, _, last = name.rpartition(".")
    package, path = name.split(".", 1)
    found = {}
    for source in (
        f"from {module} import {last} as got",
        f"import {module} as m; got = m.{last}",
        f"import {module}; got = {name}",
        f"import {package} as p; got = p.{path}",
    ):
        if package in ("scikeras", "keras_preprocessing") and source.startswith(f"import {package} as p"):
            continue
        tree, uses = scripts.rewritten(source, "script.py")
        names = {}
        exec(compile(tree, "script.py", "exec"), names)  # the statement is this file's own
        found[source] = names["got"]
        assert scripts.Use(path if package != "keras_preprocessing" else f"preprocessing.{path}", where, 1)[1] in [
            use.where for use in uses
        ]
    assert len(set(map(id, found.values()))) == 1, found


REWRITTEN = {
    "import keras": "import lamella as keras",
    "import keras, numpy as np": "import lamella as keras\nimport numpy as np",
    "import tensorflow as tf\ntf.keras.layers.core.Dense": "import lamella.cli.tensorflow as tf\ntf.keras.layers.Dense",
    "import keras.layers.core as c": "from lamella import layers as c",
    "from tensorflow.keras.layers.experimental import preprocessing\npreprocessing.RandomFlip": (
        "from lamella import layers as preprocessing\npreprocessing.RandomFlip"
    ),
    "from keras.layers import core as c\nc.Dense": "from lamella import layers as c\nc.Dense",
    "from keras.optimizers import schedules": "from lamella.optimizers import schedules",
    "from keras.layers import nothing": "from lamella.layers import nothing",
    "import keras.layers": "from lamella import layers as keras\nimport lamella as keras",
    "from tensorflow import keras": "import lamella as keras",
    "from tensorflow.keras import backend as K": "from lamella import backend as K",
    "from keras.layers.core import *": "from lamella.layers import *",
    "from keras import __version__": "__version__ = '3.15.1+lamella'",
    "from .keras import layers": "from .keras import layers",
    "import keras_tuner, tensorflow_datasets": "import keras_tuner\nimport tensorflow_datasets",
    "from __future__ import annotations": "from __future__ import annotations",
    "x.keras.layers.core.Dense": "x.keras.layers.core.Dense",
    "import tensorflow as tf\nkeras = tf.keras\nkeras.layers.core.Dense": (
        "import lamella.cli.tensorflow as tf\nkeras = tf.keras\nkeras.layers.Dense"
    ),
}


@pytest.mark.parametrize("source, expected", REWRITTEN.items())
def test_statements_are_rewritten(source, expected):
    assert ast.unparse(scripts.rewritten(source, "script.py")[0]) == expected


def test_versions_are_those_of_the_names_answered():
    source = "import tensorflow as tf, keras\na, b, c = tf.__version__, keras.__version__, tf.keras.__version__"
    names = {}
    exec(compile(scripts.rewritten(source, "s.py")[0], "s.py", "exec"), names)
    assert names["a"].startswith("2.") and names["b"] == names["c"] and names["b"].startswith("3.")


def test_a_missing_name_is_an_import_error_that_says_what_to_write():
    def run(source):
        exec(compile(scripts.rewritten(source, "s.py")[0], "s.py", "exec"), {})

    with pytest.raises(ImportError, match=r"lamella\.layers has no AugMix: it is an image layer"):
        run("from tensorflow.keras.layers import AugMix")
    with pytest.raises(ImportError, match=r"cannot import name 'Dens' from 'lamella\.layers': did you mean 'Dense'"):
        run("from keras.layers import Dens")
    with pytest.raises(ImportError, match=r"tf\.python\.client\.device_lib is not there: .* tf\.keras alone"):
        run("from tensorflow.python.client import device_lib")
    with pytest.raises(ImportError, match=r"tf\.data is not there"):
        run("import tensorflow.data")
    with pytest.raises(AttributeError, match=r"tf\.constant is not there"):
        run("import tensorflow as tf; tf.constant(1)")
    with pytest.raises(AttributeError, match=r"tf\.logging is not there"):
        run("import tensorflow as tf; tf.logging")


def test_tensorflows_seed_starts_lamellas_sequence_alone():
    import random

    import numpy as np

    from lamella.cli import tensorflow
    from lamella.host_random import next_seed

    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    expected = random.random(), np.random.random()  # noqa: NPY002
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    tensorflow.random.set_seed(5)
    first = next_seed()
    tensorflow.set_random_seed(5)
    assert next_seed() == first
    assert (random.random(), np.random.random()) == expected  # noqa: NPY002


# ---- scripts that run ----

SCRIPT = '''# -*- coding: latin-1 -*-
"""Une expérience."""
from __future__ import annotations

import sys

import numpy as np
import tensorflow as tf
from keras.layers.core import Dense
from keras.models import Sequential
from tensorflow import keras

import helper
import outside
from package.inner import Inner
from spaces.deep import activation

assert __doc__ == "Une expérience." and __name__ == "__main__" and sys.modules["__main__"].np is np
assert __package__ is None and __spec__ is None
print(*sys.argv[1:], __file__, sep="|")
tf.keras.utils.set_random_seed(1)
model = Sequential([keras.Input((3,)), Dense(4, activation=activation), helper.dense(2), Inner(1)])
model.compile("sgd", "mse")
model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0)
print(keras.__name__, outside.version, sys.modules["tensorflow"].__version__, "keras" in sys.modules)
print(sys.path[0])


def fail():
    keras.layers.Dense("many")  # the line to show


if sys.argv[1] == "fail":
    fail()
sys.exit(int(sys.argv[1]))
'''


@pytest.fixture
def project(tmp_path):
    """A script with modules beside it, and a folder of the path with another TensorFlow and a library that needs it."""
    files = {
        "work/train.py": SCRIPT,
        "work/helper.py": "import keras\n\n\ndef dense(n):\n    return keras.layers.core.Dense(n)\n",
        "work/package/__init__.py": "",
        "work/package/inner.py": "from tensorflow.python.keras.layers import Dense\nfrom . import other\nInner = Dense\n",
        "work/package/other.py": "from keras.layers import Dense\n",
        "work/spaces/deep.py": "from tensorflow.keras.activations import relu as activation\n",
        "path/tensorflow/__init__.py": "__version__ = 'another'\n",
        "path/outside.py": "import tensorflow\nversion = tensorflow.__version__\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="latin-1")
    return tmp_path


@pytest.fixture
def run_script(project, run_python):
    def run(*words, **environment):
        path = ":".join([str(project / "path"), *sys.path])
        return run_python("-m", "lamella", "run", *words, environment={"PYTHONPATH": path, **environment}, check=False)

    return run


def test_a_script_runs_as_python_would_run_it(project, run_script):
    script = project / "work" / "train.py"
    done = run_script(script, "3", "--list", "-x", LAMELLA_BACKEND="numpy")
    assert done.stderr == "" and done.returncode == 3
    first, second, third = done.stdout.splitlines()
    assert first == f"3|--list|-x|{script}"
    assert second == "lamella another another False"
    assert third == str(script.parent)
    assert not [*project.rglob("work/**/*.pyc")]


def test_tracebacks_show_the_lines_of_the_script(project, run_script):
    script = project / "work" / "train.py"
    done = run_script(script, "fail")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    number = SCRIPT.splitlines().index("    fail()") + 1
    assert lines[1] == f'  File "{script}", line {number}, in <module>'
    assert 'keras.layers.Dense("many")  # the line to show' in done.stderr
    assert "runpy" not in done.stderr and "cli" not in done.stderr
    assert lines[-1] == "ValueError: Dense: units must be a positive integer, got 'many'."


@pytest.mark.parametrize(
    "text, status, told",
    [
        ("import sys\nsys.exit('too late')", 1, "too late\n"),
        ("raise ImportError('mine')", 1, "ImportError: mine\n"),
        ("from keras.layers import AugMix", 1, "ImportError: lamella.layers has no AugMix: it is an image layer"),
        ("x = (", 1, "SyntaxError: '(' was never closed\n"),
        ("import atexit, keras\natexit.register(lambda: print(keras.__name__))", 0, ""),
        ("from keras.layers import Convolution2D\nConvolution2D(4, 3, 3)", 0, ""),  # no word on the spelling
    ],
)
def test_how_a_script_ends(text, status, told, tmp_path, run_python):
    (tmp_path / "s.py").write_text(text)
    done = run_python("-m", "lamella", "run", tmp_path / "s.py", check=False)
    assert done.returncode == status
    assert told in done.stderr and bool(told) == bool(done.stderr)
    assert "lamella:" not in done.stderr


@pytest.mark.parametrize(
    "name, told", [("none.py", "No such file"), ("n.ipynb", "is a notebook"), ("folder", "is a folder")]
)
def test_what_is_no_script_is_refused(name, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("n.ipynb").write_text("{}")
    for words in ([name], ["--list", name]):
        assert cli.main(["run", *words]) == 2
        assert capsys.readouterr().err.startswith("lamella: ") and told


def test_the_list_of_names(project, capsys):
    script = project / "work" / "train.py"
    assert cli.main(["run", "--list", str(script)]) == 0
    out = capsys.readouterr().out
    for line in ("layers.core.Dense", "models.Sequential", "utils.set_random_seed", "Input"):
        assert f": {line}\n" in out
    assert "helper.py:5: layers.core.Dense\n" in out
    assert "inner.py:1: layers.Dense\n" in out and "other.py:1: layers.Dense\n" in out
    assert "deep.py:1: activations.relu\n" in out
    assert "outside" not in out and "helper" not in sys.modules
    script.write_text(
        "import tensorflow as tf\nfrom keras.layers import Dense, AugMix\ntf.matmul(1, 2)\nraise ValueError\n"
    )
    assert cli.main(["run", "--list", str(script)]) == 1
    out = capsys.readouterr().out
    assert "train.py:2: layers.AugMix is missing: lamella.layers has no AugMix: it is an image layer" in out
    assert "train.py:3: tf.matmul is missing: tf.matmul is not there" in out
    assert out.endswith("train.py: 3 names of Keras, 2 of them missing\n")
    script.write_text("x = (")
    assert cli.main(["run", "--list", str(script)]) == 2
    assert "not Python" in capsys.readouterr().err


def test_attributes_of_classes_and_of_instances_are_no_names_of_keras():
    source = (
        "from keras.layers import Dense\nimport keras\nDense.from_config({})\nkeras.Sequential.mro()\nDense(3).units"
    )
    assert [use.name for use in scripts.rewritten(source, "s.py")[1]] == ["layers.Dense", "Sequential"]


KERAS = "import keras\nfrom keras import layers, losses, models\n"
NOT_OF_KERAS = [
    "def use(models):\n    return models.best.predict(1)",
    "def f(*layers):\n    return layers.core",
    "lambda layers: layers.core",
    "[layers.core for layers in [1]]",
    "{layers.core: 1 for layers in [1]}",
    "losses = []\nlosses.append(1)",
    "losses = 'mse'\nlosses.upper()",
    "for losses in [1]:\n    losses.core",
    "with open('a') as layers:\n    layers.core",
    "try:\n    f()\nexcept ValueError as losses:\n    losses.args",
    "match x:\n    case [*losses]:\n        losses.count",
    "def losses():\n    pass\nlosses.best",
    "from . import losses\nlosses.best",
    "import losses\nlosses.best",
    "def f():\n    losses = [1]\n    return losses.count, [losses.index for _ in losses]",
    "def f():\n    global losses\n    losses = []\nlosses.count",
    "class A:\n    losses = []\n    losses.count",
]
OF_KERAS = {
    "def f(a=layers.core.Dense):\n    layers = 1": "def f(a=layers.Dense):\n    layers = 1",
    "def f():\n    return layers.core.Dense": "def f():\n    return layers.Dense",
    "def g(layers):\n    pass\nlayers.core.Dense": "def g(layers):\n    pass\nlayers.Dense",
    "class A:\n    layers = 1\n\n    def f(self):\n        layers.core.Dense": (
        "class A:\n    layers = 1\n\n    def f(self):\n        layers.Dense"
    ),
    "[layers for layers in layers.core.Dense]": "[layers for layers in layers.Dense]",
    "def f():\n    k = keras.layers\n    k.core.Dense": "def f():\n    k = keras.layers\n    k.Dense",
    "def f():\n    global k\n    k = keras.layers\nk.core.Dense": (
        "def f():\n    global k\n    k = keras.layers\nk.Dense"
    ),
    "k = None\nk = keras.layers\nk.core.Dense": "k = None\nk = keras.layers\nk.Dense",
}


@pytest.mark.parametrize("source", NOT_OF_KERAS)
def test_names_that_are_something_else_are_left_alone(source):
    tree, uses = scripts.rewritten(KERAS + source, "s.py")
    assert ast.unparse(tree).endswith(ast.unparse(ast.parse(source)))
    assert not [use for use in uses if use.line > 2]


@pytest.mark.parametrize("source, expected", OF_KERAS.items())
def test_names_of_keras_are_found_where_they_are_seen(source, expected):
    tree, uses = scripts.rewritten(KERAS + source, "s.py")
    assert ast.unparse(tree).endswith(expected)
    assert [use.name for use in uses if use.line > 2 and use.name != "layers"] == ["layers.core.Dense"]


def test_lamella_itself_is_the_keras_of_a_script():
    names = {}
    exec(compile(scripts.rewritten("import keras", "s.py")[0], "s.py", "exec"), names)
    assert names["keras"] is lamella and "keras" not in sys.modules
