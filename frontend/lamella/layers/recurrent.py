"""Recurrent layers: a cell's step, run over time by `ops.scan`."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamella import activations, initializers, ops
from lamella.errors import ShapeError
from lamella.ir.spec import Shape, Spec
from lamella.layers.base import Layer
from lamella.layers.checks import fraction, positive_integer


class Masking(Layer):
    """Masks the steps of a sequence whose entries all equal `mask_value`, and zeros them.

    Input shape `(batch, time, features)`; layers that support masks skip the masked steps.
    """

    supports_masking = True

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = float(mask_value)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """True for the steps in which one entry differs from `mask_value`."""
        return ops.any(ops.not_equal(inputs, self.mask_value), -1)

    def call(self, inputs: Any) -> Any:
        """The inputs, with masked steps zeroed."""
        kept = ops.any(ops.not_equal(inputs, self.mask_value), -1, keepdims=True)
        return ops.multiply(inputs, ops.cast(kept, inputs.dtype))


class LSTM(Layer):
    """Long short-term memory: i, f, o = sigmoid, g = tanh of x @ W + h @ U + b; c = f * c + i * g; h = o * tanh(c).

    Args:
        units: the size of the state.
        activation: the function of g and of the output (tanh).
        recurrent_activation: the function of the gates (sigmoid).
        unit_forget_bias: the forget gate's bias starts at 1.
        dropout: in training, the fraction of the inputs dropped, with one mask for all steps.
        recurrent_dropout: in training, the fraction of the state dropped, with one mask a gate for all steps.
        return_sequences: return the output of every step, not only the last.
        go_backwards: read the sequence from its end; the outputs come in the order of reading.

    Input shape `(batch, time, features)`, output `(batch, units)` or `(batch, time, units)`; kernel `(features, 4 units)`,
    recurrent_kernel `(units, 4 units)`, bias `(4 units,)`, gates in the order i, f, g, o. A masked step keeps the state and
    repeats the last output.

    References:
        S. Hochreiter, J. Schmidhuber, "Long Short-Term Memory", Neural Computation 9, 1997.
    """

    supports_masking = True

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        go_backwards: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = positive_integer("units", units, self)
        self.activation = activations.get(activation)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer) or initializers.Zeros()
        self.unit_forget_bias = bool(unit_forget_bias)
        self.kernel_regularizer, self.kernel_constraint = kernel_regularizer, kernel_constraint
        self.recurrent_regularizer, self.recurrent_constraint = recurrent_regularizer, recurrent_constraint
        self.bias_regularizer, self.bias_constraint = bias_regularizer, bias_constraint
        self.dropout = fraction("dropout", dropout, self)
        self.recurrent_dropout = fraction("recurrent_dropout", recurrent_dropout, self)
        self.seed = seed
        self.return_sequences, self.go_backwards = bool(return_sequences), bool(go_backwards)

    def shape_of_input_dim(self, input_dim: int, length: int | None, has_length: bool) -> tuple[int | None, ...]:
        """`input_dim` features a step, `input_length` steps."""
        return (length, input_dim)

    def check_input(self, spec: Spec) -> None:
        """(batch, time, features), with the features the kernel was built for."""
        if spec.ndim != 3:
            raise ShapeError(f"expected inputs of shape (batch, time, features), got {tuple(map(int, spec.shape))}.")
        if self.built and int(spec.shape[-1]) != self.kernel.shape[0]:
            raise ShapeError(
                f"expected {self.kernel.shape[0]} features a step, got {int(spec.shape[-1])} "
                f"(input shape {tuple(map(int, spec.shape))})."
            )

    def build(self, input_shape: Shape) -> None:
        """Make kernel, recurrent kernel and bias."""
        u = self.units
        self.kernel = self.add_weight(
            (input_shape[-1], 4 * u),
            self.kernel_initializer,
            name="kernel",
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.recurrent_kernel = self.add_weight(
            (u, 4 * u),
            self.recurrent_initializer,
            name="recurrent_kernel",
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                (4 * u,),
                self._bias_initializer() if self.unit_forget_bias else self.bias_initializer,
                name="bias",
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def _bias_initializer(self) -> Any:
        u, initializer = self.units, self.bias_initializer

        def bias(shape: Shape, dtype: str) -> np.ndarray:
            parts = [initializer((u,), dtype), np.ones(u, dtype), initializer((2 * u,), dtype)]
            return np.concatenate([np.asarray(part) for part in parts])

        return bias

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The input's mask where sequences are returned, else none."""
        return mask if self.return_sequences else None

    def call(self, inputs: Any, mask: Any = None, training: bool = False) -> Any:
        """The last output, or the outputs of all steps."""
        batch, u = inputs.shape[0], self.units
        dropped = self._input_copies(inputs, training)
        projected = self._project(dropped)
        steps = ops.transpose(projected, (1, 0, 2))
        holds = None if mask is None else ops.transpose(mask, (1, 0))
        if self.go_backwards:
            steps = ops.flip(steps, 0)
            holds = None if holds is None else ops.flip(holds, 0)
        state_masks = self._state_masks(inputs, training)
        zero = ops.zeros((batch, u), inputs.dtype)
        kernel = ops.convert_to_tensor(self.recurrent_kernel)

        def step(carry: Any, x: Any) -> Any:
            (h, c), (x, hold) = carry, x if mask is not None else (x, None)
            new_h, new_c = self._cell(x, h, c, kernel, state_masks)
            if hold is not None:
                hold = ops.expand_dims(hold, 1)
                new_h, new_c = ops.where(hold, new_h, h), ops.where(hold, new_c, c)
            return (new_h, new_c), new_h if self.return_sequences else None

        xs = steps if mask is None else (steps, holds)
        (h, _), outputs = ops.scan(step, (zero, zero), xs)
        return ops.transpose(outputs, (1, 0, 2)) if self.return_sequences else h

    def _cell(self, x: Any, h: Any, c: Any, kernel: Any, state_masks: list[Any] | None) -> tuple[Any, Any]:
        """One step: `x` is the input already projected, (batch, 4 units)."""
        if state_masks is None:
            z = ops.add(x, ops.matmul(h, kernel))
        else:
            parts = ops.split(kernel, 4, 1)
            z = ops.add(
                x,
                ops.concatenate(
                    [ops.matmul(ops.multiply(h, m), p) for m, p in zip(state_masks, parts, strict=True)], 1
                ),
            )
        i, f, g, o = ops.split(z, 4, 1)
        i, f, o = self.recurrent_activation(i), self.recurrent_activation(f), self.recurrent_activation(o)
        c = ops.add(ops.multiply(f, c), ops.multiply(i, self.activation(g)))
        return ops.multiply(o, self.activation(c)), c

    def _project(self, copies: list[Any]) -> Any:
        """x @ kernel + bias for all steps at once; four copies of x where every gate has its own dropout mask."""
        if len(copies) == 1:
            z = ops.matmul(copies[0], self.kernel)
        else:
            parts = ops.split(self.kernel, 4, 1)
            z = ops.concatenate([ops.matmul(x, p) for x, p in zip(copies, parts, strict=True)], -1)
        return ops.add(z, self.bias) if self.use_bias else z

    def _input_copies(self, inputs: Any, training: bool) -> list[Any]:
        if not training or self.dropout == 0:
            return [inputs]
        # as Keras: recurrent dropout brings a mask of its own for every gate, for the inputs too
        count = 4 if self.recurrent_dropout > 0 else 1
        return [
            ops.multiply(inputs, m)
            for m in self._masks(count, (inputs.shape[0], 1, inputs.shape[2]), self.dropout, inputs)
        ]

    def _state_masks(self, inputs: Any, training: bool) -> list[Any] | None:
        if not training or self.recurrent_dropout == 0:
            return None
        return self._masks(4, (inputs.shape[0], self.units), self.recurrent_dropout, inputs)

    def _masks(self, count: int, shape: tuple[int, ...], rate: float, like: Any) -> list[Any]:
        if rate == 1.0:
            return [ops.zeros(shape, like.dtype)] * count
        return [
            ops.multiply(ops.cast(self.keep_mask(shape, 1.0 - rate, seed=self.seed), like.dtype), 1.0 / (1.0 - rate))
            for _ in range(count)
        ]
