"""Keras 3's scikit-learn estimators, for a compiled model or a function that returns one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from lamella.errors import ArgumentError
from lamella.models import Model
from lamella.saving import copies
from lamella.wrappers.backends import KeepsBackend
from lamella.wrappers.targets import RegressorTargets, by_number, check_two_classes, check_weighted_classes


class SKLBase(KeepsBackend, BaseEstimator):
    """The base class of the three estimators.

    Args:
        model: a compiled model, or a function of X, y and `model_kwargs` that returns one. A copy of a model, with
            newly drawn weights, is trained, unless `warm_start` is set.
        warm_start: whether `fit` continues with the model of the previous `fit`, and with `model` itself the first
            time.
        model_kwargs: further arguments of the function.
        fit_kwargs: arguments of `model.fit`; those of the estimator's `fit` take precedence.

    Attributes:
        model_: the trained model.
        history_: the `History` of its training.
        n_features_in_: the number of features.
    """

    _multi_output = True

    def __init__(
        self,
        model: Model | Callable[..., Model],
        warm_start: bool = False,
        model_kwargs: Mapping[str, Any] | None = None,
        fit_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.warm_start = warm_start
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = True
        tags.target_tags.multi_output = self._multi_output
        tags.input_tags.three_d_array = True
        return tags

    @property
    def epoch_(self) -> int:
        """The number of epochs of the last `fit`; 0 before it."""
        return len(self.history_.epoch) if hasattr(self, "history_") else 0

    def set_fit_request(self, **requests: bool | str | None) -> Any:
        """Ask that a pipeline or a search hands these arguments on to `fit`.

        Args:
            **requests: for the name of each argument True, False, None (an error where it is given) or another name that it
                has there. See scikit-learn's metadata routing, which `sklearn.set_config` must have enabled.

        Raises:
            RuntimeError: metadata routing is not enabled.
        """
        import sklearn

        if not sklearn.get_config()["enable_metadata_routing"]:
            raise RuntimeError(
                "set_fit_request is for metadata routing: enable it with "
                "sklearn.set_config(enable_metadata_routing=True)."
            )
        self._metadata_request = self._get_metadata_request()
        for name, alias in requests.items():
            self._metadata_request.fit.add_request(param=name, alias=alias)
        return self

    def fit(self, X: Any, y: Any, **kwargs: Any) -> Self:  # noqa: N803 - scikit-learn's name
        """Train a model on the rows of X.

        Args:
            X: the inputs, `(rows, features)` or of more dimensions.
            y: the targets: `(rows,)`, or for regressors and transformers also `(rows, outputs)`.
            **kwargs: arguments of `model.fit`.

        Raises:
            ArgumentError: the model has not been compiled with a loss and an optimizer.
            ValueError: the data are not what is said above.
        """
        X, y = self._validated(X, y)  # noqa: N806
        y = self._encode(y)
        model = self._model_for(X, y)
        if not model.compiled or model.loss is None:
            raise ArgumentError(
                f"{type(self).__name__} needs a compiled model with a loss and an optimizer: call model.compile(...)."
            )
        options = {**(self.fit_kwargs or {}), **kwargs}
        classes = getattr(self, "classes_", None)
        if options.get("class_weight") is not None and classes is not None:
            options["class_weight"] = by_number(options["class_weight"], classes)
        self.history_ = model.fit(X, y, **options)
        self.model_ = model
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """The predictions for the rows of X, in the form of the targets.

        Raises:
            sklearn.exceptions.NotFittedError: `fit` has not been called.
        """
        return self._decode(self._raw(X))

    def _validated(self, X: Any, y: Any) -> Any:  # noqa: N803
        return validate_data(self, X, y, allow_nd=True, multi_output=self._multi_output, y_numeric=self._multi_output)

    def _model_for(self, X: np.ndarray, y: np.ndarray) -> Model:  # noqa: N803
        if self.warm_start and hasattr(self, "model_"):
            return self.model_
        if isinstance(self.model, Model):
            return self.model if self.warm_start else copies.started_again(self.model)
        with self._on_its_backend():
            return self.model(X=X, y=y, **(self.model_kwargs or {}))

    def _raw(self, X: Any) -> np.ndarray:  # noqa: N803
        check_is_fitted(self)
        return self.model_.predict(validate_data(self, X, reset=False, allow_nd=True), verbose=0)

    def _encode(self, y: np.ndarray) -> np.ndarray:
        self._target_encoder = RegressorTargets().fit(y)
        return y.reshape(-1, 1) if y.ndim == 1 else y

    def _decode(self, predictions: np.ndarray) -> np.ndarray:
        return self._target_encoder.inverse_transform(predictions)


class SKLearnClassifier(ClassifierMixin, SKLBase):
    """A classifier for labels of any kind, which are one-hot for the model, with one output per class.

    Args:
        model: a compiled model, or a function of X, y (one-hot) and `model_kwargs` that returns one. A copy of a model,
            with newly drawn weights, is trained, unless `warm_start` is set.
        warm_start: whether `fit` continues with the model of the previous `fit`, and with `model` itself the first
            time.
        model_kwargs: further arguments of the function.
        fit_kwargs: arguments of `model.fit`; those of the estimator's `fit` take precedence.

    Attributes:
        model_: the trained model.
        history_: the `History` of its training.
        classes_: the sorted labels.
        n_features_in_: the number of features.

    Raises:
        ValueError: in `fit`: y does not have one label per example, or has only one class.

    Example:
        >>> import numpy as np
        >>> from lamella import Sequential
        >>> from lamella.layers import Dense, Input
        >>> from lamella.wrappers import SKLearnClassifier
        >>> def classifier(X, y, units=4):
        ...     last = Dense(y.shape[1], activation="softmax")
        ...     model = Sequential([Input(X.shape[1:]), Dense(units, activation="relu"), last])
        ...     model.compile("adam", "categorical_crossentropy")
        ...     return model
        >>> estimator = SKLearnClassifier(classifier, model_kwargs={"units": 8}, fit_kwargs={"verbose": 0})
        >>> X, y = np.eye(4), np.array(["cat", "dog", "cat", "dog"])
        >>> estimator.fit(X, y, epochs=2).classes_.tolist()
        ['cat', 'dog']
        >>> estimator.predict(X).shape
        (4,)
    """

    _multi_output = False

    def fit(self, X: Any, y: Any, **kwargs: Any) -> Self:  # noqa: N803
        """Train a model.

        Args:
            X: the inputs, of shape `(examples, features)` or of more dimensions.
            y: the labels, of shape `(examples,)`.
            **kwargs: arguments of `model.fit`.

        Returns:
            The estimator.

        Raises:
            ValueError: y does not have one label per example, or only examples of one class have a weight.
        """
        if kwargs.get("sample_weight") is not None:
            check_weighted_classes(np.asarray(y), np.asarray(kwargs["sample_weight"]))
        return super().fit(X, y, **kwargs)

    def decision_function(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return the outputs of the model; for two classes, the second minus the first.

        Args:
            X: the inputs.
        """
        raw = self._raw(X)
        return raw[:, 1] - raw[:, 0] if len(self.classes_) == 2 else raw

    def _encode(self, y: np.ndarray) -> np.ndarray:
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        check_two_classes(self.classes_)
        return np.eye(len(self.classes_), dtype=np.float32)[numbers]

    def _decode(self, predictions: np.ndarray) -> np.ndarray:
        return self.classes_[predictions.argmax(-1)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags


class SKLearnRegressor(RegressorMixin, SKLBase):
    """A regressor; targets of shape `(examples,)` are one column for the model, and its predictions have their shape.

    Args:
        model: a compiled model, or a function of X, y `(examples, outputs)` and `model_kwargs` that returns one. A copy
            of a model, with newly drawn weights, is trained, unless `warm_start` is set.
        warm_start: whether `fit` continues with the model of the previous `fit`, and with `model` itself the first
            time.
        model_kwargs: further arguments of the function.
        fit_kwargs: arguments of `model.fit`; those of the estimator's `fit` take precedence.

    Attributes:
        model_: the trained model.
        history_: the `History` of its training.
        n_features_in_: the number of features.

    Example:
        >>> import numpy as np
        >>> from lamella import Sequential
        >>> from lamella.layers import Dense, Input
        >>> from lamella.wrappers import SKLearnRegressor
        >>> model = Sequential([Input((3,)), Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> estimator = SKLearnRegressor(model, fit_kwargs={"verbose": 0, "epochs": 2})
        >>> estimator.fit(np.eye(3), [1.0, 2.0, 3.0]).predict(np.eye(3)).shape
        (3,)
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags


class SKLearnTransformer(TransformerMixin, SKLBase):
    """A model as a step of a pipeline: it is trained on X and y, and `transform` returns its outputs.

    Args:
        model: a compiled model, or a function of X, y `(examples, outputs)` and `model_kwargs` that returns one. A copy
            of a model, with newly drawn weights, is trained, unless `warm_start` is set.
        warm_start: whether `fit` continues with the model of the previous `fit`, and with `model` itself the first
            time.
        model_kwargs: further arguments of the function.
        fit_kwargs: arguments of `model.fit`; those of the estimator's `fit` take precedence.

    Attributes:
        model_: the trained model.
        history_: the `History` of its training.
        n_features_in_: the number of features.

    Example:
        >>> import numpy as np
        >>> from lamella import Sequential
        >>> from lamella.layers import Dense, Input
        >>> from lamella.wrappers import SKLearnTransformer
        >>> model = Sequential([Input((3,)), Dense(2)])
        >>> model.compile("sgd", "mse")
        >>> estimator = SKLearnTransformer(model, fit_kwargs={"verbose": 0})
        >>> estimator.fit(np.eye(3), np.zeros((3, 2))).transform(np.eye(3)).shape
        (3, 2)
    """

    def transform(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return the outputs of the model.

        Args:
            X: the inputs.

        Raises:
            sklearn.exceptions.NotFittedError: `fit` has not been called.
        """
        return self._raw(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags
