"""The options that optimizers share, wrappers of optimizers, and learning-rate schedules."""

from __future__ import annotations

from typing import Any

from .rows import POWERS, TWENTY_STEPS, Constructor, ScheduleCase, UpdateCase

# Every optimizer, with arguments whose twenty steps move the weights visibly.
_PLAIN: tuple[tuple[str, Constructor], ...] = (
    ("sgd", ("SGD", {"learning_rate": 0.1, "momentum": 0.5})),
    ("rmsprop", ("RMSprop", {"learning_rate": 0.01})),
    ("adagrad", ("Adagrad", {"learning_rate": 0.1})),
    ("adadelta", ("Adadelta", {"learning_rate": 1.0})),
    ("adam", ("Adam", {"learning_rate": 0.05})),
    ("adamw", ("AdamW", {"learning_rate": 0.05})),
    ("adamax", ("Adamax", {"learning_rate": 0.05})),
    ("nadam", ("Nadam", {"learning_rate": 0.05})),
    ("lamb", ("Lamb", {"learning_rate": 0.05})),
    ("lion", ("Lion", {"learning_rate": 0.01})),
    ("ftrl", ("Ftrl", {"learning_rate": 0.1})),
    ("adafactor", ("Adafactor", {"learning_rate": 0.1})),
    ("muon", ("Muon", {"learning_rate": 0.05})),
    ("schedule-free", ("ScheduleFreeAdamW", {"learning_rate": 0.05})),
)

COMMON: tuple[tuple[str, dict[str, Any]], ...] = (
    ("weight-decay", {"weight_decay": 0.05}),
    ("clipnorm", {"clipnorm": 1.0}),
    ("clipvalue", {"clipvalue": 0.5}),
    ("global-clipnorm", {"global_clipnorm": 3.8}),
    ("ema", {"use_ema": True, "ema_momentum": 0.8}),
    ("ema-overwrite", {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 3}),
    ("loss-scale", {"loss_scale_factor": 8.0}),
    ("accumulation", {"gradient_accumulation_steps": 3}),
    ("schedule", {
        "learning_rate": ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 4, "decay_rate": 0.7}),
    }),
)  # fmt: skip
"""Each option alone."""

_TOGETHER: tuple[tuple[str, dict[str, Any]], ...] = (
    ("accumulation-clipnorm", {"gradient_accumulation_steps": 4, "clipnorm": 1.0, "weight_decay": 0.05}),
    ("accumulation-ema", {"gradient_accumulation_steps": 2, "use_ema": True, "ema_overwrite_frequency": 4}),
    ("accumulation-schedule", {
        "gradient_accumulation_steps": 3, "loss_scale_factor": 4.0, "global_clipnorm": 1.0,
        "learning_rate": ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 15}),
    }),
)  # fmt: skip


# What loses digits in float32 on Keras's side: corrections by 1 - beta_2**t, and the factors of a Newton-Schulz iteration.
_LOOSE = {
    "adam": (1e-5, POWERS), "adamw": (1e-5, POWERS), "nadam": (1e-5, POWERS), "lamb": (1e-5, POWERS),
    "schedule-free": (1e-5, POWERS), "muon": (1e-5, "an iteration that magnifies rounding"),
    "adadelta": (1e-5, TWENTY_STEPS), "ftrl": (1e-5, TWENTY_STEPS),
}  # fmt: skip


def _row(prefix: str, name: str, kwargs: dict[str, Any], id: str, common: dict[str, Any], **more: Any) -> UpdateCase:
    tolerance, reason = _LOOSE.get(prefix, (3e-6, TWENTY_STEPS))
    return UpdateCase(f"{prefix}-{id}", name, {**kwargs, **common}, tolerance=tolerance, reason=reason, **more)


_ADAM: Constructor = ("Adam", {"learning_rate": 0.05})
_MAP: Constructor = (
    "OptimizerMap",
    {
        "default_optimizer": ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "clipnorm": 1.0}),
        "optimizer_map": {"bia.": ("Adam", {"learning_rate": 0.05}), "cube": ("Lion", {"learning_rate": 0.01})},
    },
)

UPDATES: tuple[UpdateCase, ...] = (
    *(
        _row(prefix, name, kwargs, id, common)
        for prefix, (name, kwargs) in _PLAIN
        for id, common in COMMON
    ),
    *(
        _row(prefix, name, kwargs, "excluded", {"weight_decay": 0.05}, excluded=("bias",))
        for prefix, (name, kwargs) in _PLAIN
    ),
    *(
        _row(prefix, name, kwargs, id, common)
        for prefix, (name, kwargs) in _PLAIN
        if prefix in ("sgd", "adam", "nadam", "adafactor")
        for id, common in _TOGETHER
    ),
    UpdateCase("muon-exclude-layers", "Muon", {"learning_rate": 0.05, "exclude_layers": ["ern"], "adam_lr_ratio": 0.5},
               tolerance=1e-5, reason=POWERS),
    UpdateCase("loss-scale-sgd", "LossScaleOptimizer", {
        "inner_optimizer": ("SGD", {"learning_rate": 0.5, "momentum": 0.9}), "initial_scale": 4.0,
        "dynamic_growth_steps": 3,
    }, infinite=(4, 5, 11)),
    UpdateCase("loss-scale-adam", "LossScaleOptimizer", {
        "inner_optimizer": ("Adam", {"learning_rate": 0.05, "global_clipnorm": 1.0, "use_ema": True}),
        "initial_scale": 1024.0, "dynamic_growth_steps": 2,
    }, infinite=(0, 9), tolerance=1e-5, reason=POWERS),
    UpdateCase("loss-scale-accumulation", "LossScaleOptimizer", {
        "inner_optimizer": ("Adam", {"learning_rate": 0.05, "gradient_accumulation_steps": 3}), "initial_scale": 2.0,
    }, infinite=(1, 7), tolerance=1e-5, reason=POWERS),
    UpdateCase("multi-map", "MultiOptimizer", {"optimizer_map": _MAP}, tolerance=1e-5, reason=POWERS),
    UpdateCase("multi-loss-scale", "MultiOptimizer", {"optimizer_map": _MAP, "loss_scale_factor": 16.0},
               tolerance=1e-5, reason=POWERS),
)  # fmt: skip

_STEPS = (0, 1, 2, 3, 5, 8, 13, 19, 20, 21, 34, 39, 40, 41, 55, 89, 144, 1000)

_SCHEDULES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("exponential", "ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5}),
    ("exponential-staircase", "ExponentialDecay",
     {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.9, "staircase": True}),
    ("inverse-time", "InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5}),
    ("inverse-time-staircase", "InverseTimeDecay",
     {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5, "staircase": True}),
    ("polynomial", "PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 20}),
    ("polynomial-power", "PolynomialDecay",
     {"initial_learning_rate": 0.1, "decay_steps": 20, "end_learning_rate": 0.01, "power": 2.0}),
    ("polynomial-root", "PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 50, "power": 0.5}),
    ("polynomial-cycle", "PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 20, "cycle": True}),
    ("polynomial-cycle-power", "PolynomialDecay",
     {"initial_learning_rate": 0.1, "decay_steps": 15, "power": 3.0, "cycle": True}),
    ("piecewise", "PiecewiseConstantDecay", {"boundaries": [5, 20, 40], "values": [1.0, 0.5, 0.1, 0.01]}),
    ("cosine", "CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 40}),
    ("cosine-alpha", "CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 40, "alpha": 0.2}),
    ("cosine-warmup", "CosineDecay",
     {"initial_learning_rate": 0.0, "decay_steps": 40, "warmup_target": 0.1, "warmup_steps": 5}),
    ("cosine-warmup-alpha", "CosineDecay",
     {"initial_learning_rate": 0.02, "decay_steps": 30, "alpha": 0.1, "warmup_target": 0.2, "warmup_steps": 13}),
    ("restarts", "CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 13}),
    ("restarts-even", "CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 8, "t_mul": 1.0}),
    ("restarts-falling", "CosineDecayRestarts",
     {"initial_learning_rate": 0.1, "first_decay_steps": 7, "t_mul": 1.5, "m_mul": 0.8, "alpha": 0.1}),
    ("restarts-even-falling", "CosineDecayRestarts",
     {"initial_learning_rate": 0.1, "first_decay_steps": 8, "t_mul": 1.0, "m_mul": 0.5}),
)  # fmt: skip

SCHEDULES: tuple[ScheduleCase, ...] = tuple(ScheduleCase(id, name, kwargs, _STEPS) for id, name, kwargs in _SCHEDULES)
