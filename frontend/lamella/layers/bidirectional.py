"""Run a recurrent layer over a sequence in both directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from lamella import ops
from lamella.core import context
from lamella.ir.spec import Shape, Spec
from lamella.layers.base import Layer
from lamella.layers.rnn import declared_batch

if TYPE_CHECKING:
    from lamella.ir.types import Tensor

_MERGE_MODES = ("concat", "sum", "mul", "ave", None)


class Bidirectional(Layer):
    """Run a recurrent layer forward and another one backward over the sequence, and merge their outputs.

    Input shape `(batch, time, ...)`; output shape as that of the layer, with the last axis doubled for "concat".
    Sequences are returned in the order of time, and the output of a masked step is 0. With `return_state` the states of
    the forward layer come before those of the backward layer; `initial_state` takes them in that order.

    Args:
        layer: a recurrent layer. Both directions are new layers made from its configuration, named `forward_...` and
            `backward_...`.
        merge_mode: "concat" (along the last axis), "sum", "mul", "ave" (mean), or None to return both outputs.
        weights: list of arrays to initialize the weights from, those of the forward layer first.
        backward_layer: the layer for the backward direction, with `go_backwards=True`; None to derive it from `layer`.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: `layer` is not recurrent, `merge_mode` is unknown, or the options of the two layers do not match.

    References:
        M. Schuster, K. K. Paliwal, "Bidirectional recurrent neural networks", IEEE Transactions on Signal Processing
        45, 1997, https://doi.org/10.1109/78.650093

    Example:
        >>> import numpy as np
        >>> from lamella.layers import Bidirectional, SimpleRNN
        >>> layer = Bidirectional(SimpleRNN(4, return_sequences=True))
        >>> layer(np.ones((1, 3, 5))).shape, list(layer.children)
        ((1, 3, 8), ['forward_simple_rnn', 'backward_simple_rnn'])
    """

    supports_masking = True
    config_attributes: ClassVar[Mapping[str, str]] = {"layer": "forward_layer", "backward_layer": "backward_layer"}
    config_without = ("weights",)

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: Sequence[Any] | None = None,
        backward_layer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for option, given in (("layer", layer), ("backward_layer", backward_layer)):
            if not (isinstance(given, Layer) and hasattr(given, "go_backwards")) and (
                given is not None or option == "layer"
            ):
                raise ValueError(f"Bidirectional: {option} must be a recurrent layer, got {type(given).__name__}.")
        if merge_mode not in _MERGE_MODES:
            raise ValueError(f"Bidirectional: merge_mode must be one of {_MERGE_MODES}, got {merge_mode!r}.")
        self.forward_layer = _again(layer, "forward_")
        self.backward_layer = backward_layer
        if backward_layer is None:
            self.backward_layer = _again(layer, "backward_", go_backwards=not layer.go_backwards)
        self._check_directions()
        self.merge_mode = merge_mode
        self.stateful, self.return_sequences = layer.stateful, layer.return_sequences
        self.return_state = layer.return_state
        self._batch: int | None = None
        for held in (self.forward_layer, self.backward_layer):
            held.zero_output_for_mask = held.return_sequences
        if weights:
            self._initial_weights = list(weights)

    def _check_directions(self) -> None:
        if self.forward_layer.go_backwards == self.backward_layer.go_backwards:
            raise ValueError(
                "Bidirectional: the two layers must process the sequence in opposite directions; both have "
                f"go_backwards={self.forward_layer.go_backwards}."
            )
        for option in ("stateful", "return_sequences", "return_state"):
            one, other = getattr(self.forward_layer, option), getattr(self.backward_layer, option)
            if one != other:
                raise ValueError(f"Bidirectional: layer has {option}={one}, backward_layer {option}={other}.")

    @property
    def children(self) -> dict[str, Layer]:
        """The layers of the two directions; the layer they were made from is not part of this one."""
        return {held.name: held for held in (self.forward_layer, self.backward_layer)}

    def shape_of_input_dim(self, input_dim: int, length: int | None, has_length: bool) -> tuple[int | None, ...]:
        """`input_length` steps of `input_dim` features."""
        return (length, input_dim)

    def check_input(self, spec: Spec) -> None:
        """Check that the forward layer supports the input."""
        self.forward_layer.check_input(spec)

    def __call__(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Apply the layer; a stateful one stores the batch size that it is built for."""
        if self.stateful and not self.built:
            self._batch = declared_batch(inputs)
        return super().__call__(inputs, *args, **kwargs)

    def build(self, input_shape: Shape) -> None:
        """Build both directions."""
        batch: Any = self._batch if input_shape[0] is None else input_shape[0]
        self.forward_layer.build((batch, *input_shape[1:]))
        self.backward_layer.build((batch, *input_shape[1:]))

    def reset_states(self) -> None:
        """Set the states that the next batch starts with to 0."""
        self.forward_layer.reset_states()
        self.backward_layer.reset_states()

    def reset_state(self) -> None:
        """The same as `reset_states`."""
        self.reset_states()

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the input if sequences are returned, otherwise None."""
        return mask if self.return_sequences else None

    def call(self, sequences: Tensor, initial_state: Any = None, mask: Tensor | None = None) -> Any:
        """The merged outputs; with `return_state` followed by the states of both directions.

        Args:
            sequences: the inputs, `(batch, time, ...)`.
            initial_state: list of the states before the first step, those of the forward layer first; None for zeros.
            mask: mask `(batch, time)`, False for steps to skip.
        """
        given = [None, None]
        if initial_state is not None:
            half = len(initial_state) // 2
            given = [initial_state[:half], initial_state[half:]]
        masked: dict[str, Any] = {} if mask is None else {"mask": mask}
        y = self.forward_layer(sequences, initial_state=given[0], **masked)
        reverse = self.backward_layer(sequences, initial_state=given[1], **masked)
        states: tuple[Any, ...] = ()
        if self.return_state:
            (y, *first), (reverse, *second) = y, reverse
            states = (*first, *second)
        if self.return_sequences:
            reverse = ops.flip(reverse, 1)
        outputs = self._merged(y, reverse)
        if not states and self.merge_mode is not None:
            return outputs
        results = (*(outputs if isinstance(outputs, tuple) else (outputs,)), *states)
        running = context.current()
        if running is not None and self.return_sequences:
            for result in results[: len(results) - len(states)]:
                running.set_mask(result, mask)
        return results

    def _merged(self, y: Tensor, reverse: Tensor) -> Any:
        if self.merge_mode == "concat":
            return ops.concatenate([y, reverse], -1)
        if self.merge_mode == "mul":
            return ops.multiply(y, reverse)
        if self.merge_mode is None:
            return y, reverse
        total = ops.add(y, reverse)
        return ops.divide(total, 2.0) if self.merge_mode == "ave" else total


def _again(layer: Any, prefix: str, **changed: Any) -> Any:
    """A new layer of the same configuration, renamed."""
    name = f"{prefix}{layer.name.removeprefix(prefix)}"
    return type(layer).from_config({**layer.get_config(), **changed, "name": name})
