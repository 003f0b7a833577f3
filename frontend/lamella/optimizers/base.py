"""What every optimizer shares: learning rate, clipping, weight decay, state, and the one pass over all weights.

An optimizer states its rule once, for one number of a weight: `slots` (what it keeps beside each number), `scalars` (what
depends on the step only) and `rule`. The same rule runs in the compiled training step, in `apply` on arrays, and in
`as_optax`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from lamella import ops
from lamella.backend import load_backend
from lamella.errors import did_you_mean
from lamella.ir.spec import numpy_dtype, promote, spec_of
from lamella.names import deprecated, snake_case
from lamella.optimizers.schedules import InverseTimeDecay, LearningRateSchedule
from lamella.optimizers.schedules import get as get_schedule

Slots = dict[str, Any]

# Arguments of Keras's optimizers that lamella has no use for, and the value at which they do nothing.
_NEUTRAL: dict[str, Any] = {
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
    "jit_compile": True,
    "is_legacy_optimizer": False,
}


class Optimizer:
    """The base of all optimizers. Subclass it and write `slots`, `scalars` and `rule`.

    Args:
        learning_rate: a number, a `LearningRateSchedule`, or a function without arguments.
        weight_decay: every step first takes learning_rate * weight_decay * w from every weight, biases included.
        clipnorm: gradients of one weight are scaled down to this Euclidean norm.
        clipvalue: gradients are limited to [-clipvalue, clipvalue].
        global_clipnorm: all gradients together are scaled down to this Euclidean norm; a norm that is not finite makes
            them NaN.
        name: the name in files; by default the class's, in snake case ("rm_sprop", as in Keras).
        **kwargs: earlier Keras's `lr` and `decay`, which warn.

    Raises:
        ValueError: an argument is out of range, or more than one way of clipping is asked for.
        TypeError: an argument is unknown.
    """

    default_learning_rate: ClassVar[float] = 0.001

    def __init__(
        self,
        learning_rate: Any = None,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        learning_rate = self._old_arguments(self._default_rate(learning_rate), kwargs)
        clips = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        given = {key: value for key, value in clips.items() if value is not None}
        if len(given) > 1:
            raise ValueError(f"an optimizer clips one way: choose one of {', '.join(given)}.")
        for key, value in given.items():
            if not value > 0:
                raise ValueError(f"{key} is positive, got {value}.")
        if weight_decay is not None and weight_decay < 0:
            raise ValueError(f"weight_decay is not negative, got {weight_decay}.")
        self.name = name or snake_case(type(self).__name__)
        self.weight_decay = None if weight_decay is None else float(weight_decay)
        self.clipnorm = None if clipnorm is None else float(clipnorm)
        self.clipvalue = None if clipvalue is None else float(clipvalue)
        self.global_clipnorm = None if global_clipnorm is None else float(global_clipnorm)
        self.iterations = 0
        self._applied: dict[str, list[Any]] | None = None
        self._schedule: LearningRateSchedule | None = None
        self._function: Callable[[], Any] | None = None
        self._rate = 0.0
        self.learning_rate = learning_rate

    def _default_rate(self, learning_rate: Any) -> Any:
        return self.default_learning_rate if learning_rate is None else learning_rate

    def _old_arguments(self, learning_rate: Any, kwargs: dict[str, Any]) -> Any:
        """The learning rate after the words of earlier releases; complains of words nobody knows."""
        if "lr" in kwargs:
            deprecated("'lr'", "'learning_rate'")
            learning_rate = kwargs.pop("lr")
        if "decay" in kwargs:
            decay = float(kwargs.pop("decay"))
            deprecated("'decay'", "'learning_rate=InverseTimeDecay(learning_rate, 1, decay)'")
            if decay:
                learning_rate = InverseTimeDecay(float(learning_rate), 1, decay)
        for key in list(kwargs):
            if key in _NEUTRAL and kwargs[key] == _NEUTRAL[key]:
                del kwargs[key]
            elif key in _NEUTRAL:
                raise ValueError(f"{type(self).__name__}: lamella's optimizers have no {key}; leave it out.")
        if kwargs:
            word = next(iter(kwargs))
            known = {"learning_rate", "weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "name"}
            known |= set(type(self).__init__.__code__.co_varnames[1 : type(self).__init__.__code__.co_argcount])
            raise TypeError(f"{type(self).__name__} has no argument {word!r}: {did_you_mean(word, known)}")
        return learning_rate

    # ---- learning rate ----

    @property
    def learning_rate(self) -> float:
        """The learning rate now, as a number; of a schedule, its value at `iterations`."""
        if self._schedule is not None:
            return float(np.asarray(self._schedule(np.asarray(self.iterations, np.uint32))))
        return float(self._function()) if self._function is not None else self._rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        value = get_schedule(value) if isinstance(value, dict) else value
        self._schedule = value if isinstance(value, LearningRateSchedule) else None
        self._function = value if callable(value) and self._schedule is None else None
        if self._schedule is not None or self._function is not None:
            return
        try:
            self._rate = float(np.asarray(value).reshape(()))
        except (TypeError, ValueError):
            raise ValueError(
                "learning_rate is a number, a LearningRateSchedule, or a function without arguments that returns one; got "
                f"{value!r}."
            ) from None

    lr = learning_rate
    """Keras 1's name."""

    @property
    def schedule(self) -> LearningRateSchedule | None:
        """The learning-rate schedule, where there is one: then the step alone decides the rate."""
        return self._schedule

    # ---- the rule, written by every optimizer ----

    def slots(self) -> dict[str, float]:
        """What is kept beside each number of a weight: name and initial value."""
        return {}

    def scalars(self, step: Any, learning_rate: Any) -> dict[str, Any]:
        """What the rule needs that depends on the step only: values of shape () in the dtype of `learning_rate`.

        Args:
            step: how many updates were made before this one: uint32[].
            learning_rate: a float of shape ().
        """
        return {"learning_rate": learning_rate}

    def rule(self, w: Any, g: Any, slots: Slots, scalars: Slots) -> tuple[Any, Slots]:
        """The new number of a weight and the new slots, from its gradient `g`. Elementwise and pure."""
        raise NotImplementedError(f"the optimizer {type(self).__name__} does not say how it updates: write `rule`.")

    # ---- state ----

    def initial_slots(self, shapes: Sequence[Sequence[int]], dtypes: Sequence[str]) -> dict[str, list[np.ndarray]]:
        """The slots before the first step: for every slot one array a weight, of its shape and dtype."""
        return {
            name: [np.full(tuple(s), value, numpy_dtype(d)) for s, d in zip(shapes, dtypes, strict=True)]
            for name, value in self.slots().items()
        }

    # ---- one update of all weights ----

    def apply_gradients_program(
        self,
        params: Sequence[Any],
        gradients: Sequence[Any],
        slots: Mapping[str, Sequence[Any]],
        step: Any,
        learning_rate: Any = None,
        constraints: Sequence[Callable[[Any], Any] | None] | None = None,
    ) -> tuple[list[Any], dict[str, list[Any]]]:
        """One step: clip, decay, update (one `foreach` over all weights of a dtype), constrain.

        Works on symbolic values and on arrays. The rule is computed in the weights' dtype, but at least in float32.

        Args:
            params: the weights.
            gradients: one a weight; None leaves weight and slots as they are.
            slots: for every slot one tensor a weight.
            step: how many updates were made before: uint32[].
            learning_rate: a float of shape (); ignored where a schedule decides, and None asks the optimizer.
            constraints: for every weight a function of its new value, or None.

        Returns:
            The new weights and the new slots, ordered as they came.
        """
        names = list(self.slots())
        new_params: list[Any] = list(params)
        new_slots: dict[str, list[Any]] = {name: list(slots[name]) for name in names}
        chosen = [i for i, g in enumerate(gradients) if g is not None]
        if not chosen:
            return new_params, new_slots
        dtype = promote("float32", *[spec_of(params[i]).dtype for i in chosen])
        clipped, scale = self._clip([gradients[i] for i in chosen], dtype)
        if self._schedule is not None:
            rate = ops.cast(self._schedule(step), dtype)
        else:
            rate = ops.cast(self.learning_rate if learning_rate is None else learning_rate, dtype)
        scalars = self.scalars(step, rate)
        if self.weight_decay:
            scalars["weight_decay"] = ops.multiply(rate, self.weight_decay)
        if scale is not None:
            scalars["gradient_scale"] = scale
        rule = self._full_rule(names, list(scalars))
        for group in _by_dtype(params, chosen):
            gradient = dict(zip(chosen, clipped, strict=True))
            columns = [[params[i] for i in group], [gradient[i] for i in group]]
            columns += [[slots[name][i] for i in group] for name in names]
            results = ops.foreach(rule, columns, list(scalars.values()))
            for place, i in enumerate(group):
                new_params[i] = results[0][place]
                for name, column in zip(names, results[1:], strict=True):
                    new_slots[name][i] = column[place]
        for i in chosen:
            constraint = constraints[i] if constraints is not None else None
            if constraint is not None:
                new_params[i] = constraint(new_params[i])
        return new_params, new_slots

    def _full_rule(self, names: list[str], scalar_names: list[str]) -> Callable[..., list[Any]]:
        """`rule` with clipping by value, scaling of gradients and weight decay before it, on plain arguments."""

        def rule(w: Any, g: Any, *rest: Any) -> list[Any]:
            kept = spec_of(w).dtype
            dtype = promote("float32", kept)
            slots = {name: ops.cast(x, dtype) for name, x in zip(names, rest, strict=False)}
            scalars = {name: ops.cast(x, dtype) for name, x in zip(scalar_names, rest[len(names) :], strict=True)}
            w, g = ops.cast(w, dtype), ops.cast(g, dtype)
            if self.clipvalue is not None:
                g = ops.clip(g, -self.clipvalue, self.clipvalue)
            if "gradient_scale" in scalars:
                g = ops.multiply(g, scalars.pop("gradient_scale"))
            if "weight_decay" in scalars:
                w = ops.subtract(w, ops.multiply(w, scalars.pop("weight_decay")))
            w, slots = self.rule(w, g, slots, scalars)
            return [ops.cast(x, kept) for x in (w, *[slots[name] for name in names])]

        return rule

    def _clip(self, gradients: list[Any], dtype: str) -> tuple[list[Any], Any]:
        """The gradients clipped by their own norms, and a factor for all of them (None without one)."""
        if self.clipnorm is not None:
            limit = self.clipnorm

            def clipped(g: Any) -> Any:
                wide = ops.cast(g, promote("float32", spec_of(g).dtype))
                norm = ops.sqrt(ops.sum(ops.square(wide)))
                return ops.cast(ops.multiply(wide, ops.divide(limit, ops.maximum(norm, limit))), spec_of(g).dtype)

            return [clipped(g) for g in gradients], None
        if self.global_clipnorm is not None:
            total: Any = None
            for g in gradients:
                squares = ops.sum(ops.square(ops.cast(g, dtype)))
                total = squares if total is None else ops.add(total, squares)
            norm = ops.sqrt(total)
            # the difference is 0, or NaN for a norm that is not finite: then no weight survives unnoticed
            poison = ops.subtract(norm, norm)
            limit = self.global_clipnorm
            return gradients, ops.add(ops.divide(limit, ops.maximum(norm, limit)), poison)
        return gradients, None

    # ---- on arrays ----

    def apply(self, gradients: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
        """One step on arrays, for training loops of one's own: the new arrays; slots and step are kept here.

        Args:
            gradients: one a weight, NumPy arrays or a loaded backend's; None leaves the weight as it is.
            variables: the weights now.
        """
        if self._applied is None:
            shapes = [tuple(v.shape) for v in variables]
            self._applied = dict(self.initial_slots(shapes, [spec_of(v).dtype for v in variables]))
        step = np.asarray(self.iterations, np.uint32)
        updated, self._applied = self.apply_gradients_program(variables, gradients, self._applied, step)
        self.iterations += 1
        return updated

    def reset(self) -> None:
        """Forget the steps and slots of `apply`."""
        self.iterations, self._applied = 0, None

    def as_optax(self) -> Any:
        """This optimizer as an `optax.GradientTransformation`: the same rule on JAX arrays, also under `jax.jit`.

        The state holds the slots and the count of steps; `update` needs the params. A learning rate that is a number is
        fixed when this is called.
        """
        rate = self.learning_rate

        def initial(weights: Sequence[Any]) -> dict[str, list[np.ndarray]]:
            return self.initial_slots([tuple(w.shape) for w in weights], [spec_of(w).dtype for w in weights])

        def step(
            weights: Sequence[Any], gradients: Sequence[Any], slots: Mapping[str, Sequence[Any]], count: Any
        ) -> tuple[list[Any], dict[str, list[Any]]]:
            updated, new = self.apply_gradients_program(weights, gradients, slots, count, rate)
            return [ops.subtract(after, before) for after, before in zip(updated, weights, strict=True)], new

        return load_backend("jax").gradient_transformation(initial, step, self.name)

    # ---- configuration ----

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal optimizer."""
        rate = self._schedule.to_config() if self._schedule is not None else self.learning_rate
        return {
            "name": self.name,
            "learning_rate": rate,
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "global_clipnorm": self.global_clipnorm,
            "clipvalue": self.clipvalue,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Optimizer:
        """The optimizer that `get_config` described."""
        return cls(**config)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items() if value is not None)
        return f"{type(self).__name__}({arguments})"


def _by_dtype(params: Sequence[Any], chosen: Sequence[int]) -> list[list[int]]:
    groups: dict[str, list[int]] = {}
    for i in chosen:
        groups.setdefault(spec_of(params[i]).dtype, []).append(i)
    return list(groups.values())
