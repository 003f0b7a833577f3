"""Names of Keras that lamella does not have, and what to write in their place: the one table that answers for them.

A module's `__getattr__` raises `no_attribute`. A name that neither the table nor the module knows is an ordinary misspelling.
"""

from __future__ import annotations

import opcode
import sys
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

from lamella.errors import did_you_mean

_TEXT = "hashes words, which lamella leaves to the code that prepares the data; `StringLookup` numbers them"
_SPECTROGRAM = "makes spectrograms, for which lamella has no Fourier transform"
_IMAGE = (
    "is an image layer that lamella does not have; apply such changes where the data is prepared, or write a `Layer`"
)
_FOREIGN = "wraps another framework's function, which no other backend could run; write a `Layer` in `lamella.ops`"
_COMPLEX = "needs complex numbers, which lamella does not have"
_LINEAR = (
    "is a matrix decomposition, which no mandatory op expresses; solve beforehand with NumPy, or iterate with `scan`"
)
_SIZE = "has a result whose shape depends on numbers; use `where` with a mask, or NumPy before the model"
_BITS = "needs the bits of a float, which are not accessible on every backend"
_PREPARES = "prepares data, which lamella leaves to the code that loads it"
_SESSION = "is a session of TensorFlow 1; the numbers of `K.function`, `K.get_value` and `predict` need none"
_SCOPE = "puts names of weights below another; give the layers a `name=`, or hold them in a `Layer` of that name"
_GRAPH = "is a part of Keras's graphs; `Input` and layers called with what it returns make those of lamella"
_QUANTIZED = (
    "belongs to quantization, which lamella does not have; `mixed_bfloat16` halves the numbers of a computation"
)
_BOXES = "is for bounding boxes and drawings, which lamella leaves to the code around the model"
_LIMITS = "limits every run of the process; give `fit` its `epochs=` and `steps_per_epoch=`, `evaluate` its `steps=`"
_GONE = "is gone from Keras, and a few lines as a `Layer`"
_TREE = "is a function of Keras for nested structures; `jax.tree` and a few lines of Python do the same"

ABSENT: Mapping[str, str] = {
    # models
    **dict.fromkeys(("Function", "KerasTensor", "Operation"), _GRAPH),
    "applications": "holds pretrained networks, which lamella does not have; build one from layers and give it weights",
    "distillation": "trains a model from another; write a `train_step`, or a loss that takes the other's predictions",
    "export.ExportArchive": "writes TensorFlow's SavedModel, which lamella does not; write model.export(path)",
    "visualization": _BOXES,
    # scopes, devices, precision
    "device": "chooses a device, which lamella leaves to the backend; choose it with the environment, as JAX_PLATFORMS=cpu",
    "name_scope": _SCOPE,
    "StatelessScope": "computes without changing weights; `model.lower()` is a pure function that does",
    "SymbolicScope": "traces a function without numbers; `model.lower()` does",
    **dict.fromkeys(
        (
            "Quantizer", "quantizers", "dtype_policies.AWQDTypePolicy", "dtype_policies.GPTQDTypePolicy",
            "dtype_policies.Int4DTypePolicy", "dtype_policies.QuantizedDTypePolicy",
            "dtype_policies.QuantizedFloat8DTypePolicy",
        ),
        _QUANTIZED,
    ),
    "dtype_policies.DTypePolicyMap": "gives layers policies by their path; give each layer its `dtype=`",
    # settings
    "config.enable_unsafe_deserialization": (
        "lets files run code, which no file may in lamella; give functions of your own with `custom_objects=`"
    ),
    **dict.fromkeys(
        (
            "config.max_epochs", "config.max_steps_per_epoch", "config.set_max_epochs", "config.set_max_steps_per_epoch",
        ),
        _LIMITS,
    ),
    "config.is_nnx_enabled": "is about Flax's modules, with which lamella's layers have nothing to do; leave the line out",
    # data
    "utils.FeatureSpace": _PREPARES,
    "utils.bounding_boxes": _BOXES,
    # helpers
    "backend.ctc_label_dense_to_sparse": "makes sparse tensors, which lamella does not have; `K.ctc_batch_cost` takes labels",
    "backend.get_session": _SESSION,
    "backend.name_scope": _SCOPE,
    "backend.set_learning_phase": "fixes whether layers train; write model(x, training=True), or layer.trainable = False",
    "backend.set_session": _SESSION,
    "callbacks.OrbaxCheckpoint": "writes files of Orbax; write `ModelCheckpoint` or `BackupAndRestore`",
    "saving.KerasFileEditor": "edits files; read the arrays of one with `lamella.models.load_model(path).get_weights()`",
    **dict.fromkeys(("legacy", "utils.legacy"), "holds functions of Keras 2's files; those of `lamella.saving` are today's"),
    "tree": _TREE,
    # layers
    **{
        f"layers.{name}": why
        for why, names in {
            _TEXT: "Hashing HashedCrossing",
            _SPECTROGRAM: "MelSpectrogram STFTSpectrogram",
            _IMAGE: """
                AugMix AutoContrast ContrastLimitedAdaptiveHistogramEqualization CutMix Equalization MaxNumBoundingBoxes
                MixUp RandAugment RandomColorDegeneration RandomColorJitter RandomElasticTransform RandomErasing
                RandomGaussianBlur RandomGrayscale RandomHeight RandomHue RandomInvert RandomPerspective RandomPosterization
                RandomSaturation RandomSharpness RandomShear RandomWidth Solarization
            """,
            _FOREIGN: "JaxLayer FlaxLayer TorchModuleWrapper TFSMLayer",
            _GONE: "Highway LocallyConnected1D LocallyConnected2D MaxoutDense ParametricSoftplus SReLU",
        }.items()
        for name in names.split()
    },
    "layers.Pipeline": "is a chain of preprocessing layers; a `Sequential` is one, too",
    "layers.ReversibleEmbedding": "needs a second argument in its call, which a Sequential cannot give; write a `Layer`",
    "layers.ThresholdedReLU": "is gone from Keras; write ReLU(threshold=theta)",
    "layers.TimeDistributedDense": "is gone from Keras; Dense works on the last axis of any shape",
    "layers.Merge": "is gone from Keras; call a merging layer, such as `Concatenate` or `Add`, on the inputs",
    # ops
    **{
        f"ops.{name}": why
        for why, names in {
            _COMPLEX: """
                angle conj conjugate fft fft2 ifft2 imag irfft isreal istft polar real rfft stft view_as_complex
                view_as_real
            """,
            _LINEAR: """
                cholesky cholesky_inverse det eig eigh inv logdet lstsq lu_factor matrix_rank pinv qr slogdet solve
                solve_triangular svd
            """,
            _SIZE: "nonzero unique",
            _BITS: "nextafter view",
        }.items()
        for name in names.split()
    },
    "ops.ctc_decode": "decodes sequences, which is not part of training; decode predictions with NumPy",
    "ops.ctc_loss": "is `losses.ctc` here, with labels filled up by 0 and the blank first",
    "ops.i0": "is a Bessel function, which lamella does not have; the window made of it is `ops.kaiser`",
    "ops.jvp": "is a forward derivative, and lamella's are in reverse mode; apply `jax.jvp` to the lowered function",
    "ops.vectorize": "maps a function over axes; write the function in broadcasting ops, or use `ops.map`",
}  # fmt: skip
"""For each name, without the "keras." in front, what it is, to follow the name in a sentence.

A module in the table answers for the names in it, too."""

_NAMESPACES = ("ops.linalg", "ops.numpy", "ops.nn")
"""Modules whose names are those of `ops`."""


def reason(name: str) -> str | None:
    """What the table says of a public name of Keras ("layers.AugMix"), or None where it says nothing.

    >>> reason("applications.VGG16").split(",")[0]
    'holds pretrained networks'
    """
    for space in _NAMESPACES:
        if name.startswith(f"{space}."):
            name = f"ops.{name.removeprefix(space + '.')}"
    while name and name not in ABSENT:
        name = name.rpartition(".")[0]
    return ABSENT.get(name)


def sentence(module: str, name: str) -> str | None:
    """The sentence about a name of a module that only Keras has; None for any other name."""
    why = reason(f"{module}.{name}".removeprefix("lamella").lstrip("."))
    return None if why is None else f"{module} has no {name}: it {why}."


def no_attribute(module: str, name: str, known: Iterable[str] = ()) -> AttributeError | ImportError:
    """The error that a module's `__getattr__` raises for `name`, with what the table says of it, or the nearest known name.

    It is an `AttributeError`, so that `hasattr` is false, but an `ImportError` for `from module import name`, unless there is
    a module of that name: of an `AttributeError` Python would keep nothing but the name.

    Args:
        module: the module's `__name__`.
        name: what it was asked for.
        known: the names that it has, to suggest one of them.
    """
    asking = sys._getframe(2)
    if asking.f_code.co_name == "_handle_fromlist":
        # `from lamella import tree`: the import system loads `lamella.tree` next, and reads no message
        return AttributeError(name=name)
    told = sentence(module, name)
    importing = asking.f_code.co_code[asking.f_lasti] == opcode.opmap["IMPORT_FROM"]
    if told is None:
        # the import system asks for names such as `__path__`, and for modules that are being imported
        importing = importing and f"{module}.{name}" not in sys.modules
        known = () if name.startswith("_") else [entry for entry in known if not entry.startswith("_")]
        hint = f": {did_you_mean(name, known)}" if known else ""
        told = (
            f"cannot import name {name!r} from {module!r}"
            if importing
            else f"module {module!r} has no attribute {name!r}"
        )
        told += hint
    return ImportError(told, name=f"{module}.{name}") if importing else AttributeError(told, name=name)


def forwarding(module: str, other: ModuleType) -> Callable[[str], Any]:
    """The `__getattr__` of a module that has the names of another one as well."""

    def find(name: str) -> Any:
        if name.startswith("_") or not hasattr(other, name):
            raise no_attribute(module, name, dir(other))
        return getattr(other, name)

    return find


def refusing(module: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module that has no names beside those it defines."""

    def find(name: str) -> Any:
        raise no_attribute(module, name, vars(sys.modules[module]))

    return find
