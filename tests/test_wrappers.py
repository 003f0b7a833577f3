"""Models as estimators of scikit-learn: its checks, pipelines, searches, and the words of Keras 2, Keras 3 and scikeras."""

from __future__ import annotations

import copy
import functools
import pickle

import numpy as np
import pytest

import lamella
from lamella import Sequential, host_random
from lamella.backend import backend_scope
from lamella.callbacks import Callback, EarlyStopping
from lamella.errors import ArgumentError, UnknownNameError
from lamella.layers import Dense, Flatten, Input
from lamella.losses import BinaryCrossentropy
from lamella.metrics import AUC
from lamella.optimizers import SGD, Adam

pytest.importorskip("sklearn", minversion="1.6")

from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from lamella.wrappers import (
    BaseWrapper,
    KerasClassifier,
    KerasRegressor,
    SKLearnClassifier,
    SKLearnRegressor,
    SKLearnTransformer,
    scikit_learn,
)

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 4))
NUMBERS = X @ [1.0, -2.0, 0.5, 0.0] + 0.1 * rng.normal(size=60)
BINARY = np.where(X[:, 0] > 0, "yes", "no")
THREE = np.array(["a", "b", "c"])[np.digitize(X[:, 1], [-0.5, 0.5])]


def any_model(X, y, loss, activation=None):
    lamella.utils.set_random_seed(0)
    model = Sequential([Input((X.shape[1],)), Dense(y.shape[1], activation=activation)])
    model.compile(Adam(0.1), loss)
    return model


def any_classifier(meta):
    kind = meta["target_type_"]
    units, activation = (1 if kind == "binary" else meta["n_classes_"]), "sigmoid"
    loss = "binary_crossentropy"
    if kind == "multiclass":
        activation, loss = "softmax", "sparse_categorical_crossentropy"
    model = Sequential([Input((meta["n_features_in_"],)), Dense(units, activation=activation)])
    model.compile("adam", loss)
    return model


def any_regressor(meta):
    return Sequential([Input((meta["n_features_in_"],)), Dense(meta["n_outputs_"])])


def softmax(meta, units=8):
    last = Dense(meta["n_classes_"], activation="softmax")
    return Sequential([Input((meta["n_features_in_"],)), Dense(units, activation="tanh"), last])


def sigmoid(optimizer="adam", units=4):
    model = Sequential([Dense(units, activation="tanh", input_dim=4), Dense(1, activation="sigmoid")])
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    return model


def categorical(activation="softmax"):
    model = Sequential([Dense(3, activation=activation, input_dim=4)])
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return model


def linear(optimizer="sgd"):
    model = Sequential([Dense(1, input_dim=4)])
    model.compile(optimizer, "mse")
    return model


# ---- scikit-learn's own checks ----

QUIET = {"verbose": 0}
CATEGORICAL = {"loss": "categorical_crossentropy", "activation": "softmax"}
ESTIMATORS = [
    SKLearnClassifier(any_model, model_kwargs=CATEGORICAL, fit_kwargs=QUIET),
    SKLearnRegressor(any_model, model_kwargs={"loss": "mse"}, fit_kwargs=QUIET),
    SKLearnTransformer(any_model, model_kwargs={"loss": "mse"}, fit_kwargs=QUIET),
    KerasClassifier(any_classifier, epochs=2, **QUIET),
    KerasRegressor(any_regressor, loss="mse", epochs=2, **QUIET),
    scikit_learn.KerasClassifier(build_fn=any_classifier, epochs=2, **QUIET),
    scikit_learn.KerasRegressor(build_fn=any_regressor, loss="mse", **QUIET),
]  # fmt: skip
WEIGHTS = "a weight scales the loss of a row in its batch, as in scikit-learn's own SGDClassifier and MLPClassifier"
NOT_PASSED = {
    "check_sample_weight_equivalence_on_dense_data": WEIGHTS,
    "check_sample_weight_equivalence_on_sparse_data": WEIGHTS,
}
LONG = ("sparse", "classifiers_train", "classifiers_classes", "dtypes", "not_an_array", "multilabel", "nan_inf")


def checks():
    for backend in ("numpy", "jax"):
        for estimator in ESTIMATORS:
            kind = type(estimator)
            for number, (made, check) in enumerate(estimator_checks_generator(estimator, mark=None)):
                name = check.func.__name__
                rare = backend == "jax" or kind.__module__.endswith("scikit_learn")
                slow = rare or any(word in name for word in LONG)
                missed = issubclass(kind, KerasClassifier) and name in NOT_PASSED
                label = f"{backend}-{kind.__module__.rpartition('.')[2]}-{kind.__name__}-{number}-{name}"
                marks = [pytest.mark.slow] if slow else []
                marks += [pytest.mark.xfail(reason=NOT_PASSED[name], raises=AssertionError)] if missed else []
                yield pytest.param(backend, made, check, id=label, marks=marks)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("backend", "estimator", "check"), list(checks()))
def test_scikit_learn_checks(backend, estimator, check):
    pytest.importorskip(backend)
    with backend_scope(backend):
        check(estimator)


# ---- what they are used for ----


@pytest.fixture(autouse=True)
def on_numpy():
    with backend_scope("numpy"):
        yield


def classifier(**kwargs):
    kwargs = {"loss": "sparse_categorical_crossentropy", "optimizer": "adam", "random_state": 1, "verbose": 0} | kwargs
    return KerasClassifier(softmax, **kwargs)


def test_a_classifier_learns(backend):
    estimator = classifier(epochs=40, optimizer__learning_rate=0.05).fit(X, THREE)
    assert estimator.score(X, THREE) > 0.9
    assert estimator.classes_.tolist() == ["a", "b", "c"] and estimator.n_features_in_ == 4
    probabilities = estimator.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    assert (estimator.classes_[probabilities.argmax(1)] == estimator.predict(X)).all()
    assert len(estimator.history_["loss"]) == 40 and estimator.model_.optimizer.learning_rate == pytest.approx(0.05)


def test_a_regressor_learns(backend):
    estimator = KerasRegressor(linear, epochs=60, verbose=0, random_state=2)
    assert estimator.fit(X, NUMBERS).score(X, NUMBERS) > 0.9
    assert estimator.predict(X).shape == (60,)


@pytest.mark.slow  # the processes import scikit-learn
def test_a_pipeline_and_a_search_in_two_processes():
    pipeline = make_pipeline(StandardScaler(), classifier(epochs=2))
    search = GridSearchCV(
        pipeline,
        {
            "kerasclassifier__model__units": [2, 3],
            "kerasclassifier__optimizer__learning_rate": [0.001, 0.1],
        },
        cv=2,
        n_jobs=2,
        error_score="raise",
    )
    search.fit(X, THREE)
    assert set(search.best_params_) == {"kerasclassifier__model__units", "kerasclassifier__optimizer__learning_rate"}
    found = search.best_estimator_[-1].model_
    assert found.layers[0].units == search.best_params_["kerasclassifier__model__units"]
    assert search.predict(X).shape == (60,)


def test_scores_are_repeatable():
    first, second = (cross_val_score(classifier(epochs=5), X, BINARY, cv=3) for _ in range(2))
    assert first.tolist() == second.tolist()


def test_a_random_state_leaves_the_process_as_it_was():
    host_random.set_random_seed(5)
    expected = [host_random.next_seed() for _ in range(2)]
    host_random.set_random_seed(5)
    first = host_random.next_seed()
    classifier().fit(X, THREE)
    assert [first, host_random.next_seed()] == expected


def test_a_random_generator_is_drawn_from():
    estimators = [classifier(random_state=np.random.RandomState(3)) for _ in range(2)]
    one, other = (estimator.fit(X, THREE).predict_proba(X) for estimator in estimators)
    np.testing.assert_array_equal(one, other)
    assert np.abs(estimators[0].fit(X, THREE).predict_proba(X) - one).max() > 0


@pytest.mark.parametrize("made", ESTIMATORS[:5], ids=lambda e: type(e).__name__)
def test_copies_and_pickles(made):
    y = THREE if hasattr(made, "predict_proba") or hasattr(made, "decision_function") else NUMBERS
    fitted = clone(made).fit(X, y)
    for other in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        assert (other.predict(X) == fitted.predict(X)).all()
    fresh = clone(fitted)
    assert fresh.get_params() == made.get_params() and not hasattr(fresh, "model_")


@pytest.mark.parametrize("made", ESTIMATORS, ids=lambda e: f"{type(e).__module__}.{type(e).__name__}")
def test_before_fit(made):
    for method in ("predict", "predict_proba", "decision_function", "transform"):
        if hasattr(made, method):
            with pytest.raises(NotFittedError):
                getattr(made, method)(X)
    if hasattr(made, "score"):
        with pytest.raises(NotFittedError):
            made.score(X, NUMBERS)


def test_images_stay_images():
    images = rng.normal(size=(12, 3, 3, 1)).astype("float32")
    labels = np.arange(12) % 2

    def small(meta):
        assert meta["n_features_in_"] == 3
        return Sequential([Input((3, 3, 1)), Flatten(), Dense(1, activation="sigmoid")])

    estimator = KerasClassifier(small, loss="binary_crossentropy", verbose=0).fit(images, labels)
    assert estimator.predict_proba(images).shape == (12, 2)


# ---- targets and weights ----


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "sparse_categorical_crossentropy", "mse"])
def test_labels_are_in_the_form_that_the_loss_takes(loss):
    estimator = classifier(loss=loss, epochs=30, optimizer__learning_rate=0.1).fit(X, THREE)
    assert estimator.score(X, THREE) > 0.8


def test_one_hot_rows_and_several_labels():
    numbers = np.unique(THREE, return_inverse=True)[1]
    one_hot = np.eye(3)[numbers]
    estimator = KerasClassifier(categorical, verbose=0, random_state=1).fit(X, one_hot)
    assert estimator.target_type_ == "multiclass-onehot" and estimator.predict(X).shape == (60, 3)
    old = scikit_learn.KerasClassifier(build_fn=categorical, verbose=0, random_state=1).fit(X, one_hot)
    np.testing.assert_array_equal(old.predict(X), estimator.predict(X).argmax(1))
    assert old.score(X, one_hot) == estimator.score(X, one_hot)

    labels = np.c_[X[:, 0] > 0, X[:, 1] > 0, X[:, 2] > 0].astype(int)
    several = KerasClassifier(
        lambda: _of("sigmoid", 3), loss="binary_crossentropy", optimizer="adam", epochs=150, verbose=0
    )
    several.set_params(optimizer__learning_rate=0.1)
    assert several.fit(X, labels).score(X, labels) > 0.8
    assert several.predict(X).shape == (60, 3)


def _of(activation, units):
    return Sequential([Input((4,)), Dense(units, activation=activation)])


def test_logits_and_margins_become_probabilities():
    kwargs = {"optimizer": "adam", "epochs": 40, "optimizer__learning_rate": 0.1, "verbose": 0}
    for loss, units in ((BinaryCrossentropy, 1), ("categorical_crossentropy", 2)):
        estimator = KerasClassifier(
            lambda units: _of(None, units), loss=loss, loss__from_logits=True, units=units, **kwargs
        )
        assert estimator.fit(X, BINARY).score(X, BINARY) > 0.9
        chances = estimator.predict_proba(X)
        np.testing.assert_allclose(chances.sum(1), 1, rtol=1e-5)
        assert chances.min() >= 0
    margin = KerasClassifier(lambda: _of("tanh", 1), loss="hinge", **kwargs).fit(X, BINARY)
    assert margin.score(X, BINARY) > 0.9 and margin.predict_proba(X).min() >= 0


def test_class_weights_and_sample_weights():
    always = {"no": 1e-3, "yes": 1.0}
    kwargs = {"optimizer": Adam(0.1), "epochs": 30, "verbose": 0, "random_state": 1}
    leaning = KerasClassifier(sigmoid, class_weight=always, **kwargs).fit(X, BINARY)
    assert (leaning.predict(X) == "yes").mean() > 0.8
    weights = np.where(BINARY == "yes", 1.0, 1e-3)
    same = KerasClassifier(sigmoid, **kwargs).fit(X, BINARY, sample_weight=weights)
    np.testing.assert_allclose(same.predict_proba(X), leaning.predict_proba(X), rtol=1e-5)
    balanced = KerasClassifier(sigmoid, class_weight="balanced", verbose=0).fit(X, BINARY)
    assert balanced.model_.optimizer is not None


def test_class_weights_of_fit_are_those_of_labels():
    kwargs, always = {"optimizer": Adam(0.1), "verbose": 0, "random_state": 1}, {"no": 1e-3, "yes": 1.0}
    chances = KerasClassifier(sigmoid, class_weight=always, **kwargs).fit(X, BINARY).predict_proba(X)
    same = [
        KerasClassifier(sigmoid, **kwargs).fit(X, BINARY, class_weight=always),
        KerasClassifier(sigmoid, **kwargs).fit(X, BINARY, class_weight={0: 1e-3}),
        KerasClassifier(sigmoid, **kwargs).fit(X, BINARY, class_weight={**always, "perhaps": 2.0}),
        KerasClassifier(sigmoid, **kwargs).fit(X, BINARY, sample_weight=np.ones(60), class_weight=always),
        KerasClassifier(sigmoid, **kwargs).partial_fit(X, BINARY, class_weight=always),
        KerasClassifier(sigmoid, fit__class_weight=always, **kwargs).fit(X, BINARY),
        KerasClassifier(sigmoid, **kwargs).fit(X, np.where(BINARY == "no", 1, 2), class_weight={1: 1e-3}),
    ]
    for estimator in same:
        np.testing.assert_allclose(estimator.predict_proba(X), chances, rtol=1e-5)
    odd = np.where(BINARY == "no", 1, 3)
    kwargs = {"model_kwargs": {"loss": "mse"}, "fit_kwargs": {"verbose": 0, "shuffle": False}}
    one, other = (SKLearnClassifier(any_model, **kwargs) for _ in range(2))
    one.fit(X, odd, class_weight={1: 1e-3}), other.fit(X, BINARY, class_weight={0: 1e-3})
    np.testing.assert_allclose(one.model_.get_weights()[0], other.model_.get_weights()[0], rtol=1e-5)


def test_class_weights_of_no_class():
    kwargs = {"verbose": 0, "random_state": 1}
    with pytest.raises(ArgumentError, match="class_weight has the class 'maybe', which is not one of"):
        KerasClassifier(sigmoid, **kwargs).fit(X, BINARY, class_weight={"maybe": 1e-3})


def test_weights_of_one_class():
    """They are refused wherever a model is made for the classes of y, and only there."""
    kwargs, one = {"verbose": 0, "random_state": 1}, (BINARY == "no").astype(float)
    few = KerasClassifier(sigmoid, **kwargs).partial_fit(X, BINARY, classes=["no", "yes"], sample_weight=one)
    assert few.partial_fit(X, BINARY, sample_weight=one).current_epoch == 2
    estimator = KerasClassifier(sigmoid, **kwargs).fit(X, BINARY)
    with pytest.raises(ArgumentError, match="zero for all rows but"):
        estimator.fit(X, BINARY, sample_weight=one)
    estimator.set_params(warm_start=True).fit(X, BINARY, sample_weight=one)


def test_rows_of_weight_zero_are_left_out():
    weights = (np.arange(60) % 3 != 0).astype(float)
    part = KerasRegressor(linear, verbose=0, random_state=1).fit(X, NUMBERS, sample_weight=weights)
    kept = KerasRegressor(linear, verbose=0, random_state=1).fit(X[weights > 0], NUMBERS[weights > 0])
    np.testing.assert_allclose(part.predict(X), kept.predict(X), rtol=1e-5)


# ---- scikeras ----


class Counting(Callback):
    def __init__(self, step=1):
        super().__init__()
        self.count, self.step = 0, step

    def on_epoch_end(self, epoch, logs=None):
        self.count += self.step


def test_parameters_by_prefix():
    given = Counting()
    estimator = KerasClassifier(
        softmax,
        model__units=3,
        optimizer=SGD,
        optimizer__learning_rate=0.25,
        optimizer__momentum=0.5,
        loss="categorical_crossentropy",
        loss__label_smoothing=0.1,
        metrics=["accuracy", AUC],
        metrics__1__num_thresholds=20,
        callbacks={"stop": EarlyStopping, "count": given},
        callbacks__stop__monitor="loss",
        fit__epochs=2,
        fit__batch_size=-1,
        predict__batch_size=7,
        verbose=0,
    ).fit(X, THREE)
    model = estimator.model_
    assert model.layers[0].units == 3 and given.count == 2
    assert (model.optimizer.learning_rate, model.optimizer.momentum) == (0.25, 0.5)
    assert model.loss.get_config()["label_smoothing"] == 0.1
    assert {"loss", "accuracy", "auc"} == set(estimator.history_)
    assert estimator.score(X, THREE) >= 0


def test_what_a_function_may_ask_for():
    seen = {}

    def ask(meta, compile_kwargs, params, epochs, width):
        seen.update(meta=meta, params=params, epochs=epochs, width=width)
        model = Sequential([Input((4,)), Dense(meta["n_classes_"], activation="softmax")])
        model.compile(**compile_kwargs)
        return model

    KerasClassifier(ask, loss="categorical_crossentropy", optimizer="sgd", epochs=2, width=5, verbose=0).fit(X, THREE)
    assert seen["meta"]["classes_"].tolist() == ["a", "b", "c"] and seen["params"]["optimizer"] == "sgd"
    assert (seen["epochs"], seen["width"]) == (2, 5)


def test_a_model_is_copied_with_its_weights():
    model = linear()
    before = model.get_weights()
    estimator = KerasRegressor(model, verbose=0).initialize(X, NUMBERS)
    np.testing.assert_array_equal(estimator.predict(X), model.predict(X, verbose=0)[:, 0])
    estimator.fit(X, NUMBERS)
    assert (estimator.model_.get_weights()[0] != before[0]).any()
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_a_fit_leaves_the_parameters_alone():
    optimizer = SGD(0.1)
    estimator = KerasRegressor(lambda: _of(None, 1), optimizer=optimizer, loss="mse", verbose=0)
    estimator.fit(X, NUMBERS)
    estimator.model_.optimizer.learning_rate = 0.0
    assert optimizer.learning_rate == pytest.approx(0.1)


def test_going_on():
    estimator = classifier(epochs=3)
    for _ in range(2):
        estimator.partial_fit(X, THREE)
    assert estimator.current_epoch == 2
    whole = classifier(epochs=2).fit(X, THREE)
    np.testing.assert_array_equal(estimator.predict_proba(X), whole.predict_proba(X))
    warm = classifier(epochs=2, warm_start=True).fit(X, THREE)
    model = warm.model_
    assert warm.fit(X, THREE).model_ is model and len(warm.history_["loss"]) == 2
    rows = np.flatnonzero(THREE != "c")
    part = classifier().partial_fit(X[rows], THREE[rows], classes=["a", "b", "c"])
    assert part.partial_fit(X, THREE).predict_proba(X).shape == (60, 3)


def test_validation_data_are_encoded():
    estimator = classifier(epochs=2).fit(X, THREE, validation_data=(X[:9], THREE[:9]))
    assert len(estimator.history_["val_loss"]) == 2


class Autoencoder(BaseWrapper):
    def fit(self, X, y=None):
        return super().fit(X, X)

    def transform(self, X):
        return self.predict(X)


class Doubled(KerasRegressor):
    @property
    def target_encoder(self):
        from sklearn.preprocessing import MinMaxScaler

        return make_pipeline(MinMaxScaler())

    @property
    def feature_encoder(self):
        return StandardScaler()

    def _keras_build_fn(self, units):
        return Sequential([Input((4,)), Dense(units)])


def test_estimators_of_ones_own():
    coder = Autoencoder(lambda: _of(None, 4), loss="mse", verbose=0).fit(X)
    assert coder.transform(X).shape == (60, 4)
    found = Doubled(units=2, loss="mse", optimizer=Adam(0.1), epochs=60, verbose=0).fit(X, np.c_[NUMBERS, -NUMBERS])
    assert found.predict(X).shape == (60, 2) and found.score(X, np.c_[NUMBERS, -NUMBERS]) > 0.5


# ---- Keras 2 ----


def test_the_classic_search():
    estimator = scikit_learn.KerasClassifier(build_fn=sigmoid, verbose=0)
    search = GridSearchCV(estimator, {"optimizer": ["rmsprop", "adam"], "epochs": [1, 2], "batch_size": [20]}, cv=2)
    search.fit(X, (BINARY == "yes").astype(int))
    assert set(search.best_params_) == {"optimizer", "epochs", "batch_size"}


def test_keras_2_reads_history_and_model():
    estimator = scikit_learn.KerasClassifier(sigmoid, nb_epoch=3, verbose=0)
    with pytest.warns(DeprecationWarning, match="nb_epoch"):
        history = estimator.fit(X, BINARY)
    assert len(history.history["accuracy"]) == 3 and history.epoch == [0, 1, 2]
    assert estimator.model.count_params() == 25 and estimator.get_params()["model"] is sigmoid
    regressor = scikit_learn.KerasRegressor(build_fn=linear, epochs=2, verbose=0).fit(X, NUMBERS)
    loss = regressor.model.evaluate(X, NUMBERS, verbose=0)
    assert regressor.score(X, NUMBERS) == pytest.approx(-loss)
    whole = scikit_learn.KerasRegressor(build_fn=linear, batch_size=-1, verbose=0).fit(X, NUMBERS)
    assert whole.score(X, NUMBERS) == pytest.approx(-whole.model.evaluate(X, NUMBERS, batch_size=len(X), verbose=0))
    assert cross_val_score(regressor, X, NUMBERS, cv=2).max() < 0


def test_the_optimizer_of_a_function_is_its_default():
    assert isinstance(KerasClassifier(sigmoid, verbose=0).fit(X, BINARY).model_.optimizer, Adam)
    assert isinstance(KerasClassifier(sigmoid, optimizer="sgd", verbose=0).fit(X, BINARY).model_.optimizer, SGD)


# ---- Keras 3 ----


def test_a_compiled_model_is_trained_from_new_weights():
    model = linear(SGD(0.05))
    before = model.get_weights()
    estimator = SKLearnRegressor(model, fit_kwargs={"verbose": 0, "epochs": 30}).fit(X, NUMBERS)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    assert estimator.model_.optimizer.learning_rate == pytest.approx(0.05) and estimator.score(X, NUMBERS) > 0.9
    assert estimator.epoch_ == 30 and len(estimator.history_.history["loss"]) == 30
    warm = SKLearnRegressor(model, warm_start=True, fit_kwargs={"verbose": 0}).fit(X, NUMBERS)
    assert warm.model_ is model and warm.fit(X, NUMBERS).model_ is model
    assert clone(estimator).fit_kwargs == estimator.fit_kwargs


def test_a_transformer_before_another_estimator():
    from sklearn.linear_model import LogisticRegression

    coder = SKLearnTransformer(any_model, model_kwargs={"loss": "mse"}, fit_kwargs=QUIET)
    y = np.c_[NUMBERS, NUMBERS]
    assert coder.fit(X, y).transform(X).shape == (60, 2)
    pipeline = make_pipeline(coder.set_params(fit_kwargs={"epochs": 20, "verbose": 0}), LogisticRegression())
    assert pipeline.fit(X, (NUMBERS > 0).astype(int)).score(X, NUMBERS > 0) > 0.8


def test_decisions_have_the_shape_that_scikit_learn_takes():
    two = SKLearnClassifier(any_model, model_kwargs=CATEGORICAL, fit_kwargs=QUIET).fit(X, BINARY)
    assert two.decision_function(X).shape == (60,)
    assert ((two.decision_function(X) > 0) == (two.predict(X) == "yes")).all()
    three = clone(two).fit(X, THREE, epochs=30)
    assert three.decision_function(X).shape == (60, 3) and three.score(X, THREE) > 0.8


def test_fit_arguments_by_metadata_routing():
    import sklearn

    estimator = SKLearnRegressor(linear(), fit_kwargs=QUIET)
    with pytest.raises(RuntimeError, match="enable_metadata_routing"):
        estimator.set_fit_request(sample_weight=True)
    with sklearn.config_context(enable_metadata_routing=True):
        estimator.set_fit_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), estimator)
        pipeline.fit(X, NUMBERS, sample_weight=np.ones(60))
        with pytest.raises(TypeError, match="epochs"):
            pipeline.fit(X, NUMBERS, epochs=2)


# ---- what is refused ----

REFUSED = {
    "no model": (lambda: KerasClassifier(), "needs model="),
    "no function": (lambda: KerasClassifier(3), "needs model="),
    "a function that returns something else": (
        lambda: KerasClassifier(lambda: 3, loss="mse"),
        "must return one, got int",
    ),
    "no loss": (lambda: KerasClassifier(softmax), "give the estimator a loss="),
    "an unknown word": (lambda: classifier(epohcs=3), "'epohcs' is neither an argument .* did you mean 'epochs'"),
    "an optimizer without effect": (
        lambda: KerasClassifier(categorical, optimizer="sgd"),
        "optimizer='sgd' would have no effect",
    ),
    "another loss": (
        lambda: KerasClassifier(categorical, loss="mse"),
        "compiled with the loss 'categorical_crossentropy'",
    ),
    "too few outputs": (
        lambda: KerasClassifier(sigmoid),
        "y has 3 classes, and the model has 1 output: give .* 3 units",
    ),
    "parameters of an object": (lambda: classifier(optimizer=SGD(), optimizer__momentum=0.5), "a name or a class, got"),
    "parameters of nothing": (lambda: classifier(metrics=["mae"], metrics__2__name="x"), "metrics__2__name"),
    "one class": (lambda: _Fitting(classifier(), y=np.zeros(60)), "only one class"),
    "a regression": (lambda: _Fitting(classifier(), y=NUMBERS), "Unknown label type"),
    "several columns": (lambda: _Fitting(classifier(), y=np.arange(120).reshape(60, 2) % 3), "target_encoder"),
    "weights of zero": (lambda: _Fitting(classifier(), sample_weight=np.zeros(60)), "zero for every row"),
    "weights of one class": (lambda: _Fitting(classifier(), sample_weight=THREE == "a"), "zero for all rows but"),
    "weights of two columns": (lambda: _Fitting(classifier(), sample_weight=np.ones((60, 2))), "one number per row"),
    "a model without loss": (lambda: SKLearnRegressor(_of(None, 1)), "needs a compiled model"),
}


class _Fitting:
    def __init__(self, estimator, **kwargs):
        self.fit = functools.partial(self._fit, estimator, kwargs)

    @staticmethod
    def _fit(estimator, words, X, y):
        return estimator.fit(X, **({"y": y} | words))


@pytest.mark.parametrize(("made", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(made, message):
    y = NUMBERS if "without loss" in message or "compiled model" in message else THREE
    with pytest.raises((ValueError, UnknownNameError), match=message):
        made().fit(X, y)


def test_a_class_of_later_rows_is_refused():
    estimator = classifier().partial_fit(X[THREE != "c"], THREE[THREE != "c"])
    with pytest.raises(ArgumentError, match="class 'c'"):
        estimator.partial_fit(X, THREE)
    with pytest.raises(ArgumentError, match="leave out epochs="):
        estimator.partial_fit(X, THREE, epochs=3)


def test_an_unknown_parameter_of_a_search():
    with pytest.raises(ArgumentError, match="'unit' for estimator KerasClassifier: did you mean 'units'"):
        KerasClassifier(sigmoid).set_params(unit=3)


def test_without_scikit_learn(run_python):
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import lamella\n"
        "try: lamella.wrappers.KerasClassifier\n"
        "except ImportError as error: print(error)"
    )
    assert run_python(code=code).stdout.strip() == (
        "wrappers.KerasClassifier needs scikit-learn: `pip install scikit-learn`."
    )
