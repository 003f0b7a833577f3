"""The base of cells: a step in three parts, of which a recurrent layer runs only the last inside its loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamella import initializers, ops
from lamella.ir.spec import Shape
from lamella.layers.attributes import ActivationAttribute
from lamella.layers.base import Layer
from lamella.layers.checks import fraction, positive_integer
from lamella.layers.making import WeightFields

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


class SequenceCell(Layer):
    """A cell in three parts, of which a recurrent layer runs only the last inside its loop.

    `prepare` computes what all steps share (dropout masks, kernels split into gates), `project` the part of a step that
    depends only on the inputs, for one step or for all at once, and `step` the rest. `call` runs the three in order.

    Attributes:
        state_size: the size of the state, or a list of sizes.
        output_size: the size of the output.
        repeats_state: whether the output of a step is its first new state.
    """

    casts_integers = True
    state_size: Any
    output_size: int
    repeats_state = True

    def prepare(self, shape: Shape, dtype: str, training: bool) -> Any:
        """Compute what all steps share, for inputs of `shape` at one step."""
        raise NotImplementedError

    def project(self, inputs: Any, prepared: Any) -> Any:
        """Project the inputs of one step, or of all steps, `(time, batch, ...)`."""
        raise NotImplementedError

    def step(self, inputs: Any, states: list[Any], prepared: Any) -> tuple[Any, list[Any]]:
        """The output and the new states, from projected inputs and the old states."""
        raise NotImplementedError

    def call(self, inputs: Tensor, states: Any, training: bool = False) -> tuple[Any, list[Any]]:
        """One step.

        Args:
            inputs: the inputs of the step, batch first.
            states: the list of states before the step.
            training: whether the dropouts are applied.

        Returns:
            The output and the list of states after the step.
        """
        prepared = self.prepare(tuple(inputs.shape), inputs.dtype, training)
        given = list(states) if isinstance(states, list | tuple) else [states]
        return self.step(self.project(inputs, prepared), given, prepared)

    def get_initial_state(self, batch_size: int, dtype: str | None = None) -> list[Any]:
        """States of zeros for a batch.

        Args:
            batch_size: the number of examples.
            dtype: dtype of the states; None for the compute dtype.
        """
        sizes = self.state_size if isinstance(self.state_size, list | tuple) else [self.state_size]
        return [ops.zeros((batch_size, size), dtype or self.compute_dtype) for size in sizes]

    def initial_state(self, shape: Shape, dtype: str) -> list[Any]:
        """The first states for inputs of `shape` at a step."""
        return self.get_initial_state(shape[0], dtype)

    def dropout_masks(self, count: int, shape: Shape, rate: float, dtype: str, seed: int | None) -> list[Any]:
        """`count` masks of 0 and 1 / (1 - rate); a recurrent layer draws them once for all its steps."""
        if rate == 1.0:
            return [ops.zeros(shape, dtype)] * count
        scale = 1.0 / (1.0 - rate)
        kept = [self.keep_mask(shape, 1.0 - rate, seed=seed) for _ in range(count)]
        return [ops.multiply(ops.cast(mask, dtype), scale) for mask in kept]


class KernelCell(SequenceCell):
    """A cell of `gates` gates with a kernel, a recurrent kernel and a bias: the base of the cells.

    Args:
        units: size of the output.
        activation: function of the output, or its name.
        use_bias: whether a bias is added.
        dropout: fraction of the inputs to drop in training.
        recurrent_dropout: fraction of the state to drop in training.
        seed: makes the dropout masks depend on this integer instead of the layer's path.
    """

    activation = ActivationAttribute()
    recurrent_activation = ActivationAttribute()
    gates = 1
    weight_fields = WeightFields(kernel="glorot_uniform", recurrent="orthogonal", bias="zeros")
    bias_initializer: Any

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        *,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        recurrent_activation: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if self.activity_regularizer is not None:
            raise ValueError(
                f"{type(self).__name__}: activity_regularizer belongs to the layer that runs the cell, not to the cell."
            )
        self.units = positive_integer("units", units, self)
        self.activation = activation
        self.recurrent_activation = recurrent_activation
        self.use_bias = bool(use_bias)
        self.bias_initializer = self.bias_initializer or initializers.Zeros()
        self.dropout = fraction("dropout", dropout, self)
        self.recurrent_dropout = fraction("recurrent_dropout", recurrent_dropout, self)
        self.seed = seed
        self.state_size: Any = self.units
        self.output_size = self.units

    @property
    def bias_shape(self) -> Shape:
        """The shape of the bias."""
        return (self.gates * self.units,)

    def kernel_shapes(self, input_shape: Shape) -> tuple[Shape, Shape]:
        """The shapes of kernel and recurrent kernel."""
        width = self.gates * self.units
        return (input_shape[-1], width), (self.units, width)

    def initial_bias(self) -> Any:
        """The initializer of the bias."""
        return self.bias_initializer

    def build(self, input_shape: Shape) -> None:
        """Make kernel (features, gates * units), recurrent_kernel (units, gates * units) and bias."""
        kernel, recurrent_kernel = self.kernel_shapes(input_shape)
        self.kernel = self.add_field("kernel", kernel)
        self.recurrent_kernel = self.add_field("recurrent", recurrent_kernel, name="recurrent_kernel")
        if self.use_bias:
            self.bias = self.add_field("bias", self.bias_shape, initializer=self.initial_bias())

    def prepare(self, shape: Shape, dtype: str, training: bool) -> dict[str, Any]:
        """The dropout masks, and the recurrent kernel: whole, and split into gates if each has its mask."""
        kernel = ops.convert_to_tensor(self.recurrent_kernel)
        prepared: dict[str, Any] = {"kernel": kernel, "inputs": None, "state": None}
        if training and self.dropout > 0:
            # as in Keras, recurrent dropout implies one mask per gate, for the inputs too
            count = self.gates if self.recurrent_dropout > 0 else 1
            prepared["inputs"] = self.dropout_masks(count, shape, self.dropout, dtype, self.seed)
        if training and self.recurrent_dropout > 0:
            held = (shape[0], self.units)
            prepared["state"] = self.dropout_masks(self.gates, held, self.recurrent_dropout, dtype, self.seed)
            prepared["kernels"] = ops.split(kernel, self.gates, 1)
        return prepared

    def input_bias(self) -> Any:
        """The bias added to the projected inputs."""
        return self.bias

    def project(self, inputs: Any, prepared: dict[str, Any]) -> Any:
        """inputs @ kernel + bias, `(..., gates * units)`"""
        masks = prepared["inputs"]
        if masks is None or len(masks) == 1:
            z = ops.matmul(inputs if masks is None else ops.multiply(inputs, masks[0]), self.kernel)
        else:
            parts = ops.split(self.kernel, self.gates, 1)
            products = [ops.matmul(ops.multiply(inputs, m), part) for m, part in zip(masks, parts, strict=True)]
            z = ops.concatenate(products, -1)
        return ops.add(z, self.input_bias()) if self.use_bias else z

    def recur(self, h: Tensor, prepared: dict[str, Any]) -> Tensor:
        """h @ recurrent_kernel, `(batch, gates * units)`; with recurrent dropout h is masked separately for every gate."""
        masks = prepared["state"]
        if masks is None:
            return ops.matmul(h, prepared["kernel"])
        pairs = zip(masks, prepared["kernels"], strict=True)
        products = [ops.matmul(ops.multiply(h, m), part) for m, part in pairs]
        return products[0] if len(products) == 1 else ops.concatenate(products, 1)
