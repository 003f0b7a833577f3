"""What a model can do once it is built: compile, fit, evaluate, predict, gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import console, ops, random
from lamella.backend import Backend, backend_of, current_backend, load_backend
from lamella.errors import ShapeError
from lamella.ir.builder import Trace, as_value
from lamella.ir.program import Program
from lamella.ir.spec import Rows, Spec, spec_of
from lamella.layers import scope as scoping
from lamella.models import lowering
from lamella.names import deprecated
from lamella.passes import differentiate, mixing_equation
from lamella.training import legacy
from lamella.training.compiled import Compiled
from lamella.training.data import Data, check_targets, prepare, split_validation
from lamella.training.history import CallbackList, History
from lamella.training.loop import Loop

if TYPE_CHECKING:
    from lamella.models.sequential import Sequential

    Self = Sequential
else:
    Self = Any


class Trainable:
    """The training half of a model."""

    def _prepare_training(self) -> None:
        self._compiled: Compiled | None = None
        self._chosen_backend: str | None = None
        self._loops: list[Loop] = []
        self._functions: dict[Any, Any] = {}
        self._draws = 0
        self.stop_training = False
        self.history: History | None = None

    def _forget_programs(self) -> None:
        self._loops.clear()
        self._functions.clear()

    def _backend_name(self) -> str:
        if self._compiled is not None:
            return self._compiled.backend.name
        return self._chosen_backend or current_backend()

    @property
    def has_input_shape(self: Self) -> bool:
        """Whether the input shape is known."""
        return bool(self._specs) or self._input is not None

    # ---- compile ----

    def compile(
        self: Self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        *,
        backend: Any = None,
        **legacy_words: Any,
    ) -> None:
        """Configure training. What is trainable now is what will be trained, whatever is frozen later.

        Args:
            optimizer: a name, one of `lamella.optimizers`, or, on JAX, an optax transformation.
            loss: a name, one of `lamella.losses`, or a function of (y_true, y_pred) written in `lamella.ops`.
            metrics: names, objects or functions; "accuracy" is chosen by the shapes.
            weighted_metrics: the same, weighted by sample and class weights.
            backend: a backend's name; None for the one in force.

        Raises:
            ValueError: a name is unknown (the nearest known one is given), or a backend is not installed.
            TypeError: an unknown argument.
        """
        metrics = legacy.compile_words(metrics, legacy_words)
        self._compiled = Compiled(
            self, optimizer, loss, metrics, backend or self._chosen_backend or current_backend(), weighted_metrics
        )
        self._loops.clear()

    @property
    def optimizer(self) -> Any:
        """The optimizer given to `compile`, or None."""
        return None if self._compiled is None else self._compiled.optimizer

    @property
    def loss(self) -> Any:
        """The loss given to `compile`, or None."""
        return None if self._compiled is None else self._compiled.loss

    @property
    def metrics_names(self) -> list[str]:
        """The keys of the logs: "loss", then the metrics."""
        compiled = self._require_compiled()
        chosen = compiled._metrics[1] if compiled._metrics is not None else []
        return ["loss", *[label for label, _, _ in chosen]]

    def _require_compiled(self) -> Compiled:
        if self._compiled is None:
            raise ValueError(
                "The model is not compiled yet: call `model.compile(optimizer=..., loss=...)` before training it."
            )
        return self._compiled

    def to(self: Self, backend: str) -> Self:
        """Move the model to another backend: its weights, and its training if it is compiled. Returns the model.

        Raises:
            BackendError: the backend is unknown or not installed; the model stays where it was.
        """
        found = load_backend(backend)
        if self._compiled is not None:
            if self._compiled.foreign and not found.supports_optimizer(self._compiled.optimizer):
                raise TypeError(f"the optimizer this model is compiled with does not run on {found.name!r}.")
            self._compiled.backend = found
            for held in self._compiled.slots.values():
                held.update({key: _on_host(array) for key, array in held.items()})
        for variable in self.variables:
            variable._value = variable.numpy()
        self._chosen_backend = found.name
        self._forget_programs()
        return self

    # ---- fit ----

    def fit(
        self: Self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
        **legacy_words: Any,
    ) -> History:
        """Train for `epochs` passes over the rows.

        Args:
            x: inputs, one row an example.
            y: targets, one row an example.
            batch_size: rows a step (32).
            epochs: the number of the last epoch; the first is `initial_epoch`.
            verbose: 0 silent, 1 a progress bar (one line an epoch where there is no terminal), 2 one line an epoch.
            callbacks: `lamella.callbacks.Callback`s.
            validation_split: the last rows of this fraction are not trained on, but evaluated after each epoch.
            validation_data: (x, y) or (x, y, sample_weight) to evaluate after each epoch.
            shuffle: a new order of the rows in each epoch, a function of the model's seed and of the step.
            class_weight: {class: weight} for the loss.
            sample_weight: one weight a row for the loss.
            initial_epoch: the number of the first epoch.
            validation_batch_size: rows a step of the evaluation (by default `batch_size`).
            validation_freq: evaluate after every so many epochs.

        Returns:
            The `History`: for every log key the values, one an epoch.

        After an exception, or Ctrl-C, the model has the weights of its last whole chunk of steps.

        Raises:
            ValueError: the model is not compiled, or the data do not fit it; nothing has been changed then.
        """
        epochs = legacy.fit_words(epochs, legacy_words)
        compiled = self._require_compiled()
        batch = _batch_size(batch_size)
        data = prepare(self, x, y, sample_weight, class_weight)
        validation: Data | None = None
        if validation_data is not None:
            validation = self._validation(validation_data)
        elif validation_split:
            data, validation = split_validation(data, validation_split)
        check_targets(self, compiled, data)
        if validation is not None:
            check_targets(self, compiled, validation)
        level = 1 if verbose == "auto" else int(verbose)
        batch = min(batch, data.rows)
        steps = -(-data.rows // batch)
        self.history = history = History()
        hooks = CallbackList(
            [history, *_listed(callbacks)], self, {"epochs": epochs, "steps": steps, "verbose": level}
        )
        loop = self._loop(data, training=True)
        evaluation = None if validation is None else self._loop(validation, training=False)
        loop.begin(batch)
        placed = loop.place(data)
        if evaluation is not None and validation is not None:
            held = validation
            check_batch = min(validation_batch_size or batch, held.rows)
            evaluation.begin(check_batch)
            placed_validation = evaluation.place(held)
        self.stop_training = False
        try:
            hooks.call("on_train_begin", {})
            with console.Progress(epochs, steps, level) as progress:
                for epoch in range(initial_epoch, epochs):
                    loop.start_epoch()
                    self._hook(loop, hooks, "on_epoch_begin", epoch, {})
                    progress.begin_epoch(epoch)
                    order = self._order(compiled, data.rows, shuffle)
                    self._run_epoch(loop, hooks, placed, order, batch, progress)
                    logs = loop.logs()
                    if evaluation is not None and validation is not None and (epoch + 1) % validation_freq == 0:
                        evaluation.take_weights(loop)
                        hooks.call("on_test_begin", {})
                        found = evaluation.evaluate(placed_validation, validation.rows, check_batch)
                        hooks.call("on_test_end", found)
                        logs |= {f"val_{key}": value for key, value in found.items()}
                    loop.commit()
                    progress.end_epoch(logs)
                    self._hook(loop, hooks, "on_epoch_end", epoch, logs)
                    if self.stop_training:
                        break
            loop.commit()
            hooks.call("on_train_end", {})
        finally:
            loop.commit()
        return history

    def _run_epoch(
        self, loop: Loop, hooks: CallbackList, placed: Any, order: np.ndarray, batch: int, progress: Any
    ) -> None:
        watched = hooks.watches_batches
        steps = -(-len(order) // batch)

        def between(done: int) -> None:
            if watched and done:
                logs = loop.logs()
                self._hook(loop, hooks, "on_train_batch_end", done - 1, logs)
                hooks.call("on_batch_end", done - 1, logs)
            if watched and done < steps:
                self._hook(loop, hooks, "on_train_batch_begin", done, {})
                hooks.call("on_batch_begin", done, {})
            if done:
                progress.update(done, loop.logs)

        loop.run(placed, order, batch, single=watched, between=between)

    def _hook(self, loop: Loop, hooks: CallbackList, name: str, *args: Any) -> None:
        """Call a hook with the model's weights up to date; weights it sets are trained on."""
        if len(hooks.items) > 1:
            loop.commit()
            hooks.call(name, *args)
            loop.adopt()
        else:
            hooks.call(name, *args)

    def _order(self: Self, compiled: Compiled, rows: int, shuffle: bool) -> np.ndarray:
        if not shuffle:
            return np.arange(rows, dtype=np.int32)
        key = random.fold(random.key_from_seed(self.seed), "shuffle")
        compiled.epochs += 1
        return random.permutation(key, rows, step=compiled.epochs)

    def _validation(self: Self, given: Any) -> Data:
        if not isinstance(given, tuple | list) or len(given) not in (2, 3):
            raise ShapeError("validation_data is (x, y) or (x, y, sample_weight).")
        return prepare(self, *given, what="x of validation_data")

    def _loop(self: Self, data: Data, *, training: bool) -> Loop:
        """The programs for data of these shapes, made once."""
        compiled = self._require_compiled()
        for loop in self._loops:
            if loop.training == training and loop.fits(data):
                return loop
        loop = Loop(self, compiled, data, training=training)
        self._loops.append(loop)
        return loop

    # ---- evaluate, predict ----

    def evaluate(
        self: Self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Loss and metrics over the rows, in inference mode.

        Returns:
            The loss, a float; with metrics a list of the loss and them; with `return_dict` a dict.

        Raises:
            ValueError: the model is not compiled, or the data do not fit it.
        """
        compiled = self._require_compiled()
        data = prepare(self, x, y, sample_weight)
        check_targets(self, compiled, data)
        hooks = CallbackList(callbacks, self, {"verbose": verbose})
        hooks.call("on_test_begin", {})
        batch = min(_batch_size(batch_size), data.rows)
        loop = self._loop(data, training=False)
        loop.begin(batch)
        level = 1 if verbose == "auto" else int(verbose)
        with console.Progress(0, -(-data.rows // batch), level) as progress:
            progress.begin_epoch(0)
            logs = loop.evaluate(loop.place(data), data.rows, batch)
            progress.end_epoch(logs)
        hooks.call("on_test_end", logs)
        return _results(logs, loop, return_dict)

    def predict(
        self: Self, x: Any, batch_size: int | None = None, verbose: int | str = "auto", callbacks: Any = None
    ) -> np.ndarray:
        """The predictions for the rows, in inference mode, as one NumPy array.

        Raises:
            ValueError: the rows do not fit the model.
        """
        data = prepare(self, x)
        hooks = CallbackList(callbacks, self, {"verbose": verbose})
        hooks.call("on_predict_begin", {})
        backend = load_backend(self._backend_name())
        batch = min(_batch_size(batch_size), data.rows)
        parts = []
        for at in range(0, data.rows, batch):
            part = data.x[at : at + batch]
            count = len(part)
            if count < batch and self._keeps_rows_apart(data.x):
                part = np.concatenate([part, np.repeat(part[:1], batch - count, 0)])
            parts.append(self._predict_batch(backend, part)[:count])
        hooks.call("on_predict_end", {})
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _keeps_rows_apart(self: Self, x: np.ndarray) -> bool:
        cached = ("rows", x.shape[1:], x.dtype.name)
        if cached not in self._functions:
            spec = Spec((Rows(4), *x.shape[1:]), x.dtype.name)
            program = lowering.trace_forward(self, spec, training=False, keyed=False).program
            self._functions[cached] = mixing_equation(program) is None
        return self._functions[cached]

    def _predict_batch(self: Self, backend: Backend, x: np.ndarray) -> np.ndarray:
        forward, run = self._function(backend, Spec((Rows(len(x)), *x.shape[1:]), x.dtype.name), training=False)
        with backend.scope(forward.program):
            values = self._values_on(backend)
            return backend.numpy(run(*values, backend.asarray(x, x.dtype.name))[0])

    def _values_on(self: Self, backend: Backend) -> list[Any]:
        """The values of the model's variables as arrays of `backend`, moved there once."""
        values = []
        for _, variable in self.named_weights():
            value = variable._value
            placed = backend.asarray(value if backend.owns(value) else _on_host(value), variable.dtype)
            if placed is not value:
                variable._value = placed
            values.append(placed)
        return values

    def _function(self: Self, backend: Backend, x: Spec, *, training: bool) -> tuple[lowering.Forward, Any]:
        cached = (backend.name, x, training)
        if cached not in self._functions:
            forward = lowering.trace_forward(self, x, training=training, keyed=training)
            with backend.scope(forward.program):
                self._functions[cached] = (forward, backend.compile(forward.program))
        return self._functions[cached]

    def predict_on_batch(self: Self, x: Any) -> np.ndarray:
        """The predictions for one batch, without any machinery around it."""
        return self._predict_batch(load_backend(self._backend_name()), prepare(self, x).x)

    def predict_classes(self, x: Any, batch_size: int | None = None, verbose: int | str = 0) -> np.ndarray:
        """The most probable class of each row (Keras 1's name for the argmax of `predict`)."""
        deprecated("predict_classes", "predict(x).argmax(-1)")
        y = self.predict(x, batch_size, verbose)
        return y.argmax(-1) if y.shape[-1] > 1 else (y > 0.5).astype(np.int32)

    def predict_proba(self, x: Any, batch_size: int | None = None, verbose: int | str = 0) -> np.ndarray:
        """The predictions (Keras 1's name for `predict`)."""
        deprecated("predict_proba", "predict")
        return self.predict(x, batch_size, verbose)

    def _call_on_arrays(self: Self, inputs: Any, training: bool) -> Any:
        """`model(x)`: the predictions as an array of the backend that owns x, else of the model's."""
        owner = backend_of(inputs)
        if owner is None:
            inputs = prepare(self, inputs).x
        elif not self.built:
            self.build((None, *inputs.shape[1:]))
        backend = owner or load_backend(self._backend_name())
        spec = self.check_batch(spec_of(inputs))
        forward, run = self._function(backend, spec, training=training)
        with backend.scope(forward.program):
            values = self._values_on(backend)
            key = []
            if training:
                self._draws += 1
                key = [random.fold(random.key_from_seed(self.seed), f"call {self._draws}")]
            results = run(*values, backend.asarray(inputs, spec.dtype), *key)
        named = self.named_weights()
        for index, value in zip(forward.assigned, results[1:], strict=False):
            named[index][1]._value = value
        return results[0]

    # ---- one batch ----

    def train_on_batch(
        self: Self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One step on one batch; returns its loss (and metrics) before the step."""
        data = prepare(self, x, y, sample_weight, class_weight)
        return self._on_batch(data, return_dict, training=True)

    def test_on_batch(self: Self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Loss and metrics of one batch, in inference mode."""
        return self._on_batch(prepare(self, x, y, sample_weight), return_dict, training=False)

    def _on_batch(self: Self, data: Data, return_dict: bool, *, training: bool) -> Any:
        check_targets(self, self._require_compiled(), data)
        loop = self._loop(data, training=training)
        loop.begin(data.rows)
        order = np.arange(data.rows, dtype=np.int32)
        loop.run(loop.place(data), order, data.rows, single=True)
        loop.commit()
        return _results(loop.logs(), loop, return_dict)

    # ---- gradients, layers ----

    def value_and_grad(
        self: Self, x: Any, y: Any = None, training: bool = False, seed: int | None = None, backend: Any = None
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
        compiled = self._require_compiled()
        data = prepare(self, x, y)
        check_targets(self, compiled, data)
        found = load_backend(backend or self._backend_name())
        named = self.named_weights()
        trained = {id(v) for v in compiled.trained(self)}
        wrt = [i for i, (_, v) in enumerate(named) if id(v) in trained]
        program = self._loss_program(compiled, data, training)
        cached = ("gradients", found.name, program_key(data), training, tuple(wrt))
        if cached not in self._functions:
            differentiated = differentiate(program, wrt)
            with found.scope(differentiated):
                self._functions[cached] = found.compile(differentiated)
        key = random.key_from_seed(self.seed if seed is None else seed)
        with found.scope(program):
            operands = [*self._values_on(found), *[found.asarray(a, a.dtype.name) for a in data.arrays]]
            loss, *gradients = self._functions[cached](*operands, *([found.asarray(key, "uint32")] if training else []))
        return loss, {named[i][0]: g for i, g in zip(wrt, gradients, strict=True)}

    def _loss_program(self: Self, compiled: Compiled, data: Data, training: bool) -> Program:
        named = self.named_weights()
        with Trace() as trace:
            inputs = [trace.input(v.spec) for _, v in named]
            batch = [trace.input(Spec((Rows(data.rows), *a.shape[1:]), a.dtype.name)) for a in data.arrays]
            key = trace.input(lowering.KEY) if training else None
            scope = scoping.Scope(
                dict(zip([v for _, v in named], inputs, strict=True)),
                training=training,
                key=key,
                step=as_value(np.uint32(0)),
                frozen=compiled.frozen,
            )
            y, mask = lowering.call_model(self, scope, batch[0])
            loss: Any = None
            if compiled.loss is not None and data.y is not None:
                loss = compiled.loss(batch[1], y, mask=mask)
            for penalty in lowering.penalties_of(self, scope):
                loss = penalty if loss is None else ops.add(loss, ops.cast(penalty, loss.dtype))
            if loss is None:
                raise ValueError("there is no loss: give `compile` one, or layers a regularizer.")
            return trace.program([loss], [name for name, _ in named])

    def layer_outputs(self: Self, x: Any) -> dict[str, np.ndarray]:
        """The output of every layer for a batch, in inference mode: {layer name: array}."""
        data = prepare(self, x)
        backend = load_backend(self._backend_name())
        named = self.named_weights()
        with Trace() as trace:
            inputs = [trace.input(v.spec) for _, v in named]
            batch = trace.input(Spec((Rows(data.rows), *data.x.shape[1:]), data.x.dtype.name))
            scope = scoping.Scope(dict(zip([v for _, v in named], inputs, strict=True)))
            scope.layers.append(self)
            with scoping.entered(scope):
                value, outputs = ops.cast(batch, self.input_dtype), []
                for layer in self.layers:
                    value = layer(value)
                    outputs.append(value)
            program = trace.program([as_value(v) for v in outputs])
        with backend.scope(program):
            results = backend.compile(program)(*self._values_on(backend), backend.asarray(data.x, data.x.dtype.name))
        return {name: backend.numpy(y) for name, y in zip(self.children, results, strict=True)}


def program_key(data: Data) -> tuple[Any, ...]:
    """What tells the programs for two batches apart."""
    return tuple((a.shape, a.dtype.name) for a in data.arrays)


def _on_host(value: Any) -> Any:
    from lamella.backend import to_numpy

    return to_numpy(value)


def _listed(items: Any) -> list[Any]:
    return [] if items is None else list(items) if isinstance(items, Sequence) else [items]


def _batch_size(batch_size: int | None) -> int:
    if batch_size is None:
        return 32
    if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise ValueError(f"batch_size is a positive integer, got {batch_size!r}.")
    return int(batch_size)


def _results(logs: dict[str, float], loop: Loop, return_dict: bool) -> Any:
    if return_dict:
        return logs
    labels = [label for label, _, _ in loop.layout.metric_rules]
    return [logs["loss"], *[logs[label] for label in labels]] if labels else logs["loss"]
