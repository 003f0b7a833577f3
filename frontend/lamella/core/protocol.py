"""What training, lowering, saving and export ask of a model and of its layers, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from lamella.core.variable import Variable


class LayerLike(Protocol):
    """A layer as a trace sees it: a name within its parent, and whether its weights are trained."""

    name: str

    @property
    def trainable(self) -> bool:
        """Whether the weights may be trained."""
        ...

    def name_of(self, layer: Any) -> str:
        """The name of `layer` among the children."""
        ...


class Trainable(LayerLike, Protocol):
    """A model as training, lowering, saving and export see it: what it takes and gives, its weights, and its call.

    Inputs and outputs are structures (`lamella.tree`): a single array, or lists, tuples and dicts of arrays, nested.

    Attributes:
        seed: decides the initial weights, the random masks and the order of the rows.
        built: whether the weights exist.
        input_shape: the shape of each input, None for what is left free, in the structure of the inputs.
    """

    seed: int
    built: bool
    input_shape: Any

    @property
    def stateful_path(self) -> str | None:
        """The path of a layer that carries a state from batch to batch, or None."""
        ...

    @property
    def has_input_shape(self) -> bool:
        """Whether the input shape is known."""
        ...

    @property
    def input_spec(self) -> Any:
        """The spec of each input, in their structure: what is left free is a `Dim`; batches are cast to its dtype."""
        ...

    @property
    def output_spec(self) -> Any:
        """The spec of each output for such a batch, in their structure."""
        ...

    @property
    def input_names(self) -> list[str]:
        """A name for each input, in the order of the leaves; the keys where the inputs are a dict."""
        ...

    @property
    def output_names(self) -> list[str]:
        """A name for each output, in the order of the leaves; the keys where the outputs are a dict."""
        ...

    @property
    def fixed_batch_size(self) -> int | None:
        """The number of examples that every batch has; None where it is free."""
        ...

    @property
    def layers(self) -> Sequence[Any]:
        """The layers in the order in which they are called."""
        ...

    @property
    def children(self) -> Mapping[str, Any]:
        """The layers by their name within the model."""
        ...

    @property
    def variables(self) -> list[Variable]:
        """All variables."""
        ...

    @property
    def trainable_variables(self) -> list[Variable]:
        """The variables an optimizer may change."""
        ...

    @property
    def backend_name(self) -> str:
        """The backend that the model runs on."""
        ...

    def named_weights(self) -> list[tuple[str, Variable]]:
        """Every variable once, with its path."""
        ...

    def frozen_layers(self) -> frozenset[int]:
        """Ids of the layers that are not trainable now."""
        ...

    def arranged(self, x: Any, what: str = "x") -> Any:
        """What the user gave as inputs, in the structure of the inputs; as it is where that is not known yet."""
        ...

    def check_batch(self, specs: Any) -> Any:
        """`specs`, in the structure of the inputs, where such a batch fits the model."""
        ...

    def build(self, input_shape: Any) -> None:
        """Make the weights for batches of `input_shape`."""
        ...

    def build_for(self, batch: Any) -> None:
        """Make the weights, as far as they are not there, for data of which `batch`, a structure of specs, is the first."""
        ...

    def require_built(self) -> None:
        """Build the model, or raise where its input shape is not known or it has no layers."""
        ...

    def built_on_success(self) -> AbstractContextManager[None]:
        """What is built inside is undone where an exception leaves the block."""
        ...

    def call(self, inputs: Any, *, training: bool | None = None) -> Any:
        """The predictions for a batch, inside a trace."""
        ...

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The loss of a batch, inside a trace."""
        ...

    def snapshot(self) -> Trainable:
        """The same layers in a model that later changes of this one do not reach."""
        ...
