"""Optimizers written for Keras: `build` creates variables, `update_step` assigns them.

Their variables become slots, and `update_step` the rule for whole weights: in a step the variables hold symbolic
values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import initializers, ops
from lamella.core.held_variable import HeldVariable
from lamella.errors import ArgumentError
from lamella.ir import settings
from lamella.ir.spec import dtype_name, spec_of
from lamella.optimizers.own_loop import prepare
from lamella.optimizers.state import Slot, Slots, Weight

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, DTypeLike, Identifier, Tensor


class OptimizerVariable(HeldVariable):
    """An array of an optimizer's state, or the placeholder for a weight in `update_step`.

    Attributes:
        path: the path of the weight that it belongs to.
        initial: the initial value.
    """

    def __init__(self, name: str, shape: Sequence[int], dtype: str, path: str = "", initial: Any = 0.0) -> None:
        super().__init__(name, tuple(shape), dtype, None)
        self.path, self.initial = path, initial


class Built:
    """The variables that `build` created for some weights.

    Attributes:
        weights: the weights that `build` was called with, or placeholders.
        standing_in: for each weight the placeholder that `update_step` receives.
        slots: {name: the variable of each weight, or None}.
        shared: the variables that belong to no weight, by name.
        order: name and index of the weight (None for shared variables), in order of creation.
    """

    def __init__(self, variables: Sequence[Any]) -> None:
        self.weights = list(variables)
        self.standing_in = [OptimizerVariable(v.name, v.shape, v.dtype, getattr(v, "path", v.name)) for v in variables]
        self.slots: dict[str, list[OptimizerVariable | None]] = {}
        self.shared: dict[str, OptimizerVariable] = {}
        self.order: list[tuple[str, int | None]] = []

    def index(self, variable: Tensor) -> int:
        """The index of a weight.

        Raises:
            ArgumentError: `build` was not called with it.
        """
        for known in (self.weights, self.standing_in):
            for i, other in enumerate(known):
                if other is variable:
                    return i
        raise ArgumentError(f"the optimizer was not built for the variable {getattr(variable, 'name', variable)!r}.")

    def is_for(self, weights: Sequence[Weight]) -> bool:
        """Whether the variables were created for these weights, or weights with the same paths, shapes and dtypes."""
        if len(weights) != len(self.weights):
            return False
        pairs = zip(weights, self.weights, self.standing_in, strict=True)
        return all(
            weight.variable is made
            or (weight.path, weight.shape, weight.dtype) == (stand.path, stand.shape, stand.dtype)
            for weight, made, stand in pairs
        )


class KerasStyle:
    """The part of `Optimizer` that runs subclasses written with `build` and `update_step`.

    Attributes:
        built: whether `build` was called.
    """

    name: str
    built = False
    gradient_accumulation_steps: int | None
    _made: Built | None = None
    _counted: Any = None

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update a weight with `self.assign`; overridden by optimizers written for Keras.

        Args:
            gradient: the gradient.
            variable: the weight.
            learning_rate: the learning rate of the step.
        """
        raise NotImplementedError(f"the optimizer {type(self).__name__} does not define `rule`.")

    @property
    def in_keras_style(self) -> bool:
        """Whether the optimizer is written as `build` and `update_step`."""
        return type(self).update_step is not KerasStyle.update_step

    def build(self, variables: Sequence[Any]) -> None:
        """Create the state for these weights, before the first step would.

        Args:
            variables: the weights, `model.trainable_variables`.
        """
        self.built = True
        if self.in_keras_style:
            self._made = Built(variables)
        elif variables:
            prepare(self, variables)  # type: ignore[arg-type]

    @property
    def variables(self) -> list[Any]:
        """Step count, learning rate and slots as variables, in the order of Keras; assigning one changes the state.

        Example:
            >>> import lamella
            >>> optimizer, w = lamella.optimizers.SGD(0.5, momentum=0.9), lamella.Variable([1.0, 2.0], name="w")
            >>> optimizer.build([w])
            >>> [variable.name for variable in optimizer.variables]
            ['iteration', 'learning_rate', 'w_momentum']
        """
        from lamella.optimizers.variables import variables_of

        return list(variables_of(self))  # type: ignore[arg-type]

    # ---- what `build` and `update_step` call ----

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Identifier = "zeros",
        dtype: DTypeLike | None = None,
        aggregation: str = "none",
        layout: Any = None,
        name: str | None = None,
    ) -> Any:
        """Create a variable that belongs to no weight; called in `build`.

        Args:
            shape: the shape.
            initializer: the initial value: an initializer or its name.
            dtype: the dtype; None is `floatx`.
            aggregation: ignored: there is one copy of the variable.
            layout: ignored: the variable is not sharded.
            name: the name.

        Raises:
            ArgumentError: `super().build(variables)` was not called before.
        """
        made, label = self._begun(), name or "variable"
        while label in made.shared or label in made.slots:
            label = f"{label}_1"
        variable = _variable(
            label, tuple(shape), settings.floatx() if dtype is None else dtype_name(dtype), initializer
        )
        made.shared[label] = variable
        made.order.append((label, None))
        return variable

    def add_variable_from_reference(
        self, reference_variable: Tensor, name: str | None = None, initializer: Identifier = "zeros"
    ) -> Any:
        """Create a variable for a weight, with its shape and dtype; called in `build`.

        Args:
            reference_variable: the weight.
            name: the name.
            initializer: the initial value: an initializer or its name.
        """
        made, label = self._begun(), name or "var"
        number = made.index(reference_variable)
        while made.slots.get(label, [None] * (number + 1))[number] is not None:
            label = f"{label}_1"
        reference = made.standing_in[number]
        variable = _variable(label, reference.shape, reference.dtype, initializer)
        made.slots.setdefault(label, [None] * len(made.weights))[number] = variable
        made.order.append((label, number))
        return variable

    def add_optimizer_variables(
        self, trainable_variables: Sequence[Any], name: Any, initializer: Identifier = "zeros"
    ) -> Any:
        """Create one variable per weight and return them as a list; for a list of names, one list per name.

        Args:
            trainable_variables: the weights.
            name: the name, or several.
            initializer: the initial value, or one per name.
        """
        names = [name] if isinstance(name, str) else list(name)
        first = list(initializer) if isinstance(initializer, list | tuple) else [initializer] * len(names)
        found: tuple[list[Any], ...] = tuple([] for _ in names)
        for variable in trainable_variables:
            for made, word, kind in zip(found, names, first, strict=True):
                made.append(self.add_variable_from_reference(variable, word, kind))
        return found[0] if isinstance(name, str) else found

    def assign(self, variable: Any, value: Any) -> None:
        """Assign `value` to a variable."""
        variable.assign(value)

    def assign_add(self, variable: Any, value: Any) -> None:
        """Add `value` to a variable."""
        variable.assign_add(value)

    def assign_sub(self, variable: Any, value: Any) -> None:
        """Subtract `value` from a variable."""
        variable.assign_sub(value)

    def _get_variable_index(self, variable: Tensor) -> int:
        return self._begun().index(variable)

    def _begun(self) -> Built:
        if self._made is None:
            raise ArgumentError(f"{type(self).__name__}.build begins with `super().build(variables)`.")
        return self._made

    # ---- the same as slots and a rule ----

    @property
    def made_order(self) -> list[tuple[str, int | None]]:
        """Slot name and weight index (None for shared variables) of each variable that `build` created, in order."""
        return [] if self._made is None else self._made.order

    def _made_for(self, weights: Sequence[Weight]) -> Built:
        """The variables for these weights; calls `build` if the weights differ from those of the last call."""
        if self._made is None or not self._made.is_for(weights):
            self.built, self._made = False, None
            self.build([OptimizerVariable(w.name or "variable", w.shape, w.dtype, w.path) for w in weights])
        return self._begun()

    def _keras_slots(self, weights: Sequence[Weight]) -> list[dict[str, Slot]]:
        made = self._made_for(weights)
        return [
            {n: Slot(v.shape, v.dtype, v.initial) for n, held in made.slots.items() if (v := held[i]) is not None}
            for i in range(len(weights))
        ]

    def _keras_shared(self) -> dict[str, Slot]:
        shared = {} if self._made is None else self._made.shared
        return {name: Slot(v.shape, v.dtype, v.initial) for name, v in shared.items()}

    def rule_at(self, number: int) -> Any:
        """The rule of weight `number`, in the order in which `build` received the weights."""
        made = self._begun()

        def rule(w: Tensor, g: Tensor, slots: Slots, scalars: dict[str, Any]) -> tuple[Any, Slots]:
            variable = made.standing_in[number]
            held = {name: v for name in slots if (v := made.slots[name][number]) is not None}
            before = [(v, v.dtype) for v in (variable, *held.values())]
            try:
                for (each, _), value in zip(before, (w, *[slots[name] for name in held]), strict=True):
                    each.value, each.dtype = value, spec_of(value).dtype
                self.update_step(g, variable, scalars["learning_rate"])
                return variable.value, {name: v.value for name, v in held.items()}
            finally:
                for each, dtype in before:
                    each.value, each.dtype = None, dtype

        return rule

    def stepping(self, slots: Slots, count: ArrayLike) -> None:
        """Set the shared variables to their values in `slots`, and `iterations` to the number of updates."""
        for name, variable in self._begun().shared.items():
            variable.value = slots[name]
        self._counted = ops.cast(count, "int32")

    def stepped(self, slots: Slots, updates: Tensor | None) -> Slots:
        """The values of the shared variables after the step; unchanged in a step that only accumulates gradients."""
        self._counted = None
        after = {name: variable.value for name, variable in self._begun().shared.items()}
        for variable in self._begun().shared.values():
            variable.value = None
        if updates is None:
            return after
        return {name: ops.where(updates, value, slots[name]) for name, value in after.items()}


def _variable(name: str, shape: tuple[int, ...], dtype: str, initializer: Identifier) -> OptimizerVariable:
    drawn = np.asarray((initializers.get(initializer) or initializers.Zeros())(shape, dtype))
    first = drawn.reshape(-1)[0] if drawn.size else 0.0
    return OptimizerVariable(name, shape, dtype, initial=float(first) if (drawn == first).all() else drawn)
