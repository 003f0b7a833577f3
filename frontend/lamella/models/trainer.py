"""The training half of a model: compile, fit, evaluate, predict, gradients."""

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
    _Declared = object  # subclasses define the members of `Trainable`; the protocol's members would return None


_LOOPS = 16
"""How many loops a model caches: one for training and one for evaluation per dtype and shape of the data."""


class TrainableModel(OwnSteps, OldNames, Layer, _Declared):
    """The training half of a model.

    Attributes:
        seed: determines the initial weights, the dropout masks and the shuffling.
        stop_training: set to True in a callback to end `fit` after the epoch.
        stop_evaluating, stop_predicting: set to True in a batch hook to end `evaluate` or `predict` after the batch.
        history: the `History` of the last `fit`.
        functions: compiled functions for calls and gradients.
        calls: the number of calls on arrays in training mode; each draws different masks.
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
            self._compiled.looked = -1  # layers may have changed

    @property
    def backend_name(self) -> str:
        """The backend that the model runs on: the one that it was compiled for or moved to, else the current one."""
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
        **legacy_kwargs: Any,
    ) -> None:
        """Configure training.

        `fit` trains the weights that are trainable when it begins; see `Layer.trainable`.

        Args:
            optimizer: a name, an optimizer of `lamella.optimizers`, or, on JAX, an optax transformation. An optimizer
                that the model is already compiled with keeps its step and slots; another one starts at step 0. A
                transformation that needs more than gradients is passed `value`, `grad`, `value_fn`, `obj_fn` and
                `grad_fn` of the batch.
            loss: a name, a loss of `lamella.losses`, or a function of `(y_true, y_pred)` written in `lamella.ops`. For
                several outputs: one loss for each of them, a dict by output name, or a list in their order; outputs
                with None or without an entry are not trained on.
            loss_weights: a factor of the loss; for several outputs a dict or a list, as for `loss`.
            metrics: a name, a metric or a function, or a list of them; "accuracy" is resolved from the shapes. For
                several outputs a dict or a list of these, as for `loss`.
            weighted_metrics: like `metrics`, weighted by sample and class weights.
            run_eagerly: whether every equation is computed as it is traced, at every step, so that `print` and a
                debugger inside layers, losses and metrics see concrete arrays; slow.
            steps_per_execution: the number of steps between two calls of a callback's batch hooks. Without batch hooks
                many steps always run at once, as many as take about a quarter of a second.
            jit_compile: True or "auto", which are equivalent: every step is compiled.
            auto_scale_loss: whether the optimizer of a model made under the policy "mixed_float16" is wrapped in a
                `LossScaleOptimizer`. An optax transformation is never wrapped.
            backend: the name of a backend; None for the current one.
            **legacy_kwargs: arguments of earlier releases, which emit a `DeprecationWarning`.

        Raises:
            ValueError: a name is unknown (the message suggests the nearest one), a backend is not installed, or an
                optax transformation cannot train these weights.
            TypeError: an argument is unknown.

        Example:
            >>> from lamella import Sequential
            >>> from lamella.layers import Dense, Input
            >>> model = Sequential([Input((2,)), Dense(1)])
            >>> model.compile(optimizer="adam", loss="mse", metrics=["mae"])
            >>> model.optimizer.name, model.loss
            ('adam', 'mse')
        """
        from lamella.training.configuration import configure
        from lamella.training.state import Compiled, state_for

        metrics = training.compile_kwargs(metrics, legacy_kwargs)
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
        """The `loss` argument of `compile`, or None."""
        return None if self._compiled is None else self._compiled.configuration.objective.loss_identifier

    @property
    def metrics(self) -> list[Any]:
        """The metrics in attributes of the model and its layers, and those given to `compile`.

        Metrics that were given to `compile` by name are included once their shapes are known.
        """
        compiled = [] if self._compiled is None else self._compiled.configuration.objective.known_metrics
        return [*kept_metrics(self), *compiled]

    def reset_metrics(self) -> None:
        """Reset the state of every metric of the model.

        Example:
            >>> import lamella
            >>> metric = lamella.metrics.Mean()
            >>> metric.update_state([1.0, 3.0])
            >>> model = lamella.Sequential()
            >>> model.compile(metrics=[metric])
            >>> model.reset_metrics()
            >>> float(metric.result())
            0.0
        """
        for metric in self.metrics:
            metric.reset_state()

    @property
    def metrics_names(self) -> list[str]:
        """The keys of the logs: "loss", the losses of several outputs, and the metrics whose shapes are known."""
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
        """Move the model to another backend: its weights, and its training state if it is compiled.

        Args:
            backend: the name of the backend.

        Returns:
            The model.

        Raises:
            BackendError: the backend is unknown or not installed; the model is unchanged then.
            TypeError: the optimizer does not run on that backend.

        Example:
            >>> from lamella import Sequential
            >>> from lamella.layers import Dense, Input
            >>> Sequential([Input((2,)), Dense(1)]).to("numpy").backend_name
            'numpy'
        """
        found = load_backend(backend)
        if self._compiled is not None:
            if self._compiled.configuration.external and not found.supports_optimizer(
                self._compiled.configuration.optimizer
            ):
                raise TypeError(f"the optimizer that the model is compiled with does not run on {found.name!r}.")
            self._compiled.move(found)
        for variable in self.variables:
            variable._value = to_numpy(variable._value)
        self._chosen_backend = found.name
        self._forget_programs()
        return self

    def loop_for(self, data: Data, *, training: bool) -> Loop:
        """Return the step programs for data of these shapes, compiled once.

        Args:
            data: the data.
            training: whether the steps train.
        """
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
        **legacy_kwargs: Any,
    ) -> History:
        """Train for a number of epochs.

        After an exception or Ctrl-C the model has the weights of the last complete chunk of steps. A generator yields
        its batches once: if it ends before the last epoch, training ends with a warning.

        Args:
            x: inputs, with the examples along the first axis: an array of NumPy, JAX or torch, nested lists of numbers,
                a pandas frame, a SciPy sparse matrix, or a memory-mapped array. Or batches: a generator, any iterable,
                or a `utils.PyDataset`; each batch is `(x,)`, `(x, y)` or `(x, y, sample_weight)`. Several inputs are a
                list, a dict by input name, or a frame with one column per input. The columns of later frames are
                matched by name to those of the first.
            y: targets, with the examples along the first axis; None with batches. For several outputs a list, or a dict
                by output name.
            batch_size: the batch size, 32 by default; a smaller last batch is weighted by its size. None with batches.
            epochs: the number of the last epoch; `epochs - initial_epoch` epochs are run.
            verbose: 0 silent, 1 a progress bar (one line per epoch without a terminal), 2 one line per epoch; "auto" is
                1.
            callbacks: a list of `lamella.callbacks.Callback`s.
            validation_split: the fraction of the examples, from the end, that is not trained on but evaluated after
                each epoch.
            validation_data: `(x, y)`, `(x, y, sample_weight)` or batches, evaluated after each epoch.
            shuffle: whether the examples (the batches of a `PyDataset`) are shuffled in each epoch, as a function of
                the model's seed and of the step; "batch" shuffles within batches only. Iterables keep their order.
            class_weight: dict from class to weight for the loss of a model with one output.
            sample_weight: weights of the loss of shape `(examples,)`, or `(examples, steps)` for sequences. For several
                outputs one array for all of them, or a list or dict like `y`.
            initial_epoch: the number of the first epoch.
            steps_per_epoch: batches per epoch; the next epoch continues after them, and exhausted data starts again. By
                default one pass over the data.
            validation_steps: batches per validation; by default all.
            validation_batch_size: the batch size of the validation; by default `batch_size`.
            validation_freq: validate after every so many epochs, or a list of the epochs (from 1) to validate after.
            **legacy_kwargs: arguments of earlier releases (`nb_epoch`), which emit a `DeprecationWarning`.

        Returns:
            The `History`, with one value per epoch for every key of the logs.

        Raises:
            ValueError: the model is not compiled, or the data do not fit it; nothing has been changed then.

        Example:
            >>> import numpy as np
            >>> from lamella import Sequential
            >>> from lamella.layers import Dense, Input
            >>> model = Sequential([Input((1,)), Dense(1, kernel_initializer="zeros")])
            >>> model.compile("sgd", "mse")
            >>> x = np.array([[1.0], [2.0]])
            >>> history = model.fit(x, 2 * x, epochs=2, verbose=0)
            >>> history.history["loss"][0], len(history.history["loss"])
            (10.0, 2)
        """
        from lamella.training import entry

        epochs = training.fit_kwargs(epochs, legacy_kwargs)
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
        """Return the loss and the metrics over examples or batches, in inference mode.

        Args:
            x: inputs, or batches, as for `fit`.
            y: targets; None with batches.
            batch_size: the batch size, 32 by default; None with batches.
            verbose: as for `fit`.
            sample_weight: as for `fit`.
            steps: the number of batches; by default all.
            callbacks: a list of `lamella.callbacks.Callback`s.
            return_dict: whether to return a dict.

        Returns:
            The loss, a float; with metrics a list of the loss and the metrics; with `return_dict` a dict by log key.

        Raises:
            ValueError: the model is not compiled, or the data do not fit it.

        Example:
            >>> import numpy as np
            >>> from lamella import Sequential
            >>> from lamella.layers import Dense, Input
            >>> model = Sequential([Input((1,)), Dense(1, kernel_initializer="ones")])
            >>> model.compile("sgd", "mse", metrics=["mae"])
            >>> model.evaluate(np.array([[1.0], [3.0]]), np.array([[2.0], [2.0]]), verbose=0, return_dict=True)
            {'loss': 1.0, 'mae': 1.0}
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
        """Return the predictions for examples or batches, in inference mode.

        Args:
            x: inputs, or batches of them, as for `fit`; targets and weights in a batch are ignored.
            batch_size: the batch size, 32 by default; None with batches.
            verbose: as for `fit`.
            steps: the number of batches; by default all.
            callbacks: a list of `lamella.callbacks.Callback`s.

        Returns:
            A NumPy array, or arrays in the structure of the outputs.

        Raises:
            ValueError: the data do not fit the model.

        Example:
            >>> import numpy as np
            >>> from lamella import Sequential
            >>> from lamella.layers import Dense, Input
            >>> model = Sequential([Input((2,)), Dense(1, kernel_initializer="ones")])
            >>> model.predict(np.array([[1.0, 2.0]]), verbose=0)
            array([[3.]], dtype=float32)
        """
        try:
            quick = batch_size is None or type(batch_size) is int
            if quick and verbose == 0 and callbacks is None and steps is None:  # neither callbacks nor progress
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
        """Write everything that determines how training continues to one file, atomically.

        That is: weights and layer state (of stateful recurrent layers as well), the optimizer's slots, learning rate
        and step if the model is compiled, the counter that determines the shuffling, and the seed. The file is an
        `.npz` archive that NumPy reads, without pickled objects.

        Args:
            path: path of the file; may be called within a callback.
            extra: data that `load_checkpoint` returns to a custom training loop: text, numbers, None, arrays, and lists
                and dicts of them.

        Raises:
            OSError: the file cannot be written (no space, no permission); an existing file is unchanged then.
            TypeError: `extra` contains anything else.

        Example:
            >>> import os, tempfile
            >>> from lamella import Sequential
            >>> from lamella.layers import Dense, Input
            >>> model = Sequential([Input((2,)), Dense(1)])
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     model.save_checkpoint(os.path.join(folder, "last.npz"), extra={"best": 0.5})
            ...     model.load_checkpoint(os.path.join(folder, "last.npz"))
            {'best': 0.5}
        """
        from lamella.training import checkpoint

        checkpoint.save(self, path, extra)

    def load_checkpoint(self, path: str | os.PathLike[str]) -> Any:
        """Restore the training state from a file that `save_checkpoint` wrote.

        Args:
            path: path of a checkpoint of a model with the same layers and, if it was compiled, the same optimizer.

        Returns:
            The `extra` given to `save_checkpoint`; tuples come back as lists.

        Raises:
            FormatError: the file is damaged, or belongs to another model or optimizer; nothing has been changed then.
            OSError: the file cannot be read.
            ValueError: the model is not built and has no input shape.

        Example:
            >>> import os, tempfile
            >>> from lamella import Sequential
            >>> from lamella.layers import Dense, Input
            >>> model = Sequential([Input((2,)), Dense(1, kernel_initializer="ones")])
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     model.save_checkpoint(os.path.join(folder, "last.npz"))
            ...     model.get_layer("dense").kernel.assign([[5.0], [5.0]])
            ...     model.load_checkpoint(os.path.join(folder, "last.npz"))
            array([[5.],
                   [5.]], dtype=float32)
            >>> model.get_layer("dense").kernel.numpy()
            array([[1.],
                   [1.]], dtype=float32)
        """
        from lamella.training.checkpoint import Checkpoint

        self.require_built()
        found = Checkpoint(self, path)
        found.restore()
        return found.extra

    def predict_on_batch(self, x: Any) -> Any:
        """Return the predictions for one batch, without callbacks or progress.

        Args:
            x: the inputs of the batch, as for `fit`.

        Returns:
            A NumPy array, or arrays in the structure of the outputs.

        Raises:
            ValueError: the batch does not fit the model.

        Example:
            >>> import numpy as np
            >>> from lamella import Sequential
            >>> from lamella.layers import Dense, Input
            >>> model = Sequential([Input((2,)), Dense(1, kernel_initializer="ones")])
            >>> model.predict_on_batch(np.array([[1.0, 2.0]]))
            array([[3.]], dtype=float32)
        """
        try:
            if (call := self.known_call(x)) is not None:
                return call.numpy(x)
            from lamella.training import inference

            return inference.predict_on_batch(self, x)
        except Exception as error:
            shorten(error)
            raise

    def known_call(self, x: Any, kind: tuple[Any, ...] = ("batch",)) -> Call | None:
        """Return the compiled function for arrays like `x`; None if there is none yet, or if arrays must be checked.

        Args:
            x: the inputs.
            kind: `("batch",)` for one batch; `("rows", batch_size)` for examples that `predict` splits into batches.
        """
        if type(x) is not np.ndarray or self.runs_eagerly or settings.checks_nan():
            return None
        return self.functions.get((kind, self.backend_name, x.shape, x.dtype, distribution_in_force()))

    def layer_outputs(self, x: Any) -> dict[str, Any]:
        """Return the output of every layer for one batch, in inference mode.

        Args:
            x: the inputs of the batch, as for `fit`.

        Returns:
            A dict from layer name to array; a layer that is called several times has a list of outputs.

        Raises:
            ValueError: the batch does not fit the model.

        Example:
            >>> import numpy as np
            >>> from lamella import Sequential
            >>> from lamella.layers import Dense, Input, ReLU
            >>> model = Sequential([Input((2,)), Dense(1, kernel_initializer="ones", name="sum"), ReLU(name="relu")])
            >>> model.layer_outputs(np.array([[1.0, -2.0]]))
            {'sum': array([[-1.]], dtype=float32), 'relu': array([[0.]], dtype=float32)}
        """
        from lamella.training import entry

        return entry.layer_outputs(self, x)

    @property
    def stateful_path(self) -> str | None:
        """The path of the first layer that carries its state from batch to batch; None if there is none."""
        if "stateful" not in self.functions:  # cleared when layers are added or removed
            found = (path for path, layer in self.named_layers() if getattr(layer, "stateful", False))
            self.functions["stateful"] = next(found, None)
        return self.functions["stateful"]

    def reset_states(self) -> None:
        """Set the states of every stateful layer to zero.

        Example:
            >>> import numpy as np
            >>> from lamella import Sequential
            >>> from lamella.layers import Input, SimpleRNN
            >>> model = Sequential([Input(batch_shape=(1, 3, 1)), SimpleRNN(1, stateful=True)])
            >>> first = model.predict(np.ones((1, 3, 1)), verbose=0)
            >>> model.reset_states()
            >>> bool((model.predict(np.ones((1, 3, 1)), verbose=0) == first).all())
            True
        """
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
        """Train on one batch.

        If the model treats examples independently, batches are padded to one of four sizes per octave (32, 40, 48, 56,
        64, ...) and the padding is ignored, so that batches of many sizes share a few compiled programs.

        Args:
            x: the inputs of the batch, as for `fit`.
            y: the targets of the batch.
            sample_weight: one weight per example, as for `fit`.
            class_weight: dict from class to weight, as for `fit`.
            return_dict: whether to return a dict.

        Returns:
            The loss of the batch before the step; with metrics a list of the loss and the metrics; with `return_dict` a
            dict.

        Raises:
            ValueError: the model is not compiled, or the batch does not fit it.

        Example:
            >>> import numpy as np
            >>> from lamella import Sequential
            >>> from lamella.layers import Dense, Input
            >>> model = Sequential([Input((1,)), Dense(1, kernel_initializer="zeros")])
            >>> model.compile("sgd", "mse")
            >>> model.train_on_batch(np.array([[1.0]]), np.array([[2.0]]))
            4.0
        """
        from lamella.training import entry

        return entry.on_batch(self, x, y, sample_weight, class_weight, return_dict=return_dict, training=True)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Return the loss and the metrics of one batch, in inference mode.

        Args:
            x: the inputs of the batch, as for `fit`.
            y: the targets of the batch.
            sample_weight: one weight per example, as for `fit`.
            return_dict: whether to return a dict.

        Returns:
            The loss; with metrics a list of the loss and the metrics; with `return_dict` a dict.

        Raises:
            ValueError: the model is not compiled, or the batch does not fit it.

        Example:
            >>> import numpy as np
            >>> from lamella import Sequential
            >>> from lamella.layers import Dense, Input
            >>> model = Sequential([Input((1,)), Dense(1, kernel_initializer="ones")])
            >>> model.compile("sgd", "mse")
            >>> model.test_on_batch(np.array([[1.0]]), np.array([[3.0]]))
            4.0
        """
        from lamella.training import entry

        return entry.on_batch(self, x, y, sample_weight, return_dict=return_dict, training=False)

    def value_and_grad(
        self, x: Any, y: Any = None, training: bool = False, seed: int | None = None, backend: Any = None
    ) -> tuple[Any, dict[str, Any]]:
        """Return the loss of a batch, regularization included, and its gradients with respect to the trainable weights.

        Args:
            x: the inputs of the batch.
            y: the targets of the batch.
            training: whether layers behave as in training.
            seed: the seed of random layers in training; None for the model's.
            backend: the name of the backend that computes; None for the model's.

        Returns:
            `(loss, gradients)`, where `gradients` is a dict from path to array in the order of
            `model.trainable_weights`.

        Raises:
            ValueError: the model is not compiled, or the batch does not fit it.

        Example:
            >>> import numpy as np
            >>> from lamella import Sequential
            >>> from lamella.layers import Dense, Input
            >>> model = Sequential([Input((1,)), Dense(1, kernel_initializer="zeros", use_bias=False)])
            >>> model.compile("sgd", "mse")
            >>> model.value_and_grad(np.array([[3.0]]), np.array([[2.0]]))
            (array(4., dtype=float32), {'dense/kernel': array([[-12.]], dtype=float32)})
        """
        from lamella.training import entry

        return entry.value_and_grad(self, x, y, training=training, seed=seed, backend=backend)
