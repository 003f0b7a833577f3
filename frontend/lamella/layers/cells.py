"""The cells of recurrent layers: one step of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops
from lamella.ir.spec import Shape
from lamella.layers.cell_base import KernelCell
from lamella.layers.making import WeightFields

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


class SimpleRNNCell(KernelCell):
    """One step of `SimpleRNN`: h = activation(x @ W + h @ U + b).

    Called as `cell(inputs, states)` with inputs `(batch, features)` and states `[h]`, h `(batch, units)`; returns the
    output h and the list of new states. `training=True` applies the dropouts. Kernel W `(features, units)`,
    recurrent_kernel U `(units, units)`, bias `(units,)`.

    Args:
        units: size of the state and of the output.
        activation: function of the new state, or its name.
        use_bias: whether a bias is added.
        kernel_initializer, recurrent_initializer, bias_initializer: initializers of the weights, or their names.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: penalties on the weights, added to the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: constraints applied to the weights after each
            optimizer step.
        dropout: fraction of the inputs to drop in training.
        recurrent_dropout: fraction of the state to drop in training.
        seed: makes the dropout masks depend on this integer instead of the layer's path.
        recurrent_activation: accepted and ignored: the cell has no gates.
        name, trainable, dtype, input_shape: as in `Layer`.
        activity_regularizer: must be None; give it to the layer that runs the cell.

    Raises:
        ValueError: an argument is out of range.

    References:
        J. L. Elman, "Finding structure in time", Cognitive Science 14, 1990, https://doi.org/10.1207/s15516709cog1402_1

    Example:
        >>> import numpy as np
        >>> from lamella.layers import SimpleRNNCell
        >>> cell = SimpleRNNCell(1, "linear", weights=[np.ones((2, 1)), np.ones((1, 1)), np.zeros(1)])
        >>> cell(np.array([[1.0, 2.0]]), [np.array([[10.0]])])
        (array([[13.]], dtype=float32), [array([[13.]], dtype=float32)])
    """

    weight_fields = WeightFields(kernel="glorot_uniform", recurrent="orthogonal", bias="zeros")

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        *,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            units, activation, use_bias, dropout=dropout, recurrent_dropout=recurrent_dropout, seed=seed, **kwargs
        )

    def step(self, inputs: Tensor, states: list[Any], prepared: dict[str, Any]) -> tuple[Any, list[Any]]:
        """activation(inputs + h @ U)"""
        h = self.activation(ops.add(inputs, self.recur(states[0], prepared)))
        return h, [h]


class LSTMCell(KernelCell):
    """One step of `LSTM`: i, f, o = sigmoid, g = tanh of x @ W + h @ U + b; c = f * c + i * g; h = o * tanh(c).

    Called as `cell(inputs, states)` with inputs `(batch, features)` and states `[h, c]`, each `(batch, units)`; returns
    the output h and the list of new states. `training=True` applies the dropouts. Kernel W `(features, 4 * units)`,
    recurrent_kernel U `(units, 4 * units)`, bias `(4 * units,)`, with the gates in the order i, f, g, o.

    Args:
        units: size of the states h and c, and of the output.
        activation: function of g and of c in the output, or its name.
        recurrent_activation: function of the gates i, f and o, or its name.
        use_bias: whether a bias is added.
        kernel_initializer, recurrent_initializer, bias_initializer: initializers of the weights, or their names.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: penalties on the weights, added to the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: constraints applied to the weights after each
            optimizer step.
        unit_forget_bias: whether the bias of the forget gate is initialized to 1.
        dropout: fraction of the inputs to drop in training.
        recurrent_dropout: fraction of h to drop in training, with one mask per gate.
        seed: makes the dropout masks depend on this integer instead of the layer's path.
        name, trainable, dtype, input_shape: as in `Layer`.
        activity_regularizer: must be None; give it to the layer that runs the cell.

    Raises:
        ValueError: an argument is out of range.

    References:
        S. Hochreiter, J. Schmidhuber, "Long short-term memory", Neural Computation 9, 1997,
        https://doi.org/10.1162/neco.1997.9.8.1735

    Example:
        >>> import numpy as np
        >>> from lamella.layers import LSTMCell
        >>> cell = LSTMCell(4)
        >>> h, states = cell(np.ones((2, 3)), cell.get_initial_state(2))
        >>> h.shape, len(states)
        ((2, 4), 2)
    """

    gates = 4
    weight_fields = WeightFields(
        kernel="glorot_uniform", recurrent="orthogonal", bias="zeros", before_regularizers="unit_forget_bias"
    )

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        *,
        unit_forget_bias: bool = True,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            units,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            **kwargs,
        )
        self.unit_forget_bias = bool(unit_forget_bias)
        self.state_size = [self.units, self.units]

    def initial_bias(self) -> Any:
        """`bias_initializer`, with ones for the forget gate if `unit_forget_bias` is True."""
        return forget_bias(self.units, self.bias_initializer) if self.unit_forget_bias else self.bias_initializer

    def step(self, inputs: Tensor, states: list[Any], prepared: dict[str, Any]) -> tuple[Any, list[Any]]:
        """One step from `inputs`, already projected."""
        h, c = states
        i, f, g, o = ops.split(ops.add(inputs, self.recur(h, prepared)), 4, 1)
        i, f, o = self.recurrent_activation(i), self.recurrent_activation(f), self.recurrent_activation(o)
        c = ops.add(ops.multiply(f, c), ops.multiply(i, self.activation(g)))
        h = ops.multiply(o, self.activation(c))
        return h, [h, c]


def forget_bias(size: int, initializer: Any) -> Any:
    """An initializer of 4 `size` entries: those of `initializer`, with ones for the second gate."""

    def bias(shape: Shape, dtype: str) -> np.ndarray:
        parts = [initializer((size,), dtype), np.ones(size, dtype), initializer((2 * size,), dtype)]
        return np.concatenate([np.asarray(part) for part in parts])

    return bias


class GRUCell(KernelCell):
    """One step of `GRU`.

    z, r = sigmoid of x @ W + h @ U + b; n = tanh(x @ W + r * (h @ U + b)); h = z * h + (1 - z) * n.

    Called as `cell(inputs, states)` with inputs `(batch, features)` and states `[h]`, h `(batch, units)`; returns the
    output h and the list of new states. `training=True` applies the dropouts. Kernel W `(features, 3 * units)`,
    recurrent_kernel U `(units, 3 * units)`, bias `(2, 3 * units)`, or `(3 * units,)` with `reset_after=False`; the
    gates are in the order z, r, n.

    Args:
        units: size of the state and of the output.
        activation: function of n, or its name.
        recurrent_activation: function of the gates z and r, or its name.
        use_bias: whether biases are added.
        kernel_initializer, recurrent_initializer, bias_initializer: initializers of the weights, or their names.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: penalties on the weights, added to the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: constraints applied to the weights after each
            optimizer step.
        dropout: fraction of the inputs to drop in training.
        recurrent_dropout: fraction of h to drop in training, with one mask per gate.
        reset_after: whether r multiplies the product h @ U + b, as above, with separate biases for input and state;
            False for n = tanh(x @ W + (r * h) @ U + b).
        seed: makes the dropout masks depend on this integer instead of the layer's path.
        name, trainable, dtype, input_shape: as in `Layer`.
        activity_regularizer: must be None; give it to the layer that runs the cell.

    Raises:
        ValueError: an argument is out of range.

    References:
        K. Cho and others, "Learning phrase representations using RNN encoder-decoder for statistical machine
        translation", 2014, https://arxiv.org/abs/1406.1078

    Example:
        >>> import numpy as np
        >>> from lamella.layers import GRUCell
        >>> cell = GRUCell(4)
        >>> h, states = cell(np.ones((2, 3)), cell.get_initial_state(2))
        >>> h.shape, len(states)
        ((2, 4), 1)
    """

    gates = 3
    weight_fields = WeightFields(kernel="glorot_uniform", recurrent="orthogonal", bias="zeros")

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        *,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            units,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            **kwargs,
        )
        self.reset_after = bool(reset_after)

    @property
    def bias_shape(self) -> Shape:
        """With `reset_after` one row for the inputs and one for the state, otherwise one for both."""
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def input_bias(self) -> Any:
        """The bias added to the projected inputs: that of the inputs, and that of the state where r does not multiply it."""
        if not self.reset_after:
            return self.bias
        n = 2 * self.units
        inputs, state = ops.unstack(self.bias)
        return ops.add(inputs, ops.concatenate([state[:n], ops.zeros_like(state[n:])]))

    def prepare(self, shape: Shape, dtype: str, training: bool) -> dict[str, Any]:
        """Also the bias of n for the state; without `reset_after` the kernel, split into the columns of z and r, and of n."""
        prepared, n = super().prepare(shape, dtype, training), 2 * self.units
        if self.reset_after:
            prepared["bias"] = ops.getitem(self.bias, (1, slice(n, None))) if self.use_bias else None
        else:
            kernel = prepared["kernel"]
            prepared["gates"], prepared["candidate"] = kernel[:, :n], kernel[:, n:]
        return prepared

    def step(self, inputs: Tensor, states: list[Any], prepared: dict[str, Any]) -> tuple[Any, list[Any]]:
        """One step from `inputs`, already projected."""
        (h,) = states
        x_z, x_r, x_n = ops.split(inputs, 3, 1)
        if self.reset_after:
            h_z, h_r, h_n = ops.split(self.recur(h, prepared), 3, 1)
            h_n = h_n if prepared["bias"] is None else ops.add(h_n, prepared["bias"])
            r = self.recurrent_activation(ops.add(x_r, h_r))
            candidate = ops.multiply(r, h_n)
        else:
            h_z, h_r, dropped = self._gates_before(h, prepared)
            r = self.recurrent_activation(ops.add(x_r, h_r))
            candidate = ops.matmul(ops.multiply(r, dropped), prepared["candidate"])
        z = self.recurrent_activation(ops.add(x_z, h_z))
        n = self.activation(ops.add(x_n, candidate))
        # n + z * (h - n) has fewer products, but where z is 1 it would round h to the precision of n
        h = ops.add(ops.multiply(z, h), ops.multiply(ops.subtract(1.0, z), n))
        return h, [h]

    def _gates_before(self, h: Tensor, prepared: dict[str, Any]) -> Sequence[Any]:
        """The contributions of the state to z and r, and the state that r multiplies."""
        masks = prepared["state"]
        if masks is None:
            return *ops.split(ops.matmul(h, prepared["gates"]), 2, 1), h
        h_z, h_r, dropped = [ops.multiply(h, mask) for mask in masks]
        z, r, _ = prepared["kernels"]
        return ops.matmul(h_z, z), ops.matmul(h_r, r), dropped
