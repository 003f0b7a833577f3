"""The base class of optimizers: learning rate, common options, state, and ways to run the update rule.

An optimizer states its rule once: `slots` (state per element of a weight), `scalars` (values that depend on the step
alone) and `rule`. The compiled training step, `apply` on arrays, and `as_optax` all run the same rule.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lamella import ops
from lamella.backend_api import load_backend, to_numpy
from lamella.core.variable import Variable
from lamella.errors import ArgumentError, did_you_mean
from lamella.names import Name, deprecated, snake_case
from lamella.optimizers.keras_style import KerasStyle
from lamella.optimizers.own_loop import OwnLoop, finalize_variables, set_step, update_variables
from lamella.optimizers.schedules import FunctionOfStep, InverseTimeDecay, LearningRateSchedule
from lamella.optimizers.schedules import get as get_schedule
from lamella.optimizers.state import LearningRate, Rates, Slot, Slots, Weight, weights_of
from lamella.optimizers.update import update
from lamella.tracebacks import filtered

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor

COMMON = (
    "weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum", "ema_overwrite_frequency",
    "loss_scale_factor", "gradient_accumulation_steps", "name",
)  # fmt: skip
"""The options that every optimizer takes after those specific to it, in this order; see `Optimizer`."""

# Arguments of earlier Keras releases without an effect in lamella, and the value at which they are accepted.
_NEUTRAL: dict[str, Any] = {"jit_compile": True, "is_legacy_optimizer": False}


class Optimizer(KerasStyle):
    """The base class of optimizers: subclass it and write `slots`, `scalars` and `rule`.

    Subclasses written for Keras, with `build` and `update_step`, work as well.

    Args:
        learning_rate: a number, a `LearningRateSchedule`, a function of the step written in `lamella.ops` (on JAX also
            one written in JAX, such as optax's schedules), or a function without arguments that returns a number. None
            is the class attribute `default_learning_rate`.
        weight_decay: decoupled weight decay: every update first subtracts learning_rate * weight_decay * w from every
            weight, biases included; see `exclude_from_weight_decay`.
        clipnorm: the gradient of each weight is scaled down to this Euclidean norm.
        clipvalue: gradients are clipped to [-clipvalue, clipvalue].
        global_clipnorm: all gradients together are scaled down to this Euclidean norm; a norm that is not finite makes
            them NaN.
        use_ema: keep an exponential moving average of every weight, average = ema_momentum average + (1 - ema_momentum)
            w after each step, which starts as the weights after the first step. At the end of `fit` the weights are set
            to their averages.
        ema_momentum: the decay rate of the averages, from 0 to 1.
        ema_overwrite_frequency: the number of updates after which the weights are also set to their averages.
        loss_scale_factor: the loss is multiplied by it before differentiation, and the gradients are divided by it.
        gradient_accumulation_steps: weights and slots change every `gradient_accumulation_steps` steps, by the mean of
            the gradients since the last update. As in Keras, schedules count steps, bias corrections count updates, and
            the averages of `use_ema` change on every step.
        name: the name in files; None is the class name in snake case ("rm_sprop", as in Keras).
        **kwargs: `lr` and `decay`, deprecated arguments of earlier Keras versions.

    Raises:
        ValueError: an argument is out of range, or more than one way of clipping is given.
        TypeError: an argument is unknown.

    Example:
        >>> import numpy as np
        >>> from lamella import ops, optimizers
        >>> class SignDescent(optimizers.Optimizer):
        ...     def rule(self, w, g, slots, scalars):
        ...         return ops.subtract(w, ops.multiply(scalars["learning_rate"], ops.sign(g))), {}
        >>> SignDescent(0.5, clipvalue=1.0).apply([np.array([0.1, -3.0])], [np.zeros(2)])
        [array([-0.5,  0.5])]
    """

    name: str = Name("an optimizer")  # type: ignore[assignment]
    default_learning_rate: ClassVar[float] = 0.001

    def __init__(
        self,
        learning_rate: Any = None,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        learning_rate = self._old_arguments(self._default_rate(learning_rate), kwargs)
        clips = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        given = {key: value for key, value in clips.items() if value is not None}
        if len(given) > 1:
            raise ValueError(f"an optimizer clips gradients in one way: choose one of {', '.join(given)}.")
        self.name = name or snake_case(type(self).__name__)
        self.weight_decay = _number("weight_decay", weight_decay, least=0.0)
        self.clipnorm = _number("clipnorm", clipnorm)
        self.clipvalue = _number("clipvalue", clipvalue)
        self.global_clipnorm = _number("global_clipnorm", global_clipnorm)
        self.use_ema = bool(use_ema)
        self.ema_momentum = fraction("ema_momentum", ema_momentum, closed=True)
        self.ema_overwrite_frequency = _count("ema_overwrite_frequency", ema_overwrite_frequency, 1)
        self.loss_scale_factor = _number("loss_scale_factor", loss_scale_factor)
        self.gradient_accumulation_steps = _count("gradient_accumulation_steps", gradient_accumulation_steps, 2)
        if self.ema_overwrite_frequency and not self.use_ema:
            raise ValueError("ema_overwrite_frequency has no effect without use_ema=True.")
        self._iterations: Any = 0  # `fit` stores an array of its backend, read on access
        self.own_loop = OwnLoop()
        self.training: Callable[[], Any] | None = None
        self._excluded: frozenset[int] = frozenset()
        self._excluded_names: re.Pattern[str] | None = None
        self._applied: Slots | None = None
        self._schedule: LearningRateSchedule | None = None
        self._function: Callable[[], Any] | None = None
        self._rate = 0.0
        self.learning_rate = learning_rate

    def _default_rate(self, learning_rate: Any) -> Any:
        return self.default_learning_rate if learning_rate is None else learning_rate

    def _old_arguments(self, learning_rate: Any, kwargs: dict[str, Any]) -> Any:
        """The learning rate after deprecated arguments; raises on unknown ones."""
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
                raise ValueError(f"{type(self).__name__}: the optimizers of lamella have no {key}; leave it out.")
        if kwargs:
            word = next(iter(kwargs))
            raise TypeError(f"{type(self).__name__} has no argument {word!r}: {did_you_mean(word, self._arguments())}")
        return learning_rate

    def _arguments(self) -> set[str]:
        code = type(self).__init__.__code__
        own = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
        return {"learning_rate", *COMMON, *own}

    # ---- learning rate ----

    @property
    def learning_rate(self) -> LearningRate:
        """The current learning rate as a number; of a schedule, its value at `iterations`.

        The number has an `assign` method, as Keras's variable has.
        """
        return LearningRate(self._current_rate(), self._assign_rate)

    def _current_rate(self) -> float:
        if self._schedule is not None:
            return float(np.asarray(self._schedule(np.asarray(self.iterations, np.uint32))))
        return float(self._function()) if self._function is not None else self._rate

    def _assign_rate(self, value: Any) -> None:
        if self._schedule is not None:
            raise ValueError(
                f"the learning rate is a {type(self._schedule).__name__}, a function of the step; to replace the schedule "
                "write `optimizer.learning_rate = ...`."
            )
        self.learning_rate = value

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        value = get_schedule(value) if isinstance(value, dict) else FunctionOfStep.where_it_is_one(value)
        self._schedule = value if isinstance(value, LearningRateSchedule) else None
        self._function = value if callable(value) and self._schedule is None else None
        if self._schedule is not None or self._function is not None:
            return
        try:
            self._rate = float(np.asarray(value).reshape(()))
        except (TypeError, ValueError):
            raise ValueError(
                "learning_rate must be a number, a LearningRateSchedule, or a function without arguments that returns "
                f"one, got {value!r}."
            ) from None

    lr = learning_rate
    """Keras 1's name."""

    @property
    def schedule(self) -> LearningRateSchedule | None:
        """The learning-rate schedule, or None. With a schedule, the rate depends on the step alone."""
        return self._schedule

    def schedules(self) -> list[LearningRateSchedule]:
        """The schedules in use."""
        return [] if self._schedule is None else [self._schedule]

    def with_learning_rate(self) -> list[Optimizer]:
        """The optimizers that have a learning rate: this one, or those that it wraps."""
        return [self]

    def rates(self) -> Rates:
        """The learning rates now, by the name of their leaf in a training state."""
        return {"learning_rate": self._current_rate()}

    # ---- weight decay ----

    def exclude_from_weight_decay(
        self, var_list: Sequence[Any] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Exclude weights from `weight_decay`; a second call replaces the first.

        Args:
            var_list: variables of the model.
            var_names: regular expressions, searched for in the paths of weights ("dense/bias").

        Example:
            >>> import numpy as np
            >>> import lamella
            >>> optimizer = lamella.optimizers.SGD(0.1, weight_decay=1.0)
            >>> optimizer.exclude_from_weight_decay(var_names=["bias"])
            >>> weights = {"dense/kernel": np.ones(1), "dense/bias": np.ones(1)}
            >>> optimizer.apply({path: np.zeros(1) for path in weights}, weights)
            {'dense/kernel': array([0.9]), 'dense/bias': array([1.])}
        """
        self._excluded = frozenset(id(variable) for variable in var_list or ())
        self._excluded_names = re.compile("|".join(var_names)) if var_names else None

    def decay_of(self, weight: Weight) -> float | None:
        """The weight decay of a weight, None or 0 for none."""
        return self.weight_decay if self._decays(weight) else None

    def _decays(self, weight: Weight) -> bool:
        named = self._excluded_names is not None and self._excluded_names.search(weight.path)
        return not named and id(weight.variable) not in self._excluded

    # ---- the rule, written by every optimizer ----

    def slots(self) -> dict[str, float | None]:
        """The state per element of a weight: names and initial values (None: the initial value of the weight)."""
        return {}

    def slots_of(self, weight: Weight) -> dict[str, Slot]:
        """The state for one weight; by default one array of the weight's shape per entry of `slots`."""
        return {name: Slot(weight.shape, weight.dtype, initial) for name, initial in self.slots().items()}

    def scalar_slots(self) -> dict[str, Slot]:
        """The state shared by all weights: arrays of shape ()."""
        return self._keras_shared()

    def elementwise(self, weight: Weight) -> bool:
        """Whether `rule` updates each element of this weight independently; otherwise it receives the whole weight."""
        return not self.in_keras_style

    def rule_at(self, number: int) -> Callable[..., tuple[Any, Slots]]:
        """The rule of weight `number`, for optimizers whose rule receives whole weights."""
        return super().rule_at(number) if self.in_keras_style else self.rule

    def scalars(self, step: ArrayLike, learning_rate: Tensor) -> dict[str, Any]:
        """The values of shape () that the rule uses and that depend on the step alone, in the dtype of `learning_rate`.

        Args:
            step: the number of updates before this one: uint32[].
            learning_rate: a float of shape ().
        """
        return {"learning_rate": learning_rate}

    def rule(self, w: Any, g: Any, slots: Slots, scalars: dict[str, Any]) -> tuple[Any, Slots]:
        """The new weight and the new slots: a pure function written in `lamella.ops`.

        Where `elementwise` is true, the function must treat each element independently.

        Args:
            w: the weight, float32 or wider.
            g: its gradient, clipped and unscaled.
            slots: the state of the weight, by name.
            scalars: the values that `scalars` returned, by name.
        """
        raise NotImplementedError(f"the optimizer {type(self).__name__} does not define `rule`.")

    # ---- state ----

    def slot_specs(self, weights: Sequence[Weight]) -> dict[str, Any]:
        """The state for these weights: `Slots` with a `Slot` for every array."""
        kept = self._keras_slots(weights) if self.in_keras_style else [self.slots_of(weight) for weight in weights]
        for weight, own in zip(weights, kept, strict=True):
            if self.use_ema:
                own["average"] = Slot(weight.shape, weight.dtype, None)
            if self.gradient_accumulation_steps:
                own["gradient_accumulator"] = Slot(weight.shape, weight.dtype)
        names = dict.fromkeys(name for own in kept for name in own)
        return {**{name: [own.get(name) for own in kept] for name in names}, **self.scalar_slots()}

    def initial_slots(self, weights: Sequence[Weight], params: Sequence[Any]) -> Slots:
        """The state before the first step, for weights with the values `params`."""
        found: Slots = {}
        for name, held in self.slot_specs(weights).items():
            if isinstance(held, Slot):
                found[name] = held.array()
            else:
                found[name] = [None if s is None else s.array(w) for s, w in zip(held, params, strict=True)]
        return found

    # ---- one update of all weights ----

    def scale_loss(self, loss: ArrayLike, slots: Mapping[str, Any] | None = None) -> Any:
        """The loss times its scale: the value to differentiate.

        Args:
            loss: a float of shape ().
            slots: the state, of which only the arrays of shape () are used; None: the state of the current step, or of
                `apply`.
        """
        return loss if self.loss_scale_factor is None else ops.multiply(loss, self.loss_scale_factor)

    def apply_gradients_program(
        self,
        params: Sequence[Any],
        gradients: Sequence[Any],
        slots: Slots,
        step: ArrayLike,
        rates: Mapping[str, Any] | None = None,
        weights: Sequence[Weight] | None = None,
    ) -> tuple[list[Any], Slots]:
        """One step: unscale, accumulate, clip, decay, update, average, constrain.

        The update is one multi-tensor `foreach` per group of weights with the same dtype and options.

        Works on symbolic values and on arrays. The rule is computed in the weights' dtype, but at least in float32.

        Args:
            params: the weights.
            gradients: one gradient of the scaled loss per weight; None leaves weight and slots unchanged.
            slots: the state, see `Slots`.
            step: the number of steps before this one: uint32[].
            rates: the learning rates that are numbers, as `rates` names them; None uses the optimizer's.
            weights: descriptions of the weights (paths, constraints); None: their shapes and dtypes alone.

        Returns:
            The new weights and the new slots, in the order of the arguments.
        """
        if self._schedule is not None:
            rate = self._schedule(step)
        else:
            rate = (rates or {}).get("learning_rate", self._current_rate())
        return update(self, weights or weights_of(params), params, gradients, slots, step, rate)

    def final_values(self, params: Sequence[Any], slots: Slots) -> list[Any]:
        """The weights at the end of `fit`: with `use_ema` their averages."""
        return list(slots["average"]) if self.use_ema else list(params)

    # ---- on arrays ----

    @property
    def iterations(self) -> Any:
        """The number of steps that `fit` or `apply` took; in `update_step`, the symbolic number of updates."""
        return int(to_numpy(self._iterations)) if self._counted is None else self._counted

    @iterations.setter
    def iterations(self, steps: Any) -> None:
        set_step(self, int(steps))

    def follow(self, training: Any) -> None:
        """Report the progress of a training from now on, and update variables of its model as part of it.

        Args:
            training: the owner of the `state`, which is replaced in every step.
        """
        self.training = weakref.ref(training)
        state = training.state
        self._reached(state.step, {slot: held[0] for slot, held in state.slots.items() if 0 in held})

    def _reached(self, step: ArrayLike, scalars: Mapping[str, Any]) -> None:
        """Record the number of steps taken; `scalars` are the slots shared by all weights."""
        self._iterations = step

    @filtered
    def apply(self, gradients: Any, variables: Any) -> Any:
        """Take one step in a custom training loop; slots and step count are kept in the optimizer.

        Args:
            gradients: one per weight, NumPy arrays or arrays of a loaded backend; None leaves the weight unchanged. A
                list, or a dict by path.
            variables: the current weights: arrays, or variables, which are assigned their new values. The keys of a
                dict are the weights' paths, which `exclude_from_weight_decay`, `Muon` and `MultiOptimizer` use;
                variables have paths.

        Returns:
            The new arrays: a list, or a dict where `variables` is one.

        Raises:
            ValueError: the numbers of gradients and weights differ, or none of the variables has a gradient.

        Example:
            >>> import numpy as np
            >>> import lamella
            >>> lamella.optimizers.SGD(0.5).apply([np.ones(2)], [np.zeros(2)])[0].tolist()
            [-0.5, -0.5]
        """
        paths = list(variables) if isinstance(variables, Mapping) else None
        if paths is not None:
            gradients, variables = [gradients.get(path) for path in paths], variables.values()
        gradients, variables = list(gradients), list(variables)
        if len(gradients) != len(variables):
            raise ArgumentError(f"expected one gradient per weight, got {len(gradients)} for {len(variables)} weights.")
        if any(isinstance(v, Variable) for v in variables):
            updated = update_variables(self, gradients, variables, paths)
        else:
            weights = weights_of(variables, paths)
            if self._applied is None:
                self._applied = self.initial_slots(weights, variables)
            step, before = np.asarray(self.iterations, np.uint32), self._applied
            updated, self._applied = self.apply_gradients_program(variables, gradients, before, step, weights=weights)
            self._reached(self.iterations + 1, self._applied)
        return updated if paths is None else dict(zip(paths, updated, strict=True))

    @filtered
    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> None:
        """Update variables with their gradients: in a `train_step` as part of the step, elsewhere immediately.

        Args:
            grads_and_vars: pairs of a gradient (or None) and a variable.

        Raises:
            ValueError: no variable has a gradient.
        """
        pairs = list(grads_and_vars)
        update_variables(self, [g for g, _ in pairs], [v for _, v in pairs], None)

    def finalize_variable_values(self, variables: Any) -> Any:
        """The final values of weights trained with `apply`, assigned to variables: with `use_ema` their averages."""
        if variables and all(isinstance(v, Variable) for v in variables):
            return finalize_variables(self, variables)
        if self._applied is None:
            return variables
        if isinstance(variables, Mapping):
            return dict(zip(variables, self.final_values(list(variables.values()), self._applied), strict=True))
        return self.final_values(variables, self._applied)

    def reset(self) -> None:
        """Discard the step count and the slots of `apply` and of custom training loops."""
        self._reached(0, {})
        self._applied, self.own_loop = None, OwnLoop()

    def __getstate__(self) -> dict[str, Any]:
        """The state of a copy, which belongs to no training."""
        return {**vars(self), "training": None, "own_loop": OwnLoop()}

    def as_optax(self) -> Any:
        """This optimizer as an `optax.GradientTransformation`: the same rule on JAX arrays, also under `jax.jit`.

        The state holds the slots and the step count; `update` needs the params. A learning rate that is a number is
        fixed when this method is called. With loss scaling, gradients must be those of `scale_loss(loss,
        state.scalars)`.
        """
        rates = self.rates()

        def initial(weights: Sequence[Any], paths: Sequence[str]) -> Slots:
            return self.initial_slots(weights_of(weights, paths), weights)

        def step(
            weights: Sequence[Any], gradients: Sequence[Any], slots: Slots, count: Tensor, paths: Sequence[str]
        ) -> tuple[list[Any], Slots]:
            known = weights_of(weights, paths)
            updated, new = self.apply_gradients_program(weights, gradients, slots, count, rates, known)
            return [ops.subtract(after, before) for after, before in zip(updated, weights, strict=True)], new

        return load_backend("jax").gradient_transformation(initial, step, self.name)

    # ---- configuration ----

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        return {
            "name": self.name,
            "learning_rate": self._current_rate() if self._schedule is None else self._schedule.to_config(),
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "global_clipnorm": self.global_clipnorm,
            "clipvalue": self.clipvalue,
            "use_ema": self.use_ema,
            "ema_momentum": self.ema_momentum,
            "ema_overwrite_frequency": self.ema_overwrite_frequency,
            "loss_scale_factor": self.loss_scale_factor,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
        }

    def serialized_config(self) -> dict[str, Any]:
        """The arguments for a file, in which a schedule is itself serialized."""
        config = self.get_config()
        if "learning_rate" in config and self.schedule is not None:
            config["learning_rate"] = self.schedule
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Optimizer:
        """The optimizer that `get_config` described."""
        return cls(**config)

    def __repr__(self) -> str:
        silent = {"use_ema": False, "ema_momentum": 0.99}
        given = {n: v for n, v in self.get_config().items() if v is not None and silent.get(n) != v}
        arguments = ", ".join(f"{name}={value!r}" for name, value in given.items())
        return f"{type(self).__name__}({arguments})"


def fraction(name: str, value: float, closed: bool = False) -> float:
    """`value` as a float in [0, 1), or in [0, 1] if `closed`.

    Raises:
        ValueError: it is outside.
    """
    if not (0.0 <= value < 1.0 or (closed and value == 1.0)):
        raise ValueError(f"{name} must be from 0 to 1, got {value}.")
    return float(value)


def _number(name: str, value: float | None, least: float | None = None) -> float | None:
    """`value` as a positive float, or as a float of at least `least`."""
    if value is None:
        return None
    if least is not None and not value >= least:
        raise ValueError(f"{name} must not be negative, got {value}.")
    if least is None and not value > 0:
        raise ValueError(f"{name} must be positive, got {value}.")
    return float(value)


def _count(name: str, value: int | None, least: int) -> int | None:
    """`value` as an integer of at least `least`; None and 0 are None, as in Keras."""
    if value is None or (isinstance(value, int | np.integer) and value == 0):
        return None
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, or None, got {value!r}.")
    return int(value)
