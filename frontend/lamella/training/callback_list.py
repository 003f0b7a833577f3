"""Several callbacks as one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lamella.training.history import HOOKS, Callback, History
from lamella.training.progress import ProgbarLogger


class CallbackList(Callback):
    """Several callbacks as one, for `fit` and for custom training loops.

    Args:
        callbacks: a callback, or (nested) lists of them.
        add_history: whether to append a `History` if there is none.
        add_progbar: whether to append a `ProgbarLogger` if there is none.
        model: the model that the callbacks get.
        drawn: whether the caller shows the progress, so that a `ProgbarLogger` is left out.
        **params: the parameters of the run that the callbacks get.

    Raises:
        TypeError: an item is not a `Callback`.

    Example:
        >>> from lamella.callbacks import CallbackList, LambdaCallback
        >>> told = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs))
        >>> callbacks = CallbackList([told], add_history=True, epochs=1)
        >>> callbacks.on_train_begin()
        >>> callbacks.on_epoch_end(0, {"loss": 0.5})
        0 {'loss': 0.5}
        >>> callbacks.history.history
        {'loss': [0.5]}
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        drawn: bool = False,
        **params: Any,
    ) -> None:
        super().__init__()
        self.callbacks = [item for item in _flat(callbacks) if not (drawn and getattr(item, "draws_progress", False))]
        held = [item for item in self.callbacks if isinstance(item, History)]
        if not held and add_history:
            held = [History()]
            self.callbacks += held
        self.history: History | None = held[-1] if held else None
        if add_progbar and not any(isinstance(item, ProgbarLogger) for item in self.callbacks):
            self.callbacks.append(ProgbarLogger())
        if model is not None:
            self.set_model(model)
        if params:
            self.set_params(params)

    def append(self, callback: Callback) -> None:
        """Append a callback, which gets the model and the parameters of the list."""
        found = list(_flat(callback))
        self.callbacks += found
        for item in found:
            if self.model is not None:
                item.set_model(self.model)
            item.set_params(self.params)

    def set_model(self, model: Any) -> None:
        """Set the model of every callback, and the history of the model."""
        super().set_model(model)
        if self.history is not None:
            model.history = self.history
        for item in self.callbacks:
            item.set_model(model)

    def set_params(self, params: dict[str, Any]) -> None:
        """Set the parameters of the run for every callback."""
        super().set_params(params)
        for item in self.callbacks:
            item.set_params(params)

    def watches(self, hook: str) -> bool:
        """Whether the hook has an effect in any callback."""
        return any(item.watches(hook) for item in self.callbacks)

    @property
    def watches_batches(self) -> bool:
        """Whether any callback has a hook around training steps."""
        return any(map(self.watches, ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")))

    @property
    def undoes_steps(self) -> bool:
        """Whether any callback may restore the state before a step, which is then kept."""
        return any(getattr(item, "undoes_steps", False) for item in self.callbacks)

    @property
    def only_records(self) -> bool:
        """Whether the history is the only callback, so that no hook reads the model."""
        return all(type(item) is History for item in self.callbacks)

    def around_steps(
        self, kind: str, call: Callable[..., None], logs: Callable[[], Any]
    ) -> tuple[Callable[[int], None], Callable[[int], None]] | None:
        """The functions to call before and after each step, with the number of steps done; None without batch hooks.

        Args:
            kind: "test" or "predict".
            call: calls a hook of every callback.
            logs: returns the logs for `..._batch_end`.
        """
        begin, end = f"on_{kind}_batch_begin", f"on_{kind}_batch_end"
        if not self.watches(begin) and not self.watches(end):
            return None
        return lambda done: call(begin, done, {}), lambda done: call(end, done - 1, logs())

    def call(self, hook: str, *args: Any) -> None:
        """Call `hook` of every callback, in order; batch hooks get their logs by keyword, as in Keras."""
        if "batch" in hook:
            for item in self.callbacks:
                getattr(item, hook)(args[0], logs=args[1])
        else:
            for item in self.callbacks:
                getattr(item, hook)(*args)


def _for_all(hook: str) -> Callable[..., None]:
    """The hook of a list, which calls that of every callback."""
    if hook.startswith("on_epoch") or "batch" in hook:
        return lambda self, index, logs=None: self.call(hook, index, {} if logs is None else logs)
    return lambda self, logs=None: self.call(hook, {} if logs is None else logs)


for _hook in HOOKS:
    setattr(CallbackList, _hook, _for_all(_hook))


def _flat(callbacks: Any) -> list[Callback]:
    if callbacks is None:
        return []
    if isinstance(callbacks, list | tuple):
        return [item for part in callbacks for item in _flat(part)]
    if isinstance(callbacks, CallbackList):
        return callbacks.callbacks
    if not isinstance(callbacks, Callback):
        raise TypeError(f"callbacks must be instances of lamella.callbacks.Callback, got {callbacks!r}.")
    return [callbacks]
