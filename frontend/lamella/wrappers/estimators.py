"""scikit-learn estimators with the interface of scikeras and of Keras 2."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted, validate_data

from lamella import host_random, losses
from lamella.errors import ArgumentError, did_you_mean
from lamella.models import Model
from lamella.training.data import class_weights
from lamella.training.history import Record
from lamella.wrappers import routing
from lamella.wrappers.backends import KeepsBackend
from lamella.wrappers.targets import ClassTargets, RegressorTargets, by_number, check_weighted_classes

_FIT = frozenset(inspect.signature(Model.fit).parameters) - {"self", "x", "y", "legacy_kwargs"} | {"nb_epoch"}
_PREDICT = ("batch_size", "verbose", "steps")
_COMPILE = ("optimizer", "loss", "metrics", "run_eagerly")
_IN_FIT = ("batch_size", "validation_batch_size", "verbose", "validation_split", "shuffle", "epochs")


class BaseWrapper(KeepsBackend, BaseEstimator):
    """A model as a scikit-learn estimator: the base class of `KerasClassifier` and `KerasRegressor`.

    Args:
        model: a function that returns a model, compiled or not, or a model, a copy of which is trained with its
            weights. None for the method `_keras_build_fn`, or `__call__`, of a subclass. The function is passed those
            of `**kwargs` that it names, those that start with `model__`, and, if it names them, `meta` (a dict of what
            `fit` determined, such as `n_features_in_` and `n_classes_`), `compile_kwargs` (the arguments of `compile`),
            `params` (all parameters), and `optimizer`, `loss`, `epochs` and so on, if they are given.
        build_fn: Keras 2's name of `model`.
        warm_start: whether `fit` continues with the model of the previous `fit`.
        random_state: an integer or a NumPy `RandomState` that determines initial weights, masks and shuffling; None for
            different ones each time.
        optimizer: a name, a class or an object, for a model that is not compiled yet. None is "rmsprop".
        loss: a name, a class or an object, for a model that is not compiled yet; must match that of a compiled model.
        metrics: a list of names, classes or objects, or None.
        batch_size: the batch size of `fit` and `predict`; None is 32, -1 is all examples.
        validation_batch_size: the batch size of the validation in `fit`; None is `batch_size`.
        verbose: 0 silent, 1 a progress bar, 2 one line per epoch.
        callbacks: a callback, or a list or dict of callbacks or callback classes, for `fit` and `predict`.
        validation_split: the fraction of the examples, from the end, that is evaluated after each epoch instead of
            trained on.
        shuffle: whether the examples are shuffled in each epoch.
        run_eagerly: whether to compute equation by equation, for debugging.
        epochs: the number of epochs of `fit`.
        **kwargs: arguments of the function that makes the model, further arguments of `model.fit`, and routed ones:
            `model__units` for the function, `optimizer__learning_rate`, `loss__from_logits`, `metrics__name` and
            `callbacks__patience` for the objects of these names (`metrics__0__name` for one of a list,
            `callbacks__stop__patience` for one of a dict), `compile__loss_weights`, `fit__batch_size`,
            `predict__batch_size`, `score__normalize`.

    Attributes:
        model_: the trained model.
        history_: dict from log key to a list with one value per epoch.
        target_encoder_: the encoder of targets, and decoder of predictions.
        n_features_in_: the number of features.

    Raises:
        ArgumentError: in `fit`: a parameter is unknown or would have no effect, or there is no loss.
        sklearn.exceptions.NotFittedError: `predict` or `score` is called before `fit`.

    Example:
        >>> import numpy as np
        >>> from lamella import Sequential
        >>> from lamella.layers import Dense, Input
        >>> class Regressor(BaseWrapper):
        ...     def _keras_build_fn(self, units=2):
        ...         return Sequential([Input((3,)), Dense(units), Dense(1)])
        >>> Regressor(loss="mse", units=4, verbose=0).fit(np.eye(3), [1.0, 2.0, 3.0]).predict(np.eye(3)).shape
        (3,)
    """

    def __init__(
        self,
        model: Model | Callable[..., Model] | None = None,
        *,
        build_fn: Model | Callable[..., Model] | None = None,
        warm_start: bool = False,
        random_state: Any = None,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = None,
        batch_size: int | None = None,
        validation_batch_size: int | None = None,
        verbose: int = 1,
        callbacks: Any = None,
        validation_split: float = 0.0,
        shuffle: bool = True,
        run_eagerly: bool = False,
        epochs: int = 1,
        **kwargs: Any,
    ) -> None:
        self.model = model
        self.build_fn = build_fn
        self.warm_start = warm_start
        self.random_state = random_state
        self.optimizer = optimizer
        self.loss = loss
        self.metrics = metrics
        self.batch_size = batch_size
        self.validation_batch_size = validation_batch_size
        self.verbose = verbose
        self.callbacks = callbacks
        self.validation_split = validation_split
        self.shuffle = shuffle
        self.run_eagerly = run_eagerly
        self.epochs = epochs
        vars(self).update(kwargs)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = tags.input_tags.three_d_array = True
        tags.target_tags.multi_output = True
        return tags

    # ---- parameters ----

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return every parameter with its value, including those of `**kwargs`.

        Args:
            deep: ignored; a model has no parameters.
        """
        names = [*self._get_param_names(), *(n for n in vars(self) if not n.startswith("_") and not n.endswith("_"))]
        return {name: vars(self)[name] for name in dict.fromkeys(names)}

    def set_params(self, **params: Any) -> Self:
        """Set parameters of the constructor, and of the function that makes the model.

        Args:
            **params: the parameters.

        Returns:
            The estimator.

        Raises:
            ArgumentError: a parameter is unknown.
        """
        known = {*self.get_params(), *_FIT, *self._arguments_of_source()}
        for name in params:
            if name not in known and routing.destination(name) is None:
                raise ArgumentError(
                    f"Invalid parameter {name!r} for estimator {type(self).__name__}: {did_you_mean(name, known)}"
                )
        vars(self).update(params)
        return self

    def _extras(self) -> dict[str, Any]:
        """The parameters of `**kwargs` that are not routed."""
        named = set(self._get_param_names())
        return {n: v for n, v in self.get_params().items() if n not in named and routing.destination(n) is None}

    def _source(self) -> Any:
        """The model, or the function that returns one.

        Raises:
            ArgumentError: there is none, or it is something else.
        """
        params, own = vars(self), getattr(self, "_keras_build_fn", self if callable(self) else None)
        given = next((found for found in (params["model"], params["build_fn"], own) if found is not None), None)
        if not callable(given):
            raise ArgumentError(
                f"{type(self).__name__} needs model=, a function that returns a model, or a model; got {given!r}."
            )
        return given

    def _arguments_of_source(self) -> tuple[str, ...]:
        try:
            source = self._source()
        except ArgumentError:
            return ()
        if isinstance(source, Model):
            return ()
        kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        return tuple(name for name, p in inspect.signature(source).parameters.items() if p.kind in kinds)

    # ---- making the model ----

    @property
    def target_encoder(self) -> Any:
        """The encoder of targets, with `fit`, `transform` and `inverse_transform`.

        A subclass may return another one. The entries of the dict that its method `get_metadata` returns, if it has
        one, become attributes of the estimator.
        """
        return RegressorTargets()

    @property
    def feature_encoder(self) -> Any:
        """The encoder of inputs, with `fit`, `transform` and `get_metadata`; None passes X unchanged."""
        return None

    def initialize(self, X: Any, y: Any) -> Self:  # noqa: N803 - scikit-learn's name
        """Make the model for data of this form without training it, for a model that has its weights already.

        Args:
            X: the inputs.
            y: the targets.

        Returns:
            The estimator.
        """
        X, y = self._validated(X, y)  # noqa: N806
        self._initialize(X, y)
        return self

    def _initialize(self, X: Any, y: Any, classes: Any = None) -> None:  # noqa: N803
        encoder = self.target_encoder
        if classes is not None:
            encoder.classes = classes
        self.target_encoder_ = encoder.fit(y)
        self.feature_encoder_ = self.feature_encoder
        if self.feature_encoder_ is not None:
            self.feature_encoder_.fit(X)
        for held in (self.target_encoder_, self.feature_encoder_):
            vars(self).update(getattr(held, "get_metadata", dict)())
        seed = self.random_state
        if seed is not None and not isinstance(seed, int | np.integer):
            seed = int(check_random_state(seed).randint(2**31))
        with self._on_its_backend(), nullcontext() if seed is None else host_random.seeded(int(seed)):
            model = self._compiled_model()
        if hasattr(encoder, "follow"):
            encoder.follow(model)
        self.model_, self.history_ = model, Record()

    def _compiled_model(self) -> Model:
        source, names = self._source(), self._arguments_of_source()
        params, options = self.get_params(), self._compile_options()
        if isinstance(source, Model):
            model = copy.deepcopy(source)
        else:
            defaults = inspect.signature(type(self).__init__).parameters
            arguments = {name: value for name, value in self._extras().items() if name in names}
            arguments |= {n: params[n] for n in names if n in defaults and params[n] != defaults[n].default}
            arguments |= routing.routed(params, "model")
            asked = {
                "meta": {n: v for n, v in vars(self).items() if n.endswith("_") and not n.startswith("_")},
                "compile_kwargs": options,
                "params": params,
            }
            arguments |= {name: value for name, value in asked.items() if name in names}
            model = source(**arguments)
        for name in self._extras():
            if name not in names and name not in _FIT:
                known = [*names, *_FIT, *self._get_param_names()]
                raise ArgumentError(
                    f"{name!r} is neither an argument of the function that makes the model nor of `fit`: "
                    f"{did_you_mean(name, known)}"
                )
        if not isinstance(model, Model):
            raise ArgumentError(f"the function that makes the model must return one, got {type(model).__name__}.")
        if not model.compiled:
            if options["loss"] is None:
                raise ArgumentError("the model is not compiled: give the estimator a loss=, or compile it with one.")
            model.compile(**options)
        elif not {"compile_kwargs", "params"} & set(names):
            self._check_compiled(model, params, names)
        return model

    def _check_compiled(self, model: Model, params: Mapping[str, Any], names: tuple[str, ...]) -> None:
        """Reject arguments of `compile` that a compiled model was not given."""
        for name, value in params.items():
            told = routing.destination(name) or name
            if told not in (*_COMPILE, "compile") or told in names or value is None or value is False:
                continue
            same = name == "loss" and _class_of_loss(value) is _class_of_loss(model.loss)
            if not same:
                raise ArgumentError(
                    f"{name}={value!r} would have no effect, because the model comes compiled with "
                    f"{'the loss ' + repr(model.loss) if name == 'loss' else 'other arguments'}: return it uncompiled, "
                    f"or let the function that makes it take {told if told != 'compile' else 'compile_kwargs'!r}."
                )

    def _compile_options(self) -> dict[str, Any]:
        """The arguments of `compile`, with objects constructed."""
        params = self.get_params()
        options = {name: params[name] for name in _COMPILE} | routing.routed(params, "compile")
        if options["optimizer"] is None:
            options["optimizer"] = "rmsprop"
        for kind, known in routing.CLASSES.items():
            options[kind] = routing.made(kind, options[kind], routing.routed(params, kind), known)
        if options["optimizer"] is self.optimizer:
            options["optimizer"] = copy.deepcopy(self.optimizer)  # a callback may change its learning rate
        return options

    # ---- data ----

    def _validated(self, X: Any, y: Any = None, *, reset: bool = True) -> Any:  # noqa: N803
        """X, or X and y, as arrays of numbers or a sparse matrix."""
        options: dict[str, Any] = {"accept_sparse": "csr", "allow_nd": True}
        if not reset:
            check_is_fitted(self, "model_")
        if reset or y is not None:
            X, y = validate_data(self, X, y, reset=reset, multi_output=True, **options)  # noqa: N806
            return X, y
        return validate_data(self, X, reset=False, **options)

    def _inputs(self, X: Any) -> Any:  # noqa: N803
        return X if self.feature_encoder_ is None else self.feature_encoder_.transform(X)

    def _weights(self, y: np.ndarray, sample_weight: Any, *, whole: bool = False) -> np.ndarray | None:
        """One weight per example, or None; `whole` if y contains all that the model is made for."""
        if sample_weight is None:
            return None
        weights = check_array(sample_weight, ensure_2d=False, dtype="float64", input_name="sample_weight")
        if weights.ndim != 1:
            raise ArgumentError(f"sample_weight must have one number per row, shape ({len(y)},), got {weights.shape}.")
        check_consistent_length(y, weights)
        if not weights.any():
            raise ArgumentError("sample_weight is zero for every row: there is nothing to train on.")
        return weights

    # ---- training ----

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **kwargs: Any) -> Self:  # noqa: N803
        """Make a model and train it; with `warm_start` continue to train the model of the previous `fit`.

        Args:
            X: the inputs, of shape `(examples, features)` or of more dimensions, or a sparse matrix.
            y: the targets, of shape `(examples,)` or `(examples, outputs)`.
            sample_weight: one weight per example; examples of weight 0 are omitted.
            **kwargs: arguments of `model.fit`.

        Returns:
            The estimator.

        Raises:
            ValueError: the data or a parameter is invalid.
        """
        continues = self.warm_start and hasattr(self, "model_")
        X, y = self._validated(X, y, reset=not continues)  # noqa: N806
        weights = self._weights(y, sample_weight, whole=not continues)
        if not continues:
            self._initialize(X, y)
        self.history_ = Record()
        self._train(X, y, weights, kwargs)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, **kwargs: Any) -> Self:  # noqa: N803
        """Train one more epoch from the current weights, and extend the history.

        Args:
            X: the inputs.
            y: the targets.
            sample_weight: one weight per example.
            **kwargs: arguments of `model.fit`, except the epochs.

        Returns:
            The estimator.

        Raises:
            ArgumentError: `epochs` or `initial_epoch` is given.
        """
        return self._partial_fit(X, y, sample_weight, kwargs)

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any, kwargs: dict[str, Any], classes: Any = None) -> Self:  # noqa: N803
        told = next((name for name in ("epochs", "initial_epoch", "nb_epoch") if name in kwargs), None)
        if told is not None:
            raise ArgumentError(f"partial_fit trains one epoch, which follows the ones before: leave out {told}=.")
        continues = hasattr(self, "model_")
        X, y = self._validated(X, y, reset=not continues)  # noqa: N806
        weights = self._weights(y, sample_weight, whole=not continues and classes is None)
        if not continues:
            self._initialize(X, y, classes)
        done = self.current_epoch
        self._train(X, y, weights, {**kwargs, "initial_epoch": done, "epochs": done + 1})
        return self

    @property
    def current_epoch(self) -> int:
        """The number of epochs that the model has been trained."""
        return len(getattr(self, "history_", {}).get("loss", ()))

    @staticmethod
    def _counted(options: Mapping[str, Any], X: Any) -> dict[str, Any]:  # noqa: N803
        """The options, with a batch size of -1 replaced by the number of examples of X."""
        sizes = ("batch_size", "validation_batch_size")
        return {name: X.shape[0] if name in sizes and value == -1 else value for name, value in options.items()}

    def _train(self, X: Any, y: Any, weights: np.ndarray | None, kwargs: dict[str, Any]) -> None:  # noqa: N803
        if weights is not None and not weights.all():
            kept = np.flatnonzero(weights)
            X, y, weights = X[kept], y[kept], weights[kept]  # noqa: N806
        y, X = self.target_encoder_.transform(y), self._inputs(X)  # noqa: N806
        options = self._counted(self._fit_options() | kwargs, X)
        if isinstance(options.get("validation_data"), tuple | list):
            x, labels, *more = options["validation_data"]
            x, labels = self._validated(x, labels, reset=False)
            options["validation_data"] = (self._inputs(x), self.target_encoder_.transform(labels), *more)
        if options.get("class_weight") is not None and isinstance(self.target_encoder_, ClassTargets):
            options["class_weight"] = by_number(options["class_weight"], self.target_encoder_.classes_)
            if weights is not None:
                weights, options["class_weight"] = weights * class_weights(y, options["class_weight"]), None
        history = self.model_.fit(X, y, sample_weight=weights, **options)
        for key, values in history.history.items():
            self.history_.setdefault(key, []).extend(values)

    def _fit_options(self) -> dict[str, Any]:
        params = self.get_params()
        options = {name: params[name] for name in _IN_FIT}
        options |= {name: value for name, value in self._extras().items() if name in _FIT}
        if "nb_epoch" in options:
            del options["epochs"]
        options |= {n: v for n, v in routing.routed(params, "fit").items() if not n.startswith("callbacks")}
        return options | {"callbacks": self._callbacks("fit")}

    def _callbacks(self, method: str) -> list[Any]:
        params, found = self.get_params(), []
        for name in ("callbacks", f"{method}__callbacks"):
            given = params.get(name)
            made = routing.made(name, given, routing.routed(params, name)) if given is not None else []
            if isinstance(made, Mapping):
                made = list(made.values())
            found += made if isinstance(made, list | tuple) else [made]
        return found

    # ---- predicting ----

    def _raw(self, X: Any, kwargs: dict[str, Any]) -> Any:  # noqa: N803
        X = self._inputs(self._validated(X, reset=False))  # noqa: N806
        params = self.get_params()
        options = {name: params[name] for name in _PREDICT if name in params}
        options |= {n: v for n, v in routing.routed(params, "predict").items() if not n.startswith("callbacks")}
        options = self._counted(options | kwargs, X)
        return self.model_.predict(X, **{"callbacks": self._callbacks("predict") or None, **options})

    def predict(self, X: Any, **kwargs: Any) -> Any:  # noqa: N803
        """Return the predictions in the form of the targets.

        Args:
            X: the inputs.
            **kwargs: arguments of `model.predict`.
        """
        raw = self._raw(X, kwargs)
        return self.target_encoder_.inverse_transform(raw)

    @staticmethod
    def scorer(y_true: Any, y_pred: Any, **kwargs: Any) -> float:
        """Return the score of predictions; defined by subclasses.

        Args:
            y_true: the targets.
            y_pred: the predictions.
            **kwargs: `sample_weight`, and the parameters that start with `score__`.
        """
        raise NotImplementedError("a subclass of BaseWrapper defines `scorer`.")

    def score(self, X: Any, y: Any, sample_weight: Any = None, **kwargs: Any) -> float:  # noqa: N803
        """Return the score of the predictions for X; higher is better.

        Args:
            X: the inputs.
            y: the targets.
            sample_weight: one weight per example.
            **kwargs: arguments of `model.predict`.
        """
        options = routing.routed(self.get_params(), "score")
        return self.scorer(y, self.predict(X, **kwargs), sample_weight=sample_weight, **options)


def _class_of_loss(given: Any) -> Any:
    return given if isinstance(given, list | dict) else type(losses.get(given))


class KerasClassifier(ClassifierMixin, BaseWrapper):
    """A classifier with the interface of scikeras and Keras 2.

    Labels of any kind, one per example, are passed to the model as class indices, or one-hot if it has one output per
    class and the loss is not a sparse one. Targets that are one-hot already, or that have several labels (zeros and
    ones), are unchanged, and predictions have the same form.

    Args:
        model: a function that returns a model, or a model; see `BaseWrapper`.
        build_fn, warm_start, random_state, optimizer, loss, metrics: as in `BaseWrapper`.
        batch_size, validation_batch_size, verbose, callbacks: as in `BaseWrapper`.
        validation_split, shuffle, run_eagerly, epochs: as in `BaseWrapper`.
        class_weight: dict from label to weight for the loss, or "balanced" for weights inversely proportional to
            frequency.
        **kwargs: as in `BaseWrapper`.

    Attributes:
        model_: the trained model.
        history_: dict from log key to a list with one value per epoch.
        classes_: the sorted labels; for one-hot and multilabel targets the indices of the columns.
        n_classes_: the number of classes.
        target_type_: the kind of targets.
        n_features_in_: the number of features.

    Example:
        >>> import numpy as np
        >>> from lamella import Sequential
        >>> from lamella.layers import Dense, Input
        >>> from lamella.wrappers import KerasClassifier
        >>> def classifier(meta, units):
        ...     last = Dense(meta["n_classes_"], activation="softmax")
        ...     return Sequential([Input((meta["n_features_in_"],)), Dense(units, activation="relu"), last])
        >>> estimator = KerasClassifier(
        ...     classifier, model__units=4, loss="sparse_categorical_crossentropy", optimizer="adam",
        ...     optimizer__learning_rate=0.01, epochs=3, verbose=0, random_state=1,
        ... )
        >>> X, y = np.eye(4), ["cat", "dog", "cat", "dog"]
        >>> estimator.fit(X, y).predict_proba(X).shape
        (4, 2)
    """

    def __init__(
        self,
        model: Model | Callable[..., Model] | None = None,
        *,
        build_fn: Model | Callable[..., Model] | None = None,
        warm_start: bool = False,
        random_state: Any = None,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = None,
        batch_size: int | None = None,
        validation_batch_size: int | None = None,
        verbose: int = 1,
        callbacks: Any = None,
        validation_split: float = 0.0,
        shuffle: bool = True,
        run_eagerly: bool = False,
        epochs: int = 1,
        class_weight: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            model=model,
            build_fn=build_fn,
            warm_start=warm_start,
            random_state=random_state,
            optimizer=optimizer,
            loss=loss,
            metrics=metrics,
            batch_size=batch_size,
            validation_batch_size=validation_batch_size,
            verbose=verbose,
            callbacks=callbacks,
            validation_split=validation_split,
            shuffle=shuffle,
            run_eagerly=run_eagerly,
            epochs=epochs,
            **kwargs,
        )
        self.class_weight = class_weight

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        tags.classifier_tags.multi_label = True
        return tags

    @property
    def target_encoder(self) -> Any:
        """The encoder of labels, and decoder of predictions; a subclass may return another one."""
        return ClassTargets()

    def _weights(self, y: np.ndarray, sample_weight: Any, *, whole: bool = False) -> np.ndarray | None:
        weights = super()._weights(y, sample_weight, whole=whole)
        if weights is not None and whole:
            check_weighted_classes(y, weights)
        if self.class_weight is None:
            return weights
        return compute_sample_weight(self.class_weight, y) * (1 if weights is None else weights)

    def partial_fit(  # type: ignore[override]
        self,
        X: Any,  # noqa: N803
        y: Any,
        classes: Any = None,
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Train one more epoch from the current weights, and extend the history.

        Args:
            X: the inputs.
            y: the labels.
            classes: all labels, for a first call whose y does not contain all of them.
            sample_weight: one weight per example.
            **kwargs: arguments of `model.fit`, except the epochs.

        Returns:
            The estimator.

        Raises:
            ArgumentError: `epochs` or `initial_epoch` is given.
        """
        return self._partial_fit(X, y, sample_weight, kwargs, classes)

    def predict_proba(self, X: Any, **kwargs: Any) -> np.ndarray:  # noqa: N803
        """Return the probabilities of the classes, of shape `(examples, classes)`, in the order of `classes_`.

        Args:
            X: the inputs.
            **kwargs: arguments of `model.predict`.
        """
        raw = self._raw(X, kwargs)
        return self.target_encoder_.probabilities(raw)

    def score(self, X: Any, y: Any, sample_weight: Any = None, **kwargs: Any) -> float:  # noqa: N803
        """Return the accuracy of the predictions for X.

        Args:
            X: the inputs.
            y: the labels.
            sample_weight: one weight per example.
            **kwargs: arguments of `model.predict`.
        """
        return BaseWrapper.score(self, X, y, sample_weight, **kwargs)  # not that of the mixin

    @staticmethod
    def scorer(y_true: Any, y_pred: Any, **kwargs: Any) -> float:
        """Return the accuracy of predictions.

        Args:
            y_true: the labels.
            y_pred: the predictions.
            **kwargs: arguments of `sklearn.metrics.accuracy_score`.
        """
        return float(accuracy_score(y_true, y_pred, **kwargs))


class KerasRegressor(RegressorMixin, BaseWrapper):
    """A regressor with the interface of scikeras and Keras 2.

    Args:
        model: a function that returns a model, or a model; see `BaseWrapper`.
        build_fn, warm_start, random_state, optimizer, loss, metrics: as in `BaseWrapper`.
        batch_size, validation_batch_size, verbose, callbacks: as in `BaseWrapper`.
        validation_split, shuffle, run_eagerly, epochs: as in `BaseWrapper`.
        **kwargs: as in `BaseWrapper`.

    Attributes:
        model_: the trained model.
        history_: dict from log key to a list with one value per epoch.
        n_features_in_: the number of features.
        n_outputs_: the number of columns of y.

    Example:
        >>> import numpy as np
        >>> from lamella import Sequential
        >>> from lamella.layers import Dense, Input
        >>> from lamella.wrappers import KerasRegressor
        >>> def regressor(units=4, optimizer="sgd"):
        ...     model = Sequential([Input((3,)), Dense(units, activation="tanh"), Dense(1)])
        ...     model.compile(optimizer, "mse")
        ...     return model
        >>> estimator = KerasRegressor(build_fn=regressor, units=8, epochs=2, verbose=0)
        >>> estimator.fit(np.eye(3), [1.0, 2.0, 3.0]).predict(np.eye(3)).shape
        (3,)
        >>> len(estimator.history_["loss"])
        2
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags

    def _validated(self, X: Any, y: Any = None, *, reset: bool = True) -> Any:  # noqa: N803
        found = super()._validated(X, y, reset=reset)
        if isinstance(found, tuple) and found[1].dtype.kind not in "fiu":
            return found[0], found[1].astype(np.float64)
        return found

    def score(self, X: Any, y: Any, sample_weight: Any = None, **kwargs: Any) -> float:  # noqa: N803
        """Return R² of the predictions for X.

        Args:
            X: the inputs.
            y: the targets.
            sample_weight: one weight per example.
            **kwargs: arguments of `model.predict`.
        """
        return BaseWrapper.score(self, X, y, sample_weight, **kwargs)  # not that of the mixin

    @staticmethod
    def scorer(y_true: Any, y_pred: Any, **kwargs: Any) -> float:
        """Return R²: 1 minus the sum of squared errors divided by that of the mean.

        Args:
            y_true: the targets.
            y_pred: the predictions.
            **kwargs: arguments of `sklearn.metrics.r2_score`.
        """
        return float(r2_score(y_true, y_pred, **kwargs))
