"""The weights of a layer, including those of the layers inside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella.core import context, freezing
from lamella.core.variable import Variable
from lamella.errors import ShapeError
from lamella.ir.interpret import to_numpy

if TYPE_CHECKING:
    from lamella.layers.base import Layer


class HeldWeights:
    """The part of a layer that lists its variables, sets them, and knows which are trained."""

    name: str
    built: bool
    _variables: list[Variable]
    _trainable: bool

    if TYPE_CHECKING:

        @property
        def children(self) -> dict[str, Layer]:
            """See `Layer.children`."""
            ...

        def name_of(self, layer: Layer) -> str:
            """See `Layer.name_of`."""
            ...

    def named_variables(self, prefix: str = "") -> Iterator[tuple[str, Variable]]:
        """Iterate over the variables with their paths: the layer's first, then those of the layers inside it.

        Args:
            prefix: text in front of every path.
        """
        for variable in self._variables:
            yield prefix + variable.name, variable
        for name, child in self.children.items():
            yield from child.named_variables(f"{prefix}{name}/")

    @property
    def variables(self) -> list[Variable]:
        """All variables: the layer's first, then those of the layers inside it."""
        return _distinct(v for _, v in self.named_variables())

    @property
    def weights(self) -> list[Variable]:
        """The same as `variables`."""
        return self.variables

    @property
    def trainable_variables(self) -> list[Variable]:
        """The variables that an optimizer may update."""
        if not self._trainable:
            return []
        own = [v for v in self._variables if v.trainable]
        return _distinct([*own, *[v for child in self.children.values() for v in child.trainable_variables]])

    @property
    def trainable_weights(self) -> list[Variable]:
        """The same as `trainable_variables`."""
        return self.trainable_variables

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """The variables that an optimizer may not update."""
        trained = set(map(id, self.trainable_variables))
        return [v for v in self.variables if id(v) not in trained]

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The same as `non_trainable_variables`."""
        return self.non_trainable_variables

    @property
    def trainable(self) -> bool:
        """Whether the layer's weights may be trained; setting it also sets it for the layers inside.

        A compiled model trains what is trainable when `fit` begins. There is one exception: a model that is frozen as a
        whole after it was compiled, as the discriminator of a GAN is, is trained as before until it is compiled again.
        """
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        freezing.changed()
        for child in self.children.values():
            child.trainable = value

    @property
    def trains(self) -> bool:
        """Whether the layer is trainable in the current call: for a compiled model, its value when training began."""
        running = context.current()
        return self._trainable if running is None else running.trains(self)

    @property
    def losses(self) -> list[Any]:
        """The penalties on the trained weights; in a `train_step` also those that layers have added so far."""
        running = context.current()
        added = [] if running is None else running.losses
        return [*added, *[v.regularizer(v.value) for v in self.trainable_variables if v.regularizer is not None]]

    def get_weights(self) -> list[np.ndarray]:
        """The values of all variables as NumPy arrays (copies), in Keras's order."""
        return [v.numpy() for v in self.variables]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set all variables.

        Args:
            weights: list of arrays in the order of `get_weights`.

        Raises:
            ShapeError: the number of arrays or a shape does not match; no variable is changed then.
        """
        variables = self.variables
        arrays = [to_numpy(w) for w in weights]
        if len(arrays) != len(variables):
            raise ShapeError(
                f"Layer {self.name!r} has {len(variables)} weights, set_weights got {len(arrays)}"
                + ("." if self.built or variables else "; it is not built yet: give an input shape first.")
            )
        for variable, array in zip(variables, arrays, strict=True):
            if array.shape != variable.shape:
                raise ShapeError(
                    f"Layer {self.name!r}: weight {variable.name!r} has shape {variable.shape}, got {array.shape}."
                )
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)

    def count_params(self) -> int:
        """The total number of entries of all variables."""
        return sum(int(np.prod(v.shape, dtype=np.int64)) for v in self.variables)


def _distinct(variables: Any) -> list[Variable]:
    return list({id(v): v for v in variables}.values())
