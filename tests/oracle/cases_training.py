"""Optimizers, and `fit` as a whole."""

from __future__ import annotations

from typing import Any

from .rows import POWERS, Constructor, FitCase, OptimizerCase

_OPTIONS: tuple[tuple[str, str, tuple[tuple[str, dict[str, Any]], ...]], ...] = (
    ("sgd", "SGD", (
        ("default", {}),
        ("rate", {"learning_rate": 0.1}),
        ("momentum", {"learning_rate": 0.1, "momentum": 0.9}),
        ("nesterov", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
        # Nesterov asks for a momentum; with none it must fall back to the plain step.
        ("nesterov-no-momentum", {"learning_rate": 0.1, "nesterov": True}),
    )),
    ("rmsprop", "RMSprop", (
        ("default", {}),
        ("rho", {"learning_rate": 0.01, "rho": 0.6}),
        ("momentum", {"learning_rate": 0.01, "momentum": 0.9}),
        ("centered", {"learning_rate": 0.01, "centered": True}),
        ("centered-momentum", {"learning_rate": 0.01, "centered": True, "momentum": 0.5, "rho": 0.8}),
        ("epsilon", {"learning_rate": 0.01, "epsilon": 0.1}),
    )),
    ("adagrad", "Adagrad", (
        ("default", {}),
        ("rate", {"learning_rate": 0.1}),
        ("accumulator", {"learning_rate": 0.1, "initial_accumulator_value": 1.5}),
        ("accumulator-zero", {"learning_rate": 0.1, "initial_accumulator_value": 0.0}),
        ("epsilon", {"learning_rate": 0.1, "epsilon": 0.1}),
    )),
    ("adam", "Adam", (
        ("default", {}),
        ("rate", {"learning_rate": 0.1}),
        ("betas", {"learning_rate": 0.05, "beta_1": 0.7, "beta_2": 0.9}),
        ("epsilon", {"learning_rate": 0.05, "epsilon": 0.1}),
        ("amsgrad", {"learning_rate": 0.05, "beta_2": 0.8, "amsgrad": True}),
    )),
    ("adamw", "AdamW", (
        ("default", {}),
        ("decay", {"learning_rate": 0.05, "weight_decay": 0.1, "beta_2": 0.9}),
    )),
    ("adamax", "Adamax", (
        ("default", {}),
        ("options", {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 0.1}),
    )),
    ("nadam", "Nadam", (
        ("default", {}),
        ("options", {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 0.1}),
    )),
    ("adadelta", "Adadelta", (
        ("default", {}),
        ("options", {"learning_rate": 1.0, "rho": 0.8, "epsilon": 0.01}),
    )),
    ("lion", "Lion", (
        ("default", {}),
        ("options", {"learning_rate": 0.01, "beta_1": 0.8, "beta_2": 0.9, "weight_decay": 0.1}),
    )),
    ("lamb", "Lamb", (
        ("default", {}),
        ("options", {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 0.1}),
    )),
    ("ftrl", "Ftrl", (
        ("default", {}),
        ("rate", {"learning_rate": 0.1}),
        ("power", {"learning_rate": 0.1, "learning_rate_power": -0.3, "initial_accumulator_value": 0.5}),
        ("fixed-rate", {"learning_rate": 0.1, "learning_rate_power": 0.0}),
        ("l1", {"learning_rate": 0.1, "l1_regularization_strength": 1.5}),
        ("l2", {"learning_rate": 0.1, "l2_regularization_strength": 0.5, "beta": 0.2}),
        ("shrinkage", {"learning_rate": 0.1, "l2_shrinkage_regularization_strength": 0.1}),
    )),
    ("adafactor", "Adafactor", (
        ("default", {}),
        ("options", {"learning_rate": 0.3, "beta_2_decay": -0.5, "epsilon_1": 1e-3, "epsilon_2": 2.0,
                     "clip_threshold": 0.5}),
        ("not-relative", {"learning_rate": 0.9, "relative_step": False}),
    )),
    ("muon", "Muon", (
        ("default", {}),
        ("options", {"learning_rate": 0.05, "momentum": 0.8, "nesterov": False, "ns_steps": 3, "rms_rate": None,
                     "adam_lr_ratio": 0.5, "weight_decay": 0.1, "adam_weight_decay": None}),
        ("coefficients", {"learning_rate": 0.05, "muon_a": 3.0, "muon_b": -4.0, "muon_c": 2.0, "adam_beta_1": 0.8,
                          "adam_beta_2": 0.9, "epsilon": 0.1}),
    )),
    ("schedule-free", "ScheduleFreeAdamW", (
        ("default", {}),
        ("options", {"learning_rate": 0.05, "beta_1": 0.7, "beta_2": 0.9, "epsilon": 0.1, "warmup_steps": 8}),
    )),
)  # fmt: skip

# The gradients are standard normals, so a norm of the (4, 3) weight is near 3.5: one bound that always bites, and one
# that bites on some steps only.
_COMMON: tuple[tuple[str, dict[str, Any]], ...] = (
    ("clipnorm", {"clipnorm": 1.0}),
    ("clipnorm-at-times", {"clipnorm": 3.4}),
    ("clipvalue", {"clipvalue": 0.5}),
    ("global-clipnorm", {"global_clipnorm": 1.0}),
    ("global-clipnorm-at-times", {"global_clipnorm": 3.8}),
    ("weight-decay", {"weight_decay": 0.05}),
    ("weight-decay-clipvalue", {"weight_decay": 0.05, "clipvalue": 0.5}),
)
_RATES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("sgd", "SGD", {"learning_rate": 0.1, "momentum": 0.5}),
    ("rmsprop", "RMSprop", {"learning_rate": 0.01}),
    ("adagrad", "Adagrad", {"learning_rate": 0.1}),
    ("adam", "Adam", {"learning_rate": 0.05}),
)


def _optimizer(id: str, name: str, kwargs: dict[str, Any]) -> OptimizerCase:
    if name in ("Adam", "Lamb", "ScheduleFreeAdamW", "Muon"):
        return OptimizerCase(id, name, kwargs, tolerance=1.5e-5, reason=POWERS)
    return OptimizerCase(id, name, kwargs)


OPTIMIZERS: tuple[OptimizerCase, ...] = (
    *(_optimizer(f"{prefix}-{id}", name, kwargs) for prefix, name, rows in _OPTIONS for id, kwargs in rows),
    *(
        _optimizer(f"{prefix}-{id}", name, {**kwargs, **common})
        for prefix, name, kwargs in _RATES
        for id, common in _COMMON
    ),
)

OPTIMIZER_CHOICES: tuple[tuple[str, Constructor], ...] = (
    ("sgd", ("SGD", {"learning_rate": 0.05, "momentum": 0.9})),
    ("rmsprop", ("RMSprop", {"learning_rate": 0.01})),
    ("adam", ("Adam", {"learning_rate": 0.01})),
    ("adagrad", ("Adagrad", {"learning_rate": 0.1})),
)
OTHER_CHOICES: tuple[tuple[str, Constructor], ...] = (
    ("adamw", ("AdamW", {"learning_rate": 0.01})),
    ("adamax", ("Adamax", {"learning_rate": 0.02})),
    ("nadam", ("Nadam", {"learning_rate": 0.01})),
    ("adadelta", ("Adadelta", {"learning_rate": 2.0})),
    ("lion", ("Lion", {"learning_rate": 0.005})),
    ("lamb", ("Lamb", {"learning_rate": 0.01})),
    ("ftrl", ("Ftrl", {"learning_rate": 0.1})),
    ("adafactor", ("Adafactor", {"learning_rate": 0.05})),
    ("muon", ("Muon", {"learning_rate": 0.01})),
    ("schedule-free", ("ScheduleFreeAdamW", {"learning_rate": 0.02})),
)
SGD, RMSPROP, ADAM, ADAGRAD = (constructor for _, constructor in OPTIMIZER_CHOICES)

REGRESSION: tuple[Constructor, ...] = (("Dense", {"units": 8, "activation": "tanh"}), ("Dense", {"units": 2}))
SOFTMAX: tuple[Constructor, ...] = (
    ("Dense", {"units": 8, "activation": "relu"}),
    ("Dense", {"units": 3, "activation": "softmax"}),
)
LOGITS: tuple[Constructor, ...] = (("Dense", {"units": 8, "activation": "softplus"}), ("Dense", {"units": 3}))
BINARY: tuple[Constructor, ...] = (
    ("Dense", {"units": 6, "activation": "tanh"}),
    ("Dense", {"units": 1, "activation": "sigmoid"}),
)
# The convolution has no bias: batch normalization removes it, and the rounding noise that would be its gradient is
# what Adam and RMSprop would normalize into a full step.
CNN: tuple[Constructor, ...] = (
    ("Conv2D", {"filters": 4, "kernel_size": 3, "use_bias": False}),
    ("BatchNormalization", {"momentum": 0.9}),
    ("Activation", {"activation": "relu"}),
    ("MaxPooling2D", {}),
    ("Flatten", {}),
    ("Dense", {"units": 3, "activation": "softmax"}),
)
RECURRENT: tuple[Constructor, ...] = (("LSTM", {"units": 5}), ("Dense", {"units": 3, "activation": "softmax"}))
RECURRENT_MASKED: tuple[Constructor, ...] = (("Masking", {}), *RECURRENT)
REGULARIZED: tuple[Constructor, ...] = (
    ("Dense", {"units": 8, "activation": "tanh", "kernel_regularizer": "l2"}),
    ("Dense", {"units": 2, "kernel_regularizer": "l2", "bias_regularizer": "l2"}),
)

ACTIVE: tuple[Constructor, ...] = (
    ("Dense", {"units": 8, "activation": "tanh", "activity_regularizer": "l2"}),
    ("Dense", {"units": 2}),
)
CONSTRAINED: tuple[Constructor, ...] = (
    ("Dense", {"units": 8, "activation": "tanh", "kernel_constraint": "unit_norm"}),
    ("Dense", {"units": 2, "kernel_constraint": "non_neg", "bias_constraint": "non_neg"}),
)
# A frozen batch normalization uses its moving averages in training, too.
FROZEN: tuple[Constructor, ...] = (
    ("Conv2D", {"filters": 4, "kernel_size": 3, "trainable": False}),
    ("BatchNormalization", {"trainable": False}),
    *CNN[2:],
)
# The mask reaches the loss.
SEQUENCE: tuple[Constructor, ...] = (
    ("Masking", {}),
    ("LSTM", {"units": 4, "return_sequences": True}),
    ("Dense", {"units": 2}),
)

SPARSE = "sparse_categorical_crossentropy"
ACCURACY = ("accuracy",)

FITS: tuple[FitCase, ...] = (
    *(
        case
        for id, optimizer in OPTIMIZER_CHOICES
        for case in (
            FitCase(f"regression-{id}", REGRESSION, (4,), "normal", 2, optimizer, "mean_squared_error", ("mae",)),
            FitCase(f"softmax-{id}", SOFTMAX, (4,), "sparse", 3, optimizer, SPARSE, ACCURACY),
            FitCase(f"binary-{id}", BINARY, (4,), "binary", 1, optimizer, "binary_crossentropy", ACCURACY),
            FitCase(f"cnn-{id}", CNN, (6, 6, 1), "sparse", 3, optimizer, SPARSE, ACCURACY, validation_rows=15),
            FitCase(f"lstm-{id}", RECURRENT, (5, 2), "sparse", 3, optimizer, SPARSE, ACCURACY),
        )
    ),
    *(
        FitCase(f"regression-{id}", REGRESSION, (4,), "normal", 2, optimizer, "mean_squared_error", ("mae",))
        for id, optimizer in OTHER_CHOICES
    ),
    FitCase("batch-32", REGRESSION, (4,), "normal", 2, SGD, "mse", ("mse", "mae"), batch_size=32, epochs=7),
    FitCase("mae-loss", REGRESSION, (4,), "normal", 2, SGD, "mae", ("mse",)),
    FitCase("one-hot", SOFTMAX, (4,), "one_hot", 3, ADAM, "categorical_crossentropy", ACCURACY),
    FitCase("logits", LOGITS, (4,), "sparse", 3, ADAM, ("SparseCategoricalCrossentropy", {"from_logits": True}),
            ("acc", "sparse_categorical_accuracy")),
    FitCase("label-smoothing", LOGITS, (4,), "one_hot", 3, SGD,
            ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}), ("categorical_accuracy",)),
    FitCase("l2", REGULARIZED, (4,), "normal", 2, SGD, "mse", ("mae",), validation_split=0.2),
    FitCase("l2-adam", REGULARIZED, (4,), "normal", 2, ADAM, "mse", ("mae",)),
    FitCase("validation-split", SOFTMAX, (4,), "sparse", 3, SGD, SPARSE, ACCURACY, validation_split=0.25),
    FitCase("validation-data", REGRESSION, (4,), "normal", 2, ADAM, "mse", ("mae",), validation_rows=23),
    FitCase("sample-weight", REGRESSION, (4,), "normal", 2, SGD, "mse", ("mae",), ("mae", "mse"), sample_weight=True),
    FitCase("sample-weight-split", SOFTMAX, (4,), "sparse", 3, ADAM, SPARSE, ACCURACY, ("accuracy",),
            sample_weight=True, validation_split=0.2),
    FitCase("class-weight", SOFTMAX, (4,), "sparse", 3, SGD, SPARSE, ACCURACY, ("accuracy",),
            class_weight={0: 1.0, 1: 3.0, 2: 0.25}),
    FitCase("class-weight-missing-key", BINARY, (4,), "binary", 1, SGD, "bce", ACCURACY, class_weight={1: 2.5}),
    FitCase("class-weight-one-hot", SOFTMAX, (4,), "one_hot", 3, SGD, "categorical_crossentropy", ACCURACY,
            class_weight={0: 1.0, 1: 3.0, 2: 0.25}),
    FitCase("activity-regularizer", ACTIVE, (4,), "normal", 2, SGD, "mse", ("mae",), validation_rows=23),
    FitCase("constraints", CONSTRAINED, (4,), "normal", 2, SGD, "mse", ("mae",)),
    FitCase("frozen-layers", FROZEN, (6, 6, 1), "sparse", 3, SGD, SPARSE, ACCURACY, validation_rows=15),
    FitCase("masked-sequence", SEQUENCE, (6, 2), "sequence", 2, SGD, "mse", ("mae",), validation_split=0.2),
    FitCase("masking-lstm", RECURRENT_MASKED, (6, 2), "sparse", 3, ADAM, SPARSE, ACCURACY),
    FitCase("clipnorm-weight-decay", SOFTMAX, (4,), "sparse", 3,
            ("Adam", {"learning_rate": 0.01, "clipnorm": 0.5, "weight_decay": 0.01}), SPARSE, ACCURACY),
    # Losses and metrics of every family, in the words `compile` takes.
    FitCase("metrics-binary", BINARY, (4,), "binary", 1, SGD, "binary_crossentropy",
            ("AUC", "Precision", "recall", "binary_accuracy", "FalsePositives"), validation_rows=23),
    FitCase("metrics-options", BINARY, (4,), "binary", 1, SGD, "binary_focal_crossentropy",
            (("AUC", {"curve": "PR", "name": "area"}), ("Precision", {"thresholds": [0.3, 0.7], "name": "p"}),
             ("SpecificityAtSensitivity", {"sensitivity": 0.5, "name": "s"}), "bce", "acc"), validation_split=0.2),
    FitCase("metrics-weighted", BINARY, (4,), "binary", 1, ADAGRAD, "bce", ("AUC",), ("AUC", "Recall", "bce"),
            sample_weight=True, validation_split=0.2),
    FitCase("metrics-regression", REGRESSION, (4,), "normal", 2, SGD, "huber",
            ("R2Score", "RootMeanSquaredError", "cosine_similarity", "log_cosh_error"), validation_split=0.2),
    FitCase("metrics-one-hot", SOFTMAX, (4,), "one_hot", 3, SGD, "crossentropy",
            (("F1Score", {"average": None}), "accuracy", "categorical_crossentropy",
             ("OneHotMeanIoU", {"num_classes": 3, "name": "iou"}))),
    FitCase("metrics-sparse", SOFTMAX, (4,), "sparse", 3, SGD, "ce",
            ("acc", ("SparseTopKCategoricalAccuracy", {"k": 2, "name": "top"}), SPARSE), validation_rows=23),
    FitCase("metrics-class-weight", SOFTMAX, (4,), "one_hot", 3, SGD, "categorical_focal_crossentropy",
            ("categorical_accuracy",), ("categorical_accuracy", ("Precision", {"class_id": 1, "name": "p"})),
            class_weight={0: 1.0, 1: 3.0, 2: 0.25}),
    FitCase("loss-weights", REGULARIZED, (4,), "normal", 2, SGD, "mse", ("mae",), loss_weights=0.25, validation_rows=23),
    FitCase("dice-loss", BINARY, (4,), "binary", 1, SGD, "dice", ("accuracy",), validation_rows=23),
    FitCase("tversky-loss-weighted", BINARY, (4,), "binary", 1, SGD, ("Tversky", {"alpha": 0.3, "axis": [1]}), ("acc",),
            sample_weight=True),
    FitCase("hinge-loss", BINARY, (4,), "binary", 1, SGD, "squared_hinge", ("hinge", "acc")),
    FitCase("generalized-loss", SOFTMAX, (4,), "sparse", 3, SGD, ("CategoricalGeneralizedCrossEntropy", {"q": 0.7}),
            ACCURACY),
)  # fmt: skip
