"""Keras 2's module `keras.wrappers.scikit_learn`: estimators that return what its scripts expect."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamella.absent import refusing
from lamella.wrappers import estimators


class _Keras2:
    """Additions of Keras 2's estimators: `fit` returned a history, and `model` was the trained model."""

    @property
    def history(self) -> dict[str, list[float]]:
        """Dict from log key to a list with one value per epoch, for `fit(...).history`."""
        return self.history_  # type: ignore[attr-defined]

    @property
    def epoch(self) -> list[int]:
        """The numbers of the epochs."""
        return list(range(len(self.history_["loss"])))  # type: ignore[attr-defined]

    @property
    def model(self) -> Any:
        """The trained model; before `fit` the argument `model`."""
        return vars(self).get("model_", vars(self)["model"])

    @model.setter
    def model(self, given: Any) -> None:
        vars(self)["model"] = given


class KerasClassifier(_Keras2, estimators.KerasClassifier):
    """Keras 2's classifier, which also predicts class indices for one-hot targets.

    Args:
        build_fn: a function that returns a compiled model; it is passed those of the parameters that it names.
        **sk_params: the arguments of `lamella.wrappers.KerasClassifier`.

    Attributes:
        model: the trained model.
        history: dict from log key to a list with one value per epoch.
        classes_: the sorted labels; for one-hot targets the indices of the columns.

    Example:
        >>> from lamella import Sequential
        >>> from lamella.layers import Dense, Input
        >>> from lamella.wrappers.scikit_learn import KerasClassifier
        >>> def classifier(optimizer="rmsprop"):
        ...     model = Sequential([Input((3,)), Dense(3, activation="softmax")])
        ...     model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
        ...     return model
        >>> estimator = KerasClassifier(build_fn=classifier, optimizer="adam", epochs=2, verbose=0)
        >>> estimator.fit(np.eye(3), np.eye(3)).predict(np.eye(3)).shape
        (3,)
    """

    def predict(self, X: Any, **kwargs: Any) -> np.ndarray:  # noqa: N803 - scikit-learn's name
        """Return the predicted labels; for one-hot targets the indices of their columns.

        Args:
            X: the inputs.
            **kwargs: arguments of `model.predict`.
        """
        found = super().predict(X, **kwargs)
        return found.argmax(-1) if self.target_encoder_.target_type_ == "multiclass-onehot" else found

    @staticmethod
    def scorer(y_true: Any, y_pred: Any, **kwargs: Any) -> float:
        """Return the accuracy of predictions.

        Args:
            y_true: the labels, or one-hot targets.
            y_pred: the predictions.
            **kwargs: arguments of `sklearn.metrics.accuracy_score`.
        """
        y_true = np.asarray(y_true)
        if y_true.ndim == 2 and np.ndim(y_pred) == 1:
            y_true = y_true.argmax(-1) if y_true.shape[1] > 1 else y_true[:, 0]
        return estimators.KerasClassifier.scorer(y_true, y_pred, **kwargs)


class KerasRegressor(_Keras2, estimators.KerasRegressor):
    """Keras 2's regressor, whose score is the negative loss, so that higher is better.

    Args:
        build_fn: a function that returns a compiled model; it is passed those of the parameters that it names.
        **sk_params: the arguments of `lamella.wrappers.KerasRegressor`.

    Attributes:
        model: the trained model.
        history: dict from log key to a list with one value per epoch.

    Example:
        >>> from lamella import Sequential
        >>> from lamella.layers import Dense, Input
        >>> from lamella.wrappers.scikit_learn import KerasRegressor
        >>> def regressor():
        ...     model = Sequential([Input((3,)), Dense(1)])
        ...     model.compile("sgd", "mse")
        ...     return model
        >>> estimator = KerasRegressor(build_fn=regressor, epochs=2, verbose=0)
        >>> estimator.fit(np.eye(3), [1.0, 2.0, 3.0]).score(np.eye(3), [1.0, 2.0, 3.0]) < 0
        True
    """

    def score(self, X: Any, y: Any, sample_weight: Any = None, **kwargs: Any) -> float:  # noqa: N803
        """Return the negative loss.

        Args:
            X: the inputs.
            y: the targets.
            sample_weight: one weight per example.
            **kwargs: arguments of `model.evaluate`.

        Raises:
            ArgumentError: X and y do not match.
        """
        X, y = self._validated(X, y, reset=False)  # noqa: N806
        options = self._counted({"batch_size": self.batch_size, "verbose": 0, **kwargs, "return_dict": True}, X)
        weights = self._weights(y, sample_weight)
        y = self.target_encoder_.transform(y)
        return -float(self.model_.evaluate(self._inputs(X), y, sample_weight=weights, **options)["loss"])


__getattr__ = refusing(__name__)
