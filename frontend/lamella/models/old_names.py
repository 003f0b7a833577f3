"""Methods of earlier Keras releases, which emit a `DeprecationWarning` and call their replacements."""

from __future__ import annotations

import copy
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lamella import tree
from lamella.names import deprecated
from lamella.tracebacks import filter_methods

_ROWS = "rows"
_WORKERS = {"nb_worker": "workers", "max_q_size": "max_queue_size", "pickle_safe": "use_multiprocessing"}


class OldNames:
    """`fit_generator` and its relatives, `predict_classes`, `predict_proba`."""

    fit: Callable[..., Any]
    evaluate: Callable[..., Any]
    predict: Callable[..., Any]

    def fit_generator(
        self,
        generator: Any,
        steps_per_epoch: int | None = None,
        epochs: int = 1,
        verbose: Any = 1,
        callbacks: Any = None,
        validation_data: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Call `fit(generator, ...)`.

        Accepts the arguments of Keras 1 as well: `samples_per_epoch` and `nb_val_samples` count examples, and are
        divided by the size of the first batch; `nb_epoch`; `max_q_size`, `nb_worker` and `pickle_safe` are those of a
        `PyDataset`. A generator is read ahead by one thread, up to `max_q_size` batches (not with `workers=0`).

        Args:
            generator: batches, as for `fit`.
            steps_per_epoch: batches per epoch.
            epochs: the number of the last epoch.
            verbose: as for `fit`.
            callbacks: as for `fit`.
            validation_data: as for `fit`.
            **kwargs: further arguments of `fit`, or of `fit_generator` in Keras 1.

        Returns:
            The `History`.

        Raises:
            TypeError: an argument is unknown.
        """
        deprecated("fit_generator", "fit")
        epochs = kwargs.pop("nb_epoch", epochs)
        if kwargs.get("nb_val_samples") is not None:
            validation_data, found = _opened(validation_data, {_ROWS: kwargs.pop("nb_val_samples"), "workers": 0})
            kwargs["validation_steps"] = found["steps"]
        kwargs[_ROWS] = kwargs.pop("samples_per_epoch", None)
        batches, kwargs = _opened(generator, kwargs)
        kwargs["steps_per_epoch"] = kwargs.pop("steps") or steps_per_epoch
        return self.fit(
            batches, epochs=epochs, verbose=verbose, callbacks=callbacks, validation_data=validation_data, **kwargs
        )

    def evaluate_generator(self, generator: Any, steps: int | None = None, **kwargs: Any) -> Any:
        """Call `evaluate(generator, ...)`.

        Args:
            generator: batches, as for `evaluate`.
            steps: the number of batches.
            **kwargs: further arguments, as for `fit_generator`, and `val_samples`.
        """
        deprecated("evaluate_generator", "evaluate")
        kwargs[_ROWS] = kwargs.pop("val_samples", None)
        batches, kwargs = _opened(generator, kwargs)
        return self.evaluate(batches, **{"verbose": 0, **kwargs, "steps": kwargs["steps"] or steps})

    def predict_generator(self, generator: Any, steps: int | None = None, **kwargs: Any) -> np.ndarray:
        """Call `predict(generator, ...)`.

        Args:
            generator: batches, as for `predict`.
            steps: the number of batches.
            **kwargs: further arguments, as for `fit_generator`, and `val_samples`.
        """
        deprecated("predict_generator", "predict")
        kwargs[_ROWS] = kwargs.pop("val_samples", None)
        batches, kwargs = _opened(generator, kwargs)
        return self.predict(batches, **{"verbose": 0, **kwargs, "steps": kwargs["steps"] or steps})

    def predict_classes(self, x: Any, batch_size: int | None = None, verbose: int | str = 0) -> np.ndarray:
        """Return the most probable class of each example.

        Args:
            x: inputs, as for `predict`.
            batch_size: the batch size, 32 by default.
            verbose: as for `predict`.
        """
        deprecated("predict_classes", "predict(x).argmax(-1)")
        y = self.predict(x, batch_size, verbose)
        return y.argmax(-1) if y.shape[-1] > 1 else (y > 0.5).astype(np.int32)

    def predict_proba(self, x: Any, batch_size: int | None = None, verbose: int | str = 0) -> np.ndarray:
        """Return the predictions.

        Args:
            x: inputs, as for `predict`.
            batch_size: the batch size, 32 by default.
            verbose: as for `predict`.
        """
        deprecated("predict_proba", "predict")
        return self.predict(x, batch_size, verbose)


filter_methods(OldNames)


def _opened(given: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """What to iterate over, and the remaining arguments; with `steps` if a number of examples was given."""
    from lamella.training.arrays import as_array, as_tree
    from lamella.training.batches import ahead
    from lamella.training.pydataset import PyDataset

    kwargs = {_WORKERS.get(name, name): value for name, value in kwargs.items()}
    workers, queued = kwargs.pop("workers", 1), kwargs.pop("max_queue_size", 10)
    processes = kwargs.pop("use_multiprocessing", False)
    rows, steps = kwargs.pop(_ROWS, None), None
    if rows is not None:
        first, given = _peeked(given)
        x = first[0] if isinstance(first, tuple | list) else first
        steps = -(-int(rows) // len(next(tree.leaves(as_tree(x, "x", as_array)))))
    if isinstance(given, PyDataset):
        given = copy.copy(given)
        given.workers, given.use_multiprocessing, given.max_queue_size = workers, processes, queued
    elif workers and isinstance(given, types.GeneratorType):
        given = ahead(given, queued)
    return given, {**kwargs, "steps": steps}


def _peeked(given: Any) -> tuple[Any, Any]:
    """The first batch, and an iterable that still starts with it."""
    if not isinstance(given, types.GeneratorType):
        return next(iter(given)), given
    first = next(given)

    def again() -> Iterator[Any]:
        yield first
        yield from given

    return first, again()
