"""Checkpoints: everything that determines how training continues, in one file that NumPy reads."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella.backend_api import to_numpy
from lamella.errors import FormatError
from lamella.files.tree import read_tree, write_tree
from lamella.ir.dim import public_shape
from lamella.ir.spec import numpy_dtype
from lamella.training.layout import Layout, layout_of
from lamella.training.loop import leaves_of

if TYPE_CHECKING:
    from lamella.training.configuration import Configuration
    from lamella.training.protocol import TrainingModel

FORMAT = "lamella checkpoint"
VERSION = 1


def save(model: TrainingModel, path: str | os.PathLike[str], extra: Any = None) -> None:
    """Write the model's checkpoint, as `Sequential.save_checkpoint` says."""
    write_tree(
        path, {"model": _model_state(model), "training": _training_state(model), "extra": extra}, FORMAT, VERSION
    )
    if model._compiled is not None:
        model._compiled.checkpoint = os.fspath(path)


class Checkpoint:
    """A checkpoint that was read and fits the model, which only `restore` changes.

    Args:
        model: the model it is for.
        path: the file.

    Attributes:
        extra: the `extra` of `save_checkpoint`.

    Raises:
        FormatError: the file is damaged, or of another model or optimizer.
        OSError: there is no such file, or it cannot be read.
    """

    def __init__(self, model: TrainingModel, path: str | os.PathLike[str]) -> None:
        self.model, self.path = model, os.fspath(path)
        tree = read_tree(path, FORMAT, VERSION)
        try:
            self._read(tree)
        except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
            if isinstance(error, FormatError):
                raise
            raise FormatError(f"{self.path!r} lacks what a {FORMAT} holds ({error!r}).") from None

    def _read(self, tree: dict[str, Any]) -> None:
        self.extra = tree["extra"]
        self._seed, self._calls = int(tree["model"]["seed"]), self._count("calls", tree["model"]["calls"])
        weights = dict(tree["model"]["weights"])
        self._check("weight", weights, {n: (v.shape, v.dtype) for n, v in self.model.named_weights()})
        self._weights = weights
        self._training = training = tree["training"]
        if training is None:
            return
        compiled = self.model._compiled
        if compiled is None:
            raise FormatError(f"{self.path!r} holds a training; compile the model before it is loaded.")
        config = compiled.configuration
        if training["optimizer"] != _optimizer_name(config):
            raise FormatError(
                f"{self.path!r} was written while training with {training['optimizer']}; this model is compiled with "
                f"{_optimizer_name(config)}."
            )
        layout = _layout(self.model)
        specs = {leaf: layout.specs[leaf] for group in layout.slots.values() for leaf in group.values()}
        self._check("slot", training["slots"], {n: (s.shape, s.dtype) for n, s in specs.items()})
        fresh = _initial_external(config, layout)
        self._check("slot", training["foreign"], {n: (a.shape, a.dtype.name) for n, a in fresh.items()})
        self._external = tuple(
            # stored in float32, as NumPy has no such dtype
            config.backend.asarray(training["foreign"][n], "bfloat16")
            if a.dtype.name == "bfloat16"
            else np.asarray(training["foreign"][n])
            for n, a in fresh.items()
        )
        self._numbers = {key: self._count(key, training[key]) for key in ("steps", "epochs")}
        self._rates = [None if rate is None else float(rate) for rate in training["learning_rates"]]
        if len(self._rates) != len(_with_learning_rate(config)):
            raise FormatError(f"{self.path!r} is of another optimizer: it has {len(self._rates)} rates.")

    def _count(self, word: str, value: Any) -> int:
        if int(value) != value or not 0 <= value < 2**32:
            raise FormatError(f"{self.path!r}: {word} must be a count of 32 bits, got {value!r}.")
        return int(value)

    def _check(self, kind: str, found: dict[str, Any], expected: dict[str, tuple[Any, str]]) -> None:
        missing, unknown = [n for n in expected if n not in found], [n for n in found if n not in expected]
        if missing or unknown:
            words = [f"lacks {name!r}" for name in missing[:1]] + [f"has {name!r}" for name in unknown[:1]]
            raise FormatError(
                f"{self.path!r} is of another model: among its {len(found)} {kind}s (expected {len(expected)}) it "
                f"{' and '.join(words)}."
            )
        for name, (shape, dtype) in expected.items():
            array = np.asarray(found[name])
            if array.shape != public_shape(shape) or array.dtype != numpy_dtype(dtype):
                raise FormatError(
                    f"{self.path!r} is of another model: {kind} {name!r} is {array.dtype}{list(array.shape)}, expected "
                    f"{numpy_dtype(dtype)}{list(map(int, shape))}."
                )

    def restore(self) -> None:
        """Set the model's weights and training state from the checkpoint."""
        model = self.model
        model.seed, model.calls = self._seed, self._calls
        for name, variable in model.named_weights():
            variable._value = np.asarray(self._weights[name])
        if self._training is None:
            return
        compiled = model._require_compiled()
        compiled.checkpoint = self.path
        slots = {
            slot: {key: np.asarray(self._training["slots"][leaf]) for key, leaf in group.items()}
            for slot, group in _layout(model).slots.items()
        }
        compiled.state = compiled.state.with_slots(
            slots,
            step=self._numbers["steps"],
            epochs=self._numbers["epochs"],
            external=self._external or None,
        )
        for optimizer, rate in zip(_with_learning_rate(compiled.configuration), self._rates, strict=True):
            if rate is not None:
                optimizer.learning_rate = rate


def _model_state(model: TrainingModel) -> dict[str, Any]:
    model.require_built()
    weights = {name: to_numpy(variable._value) for name, variable in model.named_weights()}
    return {"seed": model.seed, "calls": model.calls, "weights": weights}


def _training_state(model: TrainingModel) -> dict[str, Any] | None:
    compiled = model._compiled
    if compiled is None:
        return None
    config, state, layout = compiled.configuration, compiled.state, _layout(model)
    leaves = leaves_of(model, compiled, layout)
    fresh = _initial_external(config, layout)
    external = dict(zip(fresh, state.external or fresh.values(), strict=True))
    return {
        "optimizer": _optimizer_name(config),
        "steps": state.steps,
        "epochs": state.epochs,
        # a rate that a schedule or a function decides is theirs to say
        "learning_rates": [
            float(o.learning_rate) if o.schedule is o._function is None else None for o in _with_learning_rate(config)
        ],
        "slots": {leaf: to_numpy(leaves[leaf]) for group in layout.slots.values() for leaf in group.values()},
        "foreign": {name: to_numpy(a) for name, a in external.items()},
    }


def _layout(model: TrainingModel) -> Layout:
    """The layout of the training state without metrics, which depend on the data."""
    return layout_of(model, model._require_compiled().configuration, None, training=True, own_logs={})


def _with_learning_rate(config: Configuration) -> list[Any]:
    """The optimizers that have a learning rate, including nested ones."""
    return [] if config.external else config.optimizer.with_learning_rate()


def _initial_external(config: Configuration, layout: Layout) -> dict[str, Any]:
    """The arrays of an external optimizer's state before its first step, by path."""
    if not config.external:
        return {}
    params = {name: variable._value for name, variable in layout.trained_variables}
    return config.backend.optimizer_leaves(config.optimizer, params)


def _optimizer_name(config: Configuration) -> str:
    return "a transformation of another framework" if config.external else type(config.optimizer).__name__
