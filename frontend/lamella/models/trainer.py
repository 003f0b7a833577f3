"""What a model can do once it is built: compile, fit, evaluate, predict, gradients."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella.backend_api import current_backend, distribution_in_force, load_backend, to_numpy
from lamella.compat import training
from lamella.compiling import Recent
from lamella.core import freezing
from lamella.ir import settings
from lamella.layers.base import Layer
from lamella.lowering.forward import FUNCTIONS
from lamella.models.old_names import OldNames
from lamella.tracebacks import shorten
from lamella.training.train_step import OwnSteps, kept_metrics

if TYPE_CHECKING:
    from lamella.core.protocol import Trainable as _Declared
    from lamella.training.columns import Columns
    from lamella.training.data import Data
    from lamella.training.fit import Run
    from lamella.training.history import History
    from lamella.training.inference import Call
    from lamella.training.loop import Loop
    from lamella.training.state import Compiled
else:
    _Declared = object  # a subclass has what `Trainable` declares; the protocol's own members would return None


_LOOPS = 16
"""How many loops a model keeps: one each for training and evaluation on rows of a dtype and shape."""


class TrainableModel(OwnSteps, OldNames, Layer, _Declared):
    """The training half of a model.

    Attributes:
        seed: decides the model's weights, masks and orders.
        stop_training: set to True in a callback to end `fit` after the epoch.
        stop_evaluating, stop_predicting: set to True in a batch hook to end `evaluate` or `predict` after the batch.
        history: the `History` of the last `fit`.
        functions: compiled functions for calls and gradients.
        calls: how many times the model was called on arrays in training mode; each draws other masks.
    """

    seed: int

    def _prepare_training(self) -> None:
        self._columns: Columns = {}
        self._compiled: Compiled | None = None
        self._chosen_backend: str | None = None
        self._loops: Recent[Any, Loop] = Recent(_LOOPS)
        self.functions: Recent[Any, Any] = Recent(FUNCTIONS)
        self.calls = 0
        self.stop_training = self.stop_evaluating = self.stop_predicting = False
        self._run: Run | None = None
        self.history: History | None = None

    def _forget_programs(self) -> None:
        self._loops.clear()
        self.functions.clear()
        if self._compiled is not None:
            self._compiled.looked = -1  # there may be other layers

    @property
    def backend_name(self) -> str:
        """The backend the model runs on: the one it was compiled for or moved to, else the one in force."""
        if self._compiled is not None:
            return self._compiled.configuration.backend.name
        return self._chosen_backend or current_backend()

    # ---- compile ----

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
        *,
        backend: Any = None,
        **legacy_words: Any,
    ) -> None:
        """Configure training. What is trained is what is trainable when `fit` begins; see `Layer.trainable`.

        Args:
            optimizer: a name, one of `lamella.optimizers`, or, on JAX, an optax transformation. The optimizer that the
                model is compiled with already keeps its steps and slots; another one begins at step 0. A transformation
                that asks for more than gradients gets `value`, `grad`, `value_fn`, `obj_fn` and `grad_fn` of the batch.
            loss: a name, one of `lamella.losses`, or a function of (y_true, y_pred) written in `lamella.ops`. Of a model
                with several outputs it is for each of them; or a dict of losses by the outputs' names, or a list in their
                order, in which None, or a missing name, leaves an output out.
            loss_weights: a number the loss is multiplied with; for several outputs a dict or a list, as for `loss`.
            metrics: names, objects or functions, or a list; "accuracy" is chosen by the shapes. For several outputs a dict
                or a list of these, as for `loss`.
            weighted_metrics: the same, weighted by sample and class weights.
            run_eagerly: compute each equation as it is traced, at every step, so that `print` and a debugger inside layers,
                losses and metrics see numbers; slow.
            steps_per_execution: how many steps run between two calls of a callback's batch hooks. Without such hooks many
                steps always run at once, as many as take about a quarter of a second.
            jit_compile: True or "auto", which mean the same: every step is compiled.
            auto_scale_loss: whether a model made under the policy "mixed_float16" gets its optimizer wrapped in a
                `LossScaleOptimizer`. An optax transformation is never wrapped.
            backend: a backend's name; None for the one in force.
            **legacy_words: words of earlier releases, which warn.

        Raises:
            ValueError: a name is unknown (the nearest known one is given), a backend is not installed, or an optax
                transformation cannot train these weights.
            TypeError: an unknown argument.
        """
        from lamella.training.configuration import configure
        from lamella.training.state import Compiled, state_for

        metrics = training.compile_words(metrics, legacy_words)
        configuration = configure(
            self,
            optimizer,
            loss,
            metrics,
            weighted_metrics,
            loss_weights,
            backend=backend or self._chosen_backend or current_backend(),
            run_eagerly=run_eagerly,
            auto_scale_loss=auto_scale_loss,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
        )
        self._compiled = Compiled(self, configuration, state_for(self, self._compiled, configuration))
        self._loops.clear()

    @property
    def runs_eagerly(self) -> bool:
        """Whether the model was compiled with `run_eagerly=True`."""
        return self._compiled is not None and self._compiled.configuration.run_eagerly

    @property
    def optimizer(self) -> Any:
        """The optimizer given to `compile`, or None."""
        return None if self._compiled is None else self._compiled.configuration.optimizer

    @property
    def loss(self) -> Any:
        """The loss as it was given to `compile`, or None."""
        return None if self._compiled is None else self._compiled.configuration.objective.loss_identifier

    @property
    def metrics(self) -> list[Any]:
        """The metrics that the model and its layers keep in attributes, and those of `compile`.

        The latter once their shapes are known; before that those that were given as objects.
        """
        compiled = [] if self._compiled is None else self._compiled.configuration.objective.known_metrics
        return [*kept_metrics(self), *compiled]

    def reset_metrics(self) -> None:
        """Let every metric of the model forget what it was given."""
        for metric in self.metrics:
            metric.reset_state()

    @property
    def metrics_names(self) -> list[str]:
        """The keys of the logs: "loss", the losses of several outputs, then the metrics, once their shapes are known."""
        return self._require_compiled().configuration.objective.labels

    def _require_compiled(self) -> Compiled:
        if self._compiled is None:
            raise ValueError(
                "The model is not compiled yet: call `model.compile(optimizer=..., loss=...)` before training it."
            )
        if self._compiled.looked != freezing.count and self._run is None and self._compiled.follow(self):
            self._loops.clear()
        return self._compiled

    def to(self, backend: str) -> TrainableModel:
        """Move the model to another backend: its weights, and its training if it is compiled. Returns the model.

        Raises:
            BackendError: the backend is unknown or not installed; the model stays where it was.
        """
        found = load_backend(backend)
        if self._compiled is not None:
            if self._compiled.configuration.external and not found.supports_optimizer(
                self._compiled.configuration.optimizer
            ):
                raise TypeError(f"the optimizer this model is compiled with does not run on {found.name!r}.")
            self._compiled.move(found)
        for variable in self.variables:
            variable._value = to_numpy(variable._value)
        self._chosen_backend = found.name
        self._forget_programs()
        return self

    def loop_for(self, data: Data, *, training: bool) -> Loop:
        """The step programs for data of these shapes, made once."""
        from lamella.training.data import free_specs
        from lamella.training.loop import Loop

        compiled = self._require_compiled()
        key = (training, data.structure, tuple(free_specs(self, data).items()), distribution_in_force())
        loop = self._loops.get(key)
        if loop is None:
            loop = self._loops[key] = Loop(self, compiled, data, training=training)
        return loop

    # ---- fit, evaluate, predict ----

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | str = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
        **legacy_words: Any,
    ) -> History:
        """Train for `epochs` passes over the rows, or over the batches.

        Args:
            x: inputs, one row an example: an array of NumPy's, JAX's, torch's ..., nested lists of numbers, a pandas frame, a
                SciPy sparse matrix, an array mapped from a file. Or batches: a generator, anything that can be iterated, a
                `utils.PyDataset`; each batch is `(x,)`, `(x, y)` or `(x, y, sample_weight)`. Several inputs are a list, or a
                dict by their names, or a frame with a column for each. The columns of frames go by name from then on: later
                ones are put into the order of the first.
            y: targets, one row an example; none with batches. Those of several outputs are a list, or a dict by their names.
            batch_size: rows a step, 32 by default; a short last batch counts as what it is. None with batches.
            epochs: the number of the last epoch; so many are run, less `initial_epoch`.
            verbose: 0 silent, 1 a progress bar (one line an epoch where there is no terminal), 2 one line an epoch.
            callbacks: `lamella.callbacks.Callback`s.
            validation_split: the last rows of this fraction are not trained on, but evaluated after each epoch.
            validation_data: (x, y) or (x, y, sample_weight), or batches, to evaluate after each epoch.
            shuffle: a new order of the rows in each epoch (of the batches of a `PyDataset`), a function of the model's seed
                and of the step; "batch" reorders rows within their batches only. What is iterated comes in its own order.
            class_weight: {class: weight} for the loss of a model with one output.
            sample_weight: one weight a row for the loss, or one for each step of a sequence, (rows, steps). For several
                outputs one array for all, or a list or dict like y.
            initial_epoch: the number of the first epoch.
            steps_per_epoch: batches an epoch; the next epoch goes on behind them, and what is used up begins again. By
                default one pass.
            validation_steps: the same for the evaluation.
            validation_batch_size: rows a step of the evaluation (by default `batch_size`).
            validation_freq: evaluate after every so many epochs, or a list of the epochs (from 1) to evaluate after.
            **legacy_words: words of earlier releases (`nb_epoch`), which warn.

        Returns:
            The `History`: for every log key the values, one an epoch.

        After an exception, or Ctrl-C, the model has the weights of its last whole chunk of steps. A generator gives its
        batches once: where it ends before the last epoch, training ends there with a warning.

        Raises:
            ValueError: the model is not compiled, or the data do not fit it; nothing has been changed then.
        """
        from lamella.training import entry

        epochs = training.fit_words(epochs, legacy_words)
        options = entry.FitOptions(
            batch_size=batch_size,
            epochs=epochs,
            verbose=verbose,
            callbacks=callbacks,
            validation_split=validation_split,
            validation_data=validation_data,
            shuffle=shuffle,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            validation_batch_size=validation_batch_size,
            validation_freq=validation_freq,
        )
        return entry.fit(self, x, y, sample_weight, class_weight, options)

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Loss and metrics over the rows, or over the batches, in inference mode.

        Args:
            x: inputs, or batches, as for `fit`.
            y: targets; none with batches.
            batch_size: rows a step, 32 by default; none with batches.
            verbose: as for `fit`.
            sample_weight: as for `fit`.
            steps: how many batches; by default all.
            callbacks: `lamella.callbacks.Callback`s.
            return_dict: return a dict.

        Returns:
            The loss, a float; with metrics a list of the loss and them; with `return_dict` a dict.

        Raises:
            ValueError: the model is not compiled, or the data do not fit it.
        """
        from lamella.training import entry

        options = entry.PassOptions(batch_size, verbose, steps, callbacks)
        return entry.evaluate(self, x, y, sample_weight, options, return_dict=return_dict)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """The predictions for the rows, in inference mode: a NumPy array, or arrays in the structure of the outputs.

        Args:
            x: inputs, or batches of them, as for `fit`; targets and weights in a batch are left aside.
            batch_size: rows a step, 32 by default; none with batches.
            verbose: as for `fit`.
            steps: how many batches; by default all.
            callbacks: `lamella.callbacks.Callback`s.

        Raises:
            ValueError: the rows do not fit the model.
        """
        try:
            quick = batch_size is None or type(batch_size) is int
            if quick and verbose == 0 and callbacks is None and steps is None:  # no callback and no progress bar
                if (call := self.known_call(x, ("rows", batch_size))) is not None:
                    self.stop_predicting = False
                    return call.numpy(x)
            from lamella.training import entry

            return entry.predict(self, x, entry.PassOptions(batch_size, verbose, steps, callbacks))
        except Exception as error:
            shorten(error)
            raise

    # ---- checkpoints ----

    def save_checkpoint(self, path: str | os.PathLike[str], extra: Any = None) -> None:
        """Write everything that decides how training goes on to one file, atomically.

        That is: weights and layer state (of stateful recurrent layers, too), and of a compiled model the optimizer's
        slots, learning rate and step, and the count that orders the rows; and the seed. The file is an `.npz` archive
        that NumPy reads; nothing in it is pickled.

        Args:
            path: where the file goes; it may be called within a callback.
            extra: what a loop of one's own wants back from `load_checkpoint`: text, numbers, None, arrays, and lists and
                dicts of them.

        Raises:
            OSError: the file cannot be written (no space, no permission); a file that was there stays as it was.
            TypeError: `extra` holds something else.
        """
        from lamella.training import checkpoint

        checkpoint.save(self, path, extra)

    def load_checkpoint(self, path: str | os.PathLike[str]) -> Any:
        """Go on from a file that `save_checkpoint` wrote, of the same layers and, if it was compiled, the same optimizer.

        Returns:
            What was given as `extra`; tuples come back as lists.

        Raises:
            FormatError: the file is damaged, or of another model or optimizer; nothing has been changed then.
            OSError: it cannot be read.
            ValueError: the model is not built and has no input shape.
        """
        from lamella.training.checkpoint import Checkpoint

        self.require_built()
        found = Checkpoint(self, path)
        found.restore()
        return found.extra

    def predict_on_batch(self, x: Any) -> Any:
        """The predictions for one batch, without any machinery around it."""
        try:
            if (call := self.known_call(x)) is not None:
                return call.numpy(x)
            from lamella.training import inference

            return inference.predict_on_batch(self, x)
        except Exception as error:
            shorten(error)
            raise

    def known_call(self, x: Any, kind: tuple[Any, ...] = ("batch",)) -> Call | None:
        """How rows like `x` were predicted before; None where something is to be looked at first.

        Args:
            x: the rows.
            kind: ("batch",) where they are a batch; ("rows", batch_size) where `predict` takes them as part of one.
        """
        if type(x) is not np.ndarray or self.runs_eagerly or settings.checks_nan():
            return None
        return self.functions.get((kind, self.backend_name, x.shape, x.dtype, distribution_in_force()))

    def layer_outputs(self, x: Any) -> dict[str, Any]:
        """The output of every layer for a batch, in inference mode: {layer name: array}.

        A layer that is called several times has a list of outputs.
        """
        from lamella.training import entry

        return entry.layer_outputs(self, x)

    @property
    def stateful_path(self) -> str | None:
        """The path of the first layer that keeps states from batch to batch, None where there is none."""
        if "stateful" not in self.functions:  # forgotten when layers are added or removed
            found = (path for path, layer in self.named_layers() if getattr(layer, "stateful", False))
            self.functions["stateful"] = next(found, None)
        return self.functions["stateful"]

    def reset_states(self) -> None:
        """Let the next batch begin with states of zeros, in every stateful layer."""
        for _, layer in self.named_layers():
            if getattr(layer, "stateful", False):
                layer.reset_states()  # type: ignore[attr-defined]

    # ---- one batch ----

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One step on one batch; returns its loss (and metrics) before the step.

        Where the model keeps rows apart, a batch is filled up to one of four sizes an octave (32, 40, 48, 56, 64, ...), and
        what fills it counts for nothing: batches of many sizes share few compiled programs.
        """
        from lamella.training import entry

        return entry.on_batch(self, x, y, sample_weight, class_weight, return_dict=return_dict, training=True)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Loss and metrics of one batch, in inference mode."""
        from lamella.training import entry

        return entry.on_batch(self, x, y, sample_weight, return_dict=return_dict, training=False)

    def value_and_grad(
        self, x: Any, y: Any = None, training: bool = False, seed: int | None = None, backend: Any = None
    ) -> tuple[Any, dict[str, Any]]:
        """The loss of a batch, regularization included, and its gradients.

        Args:
            x: a batch of inputs.
            y: its targets.
            training: whether layers behave as in training.
            seed: for random layers in training; None takes the model's.
            backend: where to compute; None for the model's.

        Returns:
            (loss, {path: gradient}), in the order of `model.trainable_weights`.
        """
        from lamella.training import entry

        return entry.value_and_grad(self, x, y, training=training, seed=seed, backend=backend)
