"""Recurrent layers whose products are convolutions: `ConvLSTM1D`, `ConvLSTM2D` and `ConvLSTM3D`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lamella import ops
from lamella.errors import ShapeError
from lamella.ir.dim import differ, public_shape
from lamella.ir.spec import Shape, Spec
from lamella.layers.cell_base import KernelCell
from lamella.layers.cells import LSTMCell, forget_bias
from lamella.layers.checks import choice, fraction, integers, layout, positive_integer
from lamella.layers.rnn import RNN
from lamella.ops.spatial import window_padding
from lamella.ops.window import window_positions

if TYPE_CHECKING:
    from lamella.ir.types import Tensor


class ConvLSTMCell(KernelCell):
    """i, f, o = sigmoid, g = tanh of conv(x, W) + conv(h, U) + b; c = f * c + i * g; h = o * tanh(c)

    The channels are last. The convolution of the inputs has the strides, padding and dilation; that of the state keeps
    its size.
    """

    gates = 4

    def __init__(
        self,
        filters: int,
        kernel_size: tuple[int, ...],
        strides: tuple[int, ...],
        padding: str,
        dilation_rate: tuple[int, ...],
        unit_forget_bias: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, **kwargs)
        self.filters = self.units
        self.kernel_size, self.strides, self.padding, self.dilation_rate = kernel_size, strides, padding, dilation_rate
        self.unit_forget_bias = bool(unit_forget_bias)
        self._held: Shape = ()

    def build(self, input_shape: Shape) -> None:
        """Make kernel (*kernel_size, channels, 4 filters), recurrent_kernel (*kernel_size, filters, 4 filters) and bias."""
        super().build(input_shape)
        if None not in input_shape[1:]:
            self._held = self._state_of(input_shape)

    def _state_of(self, shape: Shape) -> Shape:
        """The shape of h and of c for one example of a step's inputs, `(batch, *spatial, channels)`."""
        size, window, strides, dilation = shape[1:-1], self.kernel_size, self.strides, self.dilation_rate
        padding = window_padding(self.padding, size, window, strides, dilation)
        sizes = tuple(map(window_positions, size, window, strides, padding, dilation))
        if 0 in sizes:
            raise ShapeError(f"a window of {window} does not fit into steps of shape {public_shape(shape[1:])}.")
        return (*sizes, self.filters)

    def kernel_shapes(self, input_shape: Shape) -> tuple[Shape, Shape]:
        """The shapes of kernel and recurrent kernel."""
        width = 4 * self.filters
        return (*self.kernel_size, input_shape[-1], width), (*self.kernel_size, self.filters, width)

    def initial_bias(self) -> Any:
        """`bias_initializer`, with ones for the forget gate if `unit_forget_bias` is True."""
        return forget_bias(self.filters, self.bias_initializer) if self.unit_forget_bias else self.bias_initializer

    def state_shapes(self, batch: int, step: Shape) -> list[Spec]:
        """The specs of h and c."""
        return [Spec((batch, *self._held), "float32")] * 2

    def get_initial_state(self, batch_size: int, dtype: str | None = None) -> list[Any]:
        """h and c of zeros, `(batch, *spatial, filters)`."""
        return [ops.zeros((batch_size, *self._held), dtype or self.compute_dtype)] * 2

    def initial_state(self, shape: Shape, dtype: str) -> list[Any]:
        """h and c of zeros for inputs of `shape` at a step."""
        return [ops.zeros((shape[0], *self._state_of(shape)), dtype)] * 2

    def prepare(self, shape: Shape, dtype: str, training: bool) -> dict[str, Any]:
        """The dropout masks, one per gate, and the recurrent kernel."""
        prepared: dict[str, Any] = {
            "kernel": ops.convert_to_tensor(self.recurrent_kernel),
            "inputs": None,
            "state": None,
        }
        if training and self.dropout > 0:
            prepared["inputs"] = self.dropout_masks(4, shape, self.dropout, dtype, self.seed)
        if training and self.recurrent_dropout > 0:
            held = (shape[0], *self._state_of(shape))
            prepared["state"] = self.dropout_masks(4, held, self.recurrent_dropout, dtype, self.seed)
            prepared["kernels"] = ops.split(prepared["kernel"], 4, -1)
        return prepared

    def project(self, inputs: Any, prepared: dict[str, Any]) -> Any:
        """conv(inputs, W) + b, of one step, or of all steps as one batch."""
        masks = prepared["inputs"]
        if masks is None:
            z = self._convolved(inputs, self.kernel)
        else:
            parts = zip(masks, ops.split(self.kernel, 4, -1), strict=True)
            z = ops.concatenate([self._convolved(ops.multiply(inputs, m), part) for m, part in parts], -1)
        return ops.add(z, self.bias) if self.use_bias else z

    def _convolved(self, x: Tensor, kernel: Any) -> Tensor:
        front, step = x.shape[: len(x.shape) - len(self.kernel_size) - 1], x.shape[-len(self.kernel_size) - 1 :]
        rows = x if len(front) == 1 else ops.reshape(x, (front[0] * front[1], *step))
        padding = window_padding(self.padding, step[:-1], self.kernel_size, self.strides, self.dilation_rate)
        y = ops.convolve(rows, kernel, strides=self.strides, padding=padding, dilation=self.dilation_rate, groups=1)
        return y if len(front) == 1 else ops.reshape(y, (*front, *y.shape[1:]))

    def recur(self, h: Tensor, prepared: dict[str, Any]) -> Tensor:
        """conv(h, U); with recurrent dropout h is masked separately for every gate."""
        ones = (1,) * len(self.kernel_size)
        padding = window_padding("same", h.shape[1:-1], self.kernel_size, ones, ones)
        options: dict[str, Any] = {"strides": ones, "padding": padding, "dilation": ones, "groups": 1}
        if prepared["state"] is None:
            return ops.convolve(h, prepared["kernel"], **options)
        parts = zip(prepared["state"], prepared["kernels"], strict=True)
        return ops.concatenate([ops.convolve(ops.multiply(h, m), part, **options) for m, part in parts], -1)

    def step(self, inputs: Tensor, states: list[Any], prepared: dict[str, Any]) -> tuple[Any, list[Any]]:
        """One step from `inputs`, already convolved."""
        h, c = states
        i, f, g, o = ops.split(ops.add(inputs, self.recur(h, prepared)), 4, -1)
        i, f, o = self.recurrent_activation(i), self.recurrent_activation(f), self.recurrent_activation(o)
        c = ops.add(ops.multiply(f, c), ops.multiply(i, self.activation(g)))
        h = ops.multiply(o, self.activation(c))
        return h, [h, c]


class ConvLSTM(RNN):
    """An LSTM whose products are convolutions: the base of the layers over `spatial` dimensions.

    The arguments are those of `ConvLSTM2D`.
    """

    spatial = 2
    weight_fields = LSTMCell.weight_fields.of_layer()

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        *,
        unit_forget_bias: bool = True,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        **kwargs: Any,
    ) -> None:
        n = self.spatial
        positive_integer("filters", filters, self)
        fraction("dropout", dropout, self)
        fraction("recurrent_dropout", recurrent_dropout, self)
        steps, dilation = integers("strides", strides, n, self), integers("dilation_rate", dilation_rate, n, self)
        if max(steps) > 1 and max(dilation) > 1:
            raise ValueError(f"{type(self).__name__}: strides {steps} or dilation_rate {dilation} must be 1.")
        cell = ConvLSTMCell(
            filters=filters,
            kernel_size=integers("kernel_size", kernel_size, n, self),
            strides=steps,
            padding=choice("padding", padding, ["valid", "same"], self),
            dilation_rate=dilation,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            unit_forget_bias=unit_forget_bias,
            **self.weight_fields.taken(kwargs),
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            name="conv_lstm_cell",
            dtype=kwargs.get("dtype"),
        )
        self.data_format = layout(data_format, self)
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            **kwargs,
        )
        self.filters, self.step_ndim = filters, n + 2

    def check_input(self, spec: Spec) -> None:
        """Check for `(batch, time, *spatial, channels)` with the channels and sizes that the layer was built for."""
        super().check_input(spec)
        built_for: Any = self.build_shape or ()
        known = zip(spec.shape[2:], built_for[2:], strict=False)
        if self.built and any(expected is not None and differ(d, expected) for d, expected in known):
            raise ShapeError(f"expected steps of shape {tuple(built_for[2:])}, got {public_shape(spec.shape[2:])}.")

    def build(self, input_shape: Shape) -> None:
        """Build the cell for the channels-last layout."""
        if self.data_format == "channels_first":
            input_shape = (*input_shape[:2], *input_shape[3:], input_shape[2])
        super().build(input_shape)

    def call(
        self, sequences: Tensor, initial_state: Any = None, mask: Tensor | None = None, training: bool = False
    ) -> Any:
        """The last output, or the outputs of all steps; with `return_state` followed by the last states."""
        if self.data_format == "channels_last":
            return super().call(sequences, initial_state, mask, training)
        given = None if initial_state is None else [ops.moveaxis(s, 1, -1) for s in initial_state]
        found = super().call(ops.moveaxis(sequences, 2, -1), given, mask, training)
        outputs, *states = found if self.return_state else (found,)
        outputs = ops.moveaxis(outputs, -1, 2 if self.return_sequences else 1)
        return (outputs, *[ops.moveaxis(s, -1, 1) for s in states]) if self.return_state else outputs


class ConvLSTM1D(ConvLSTM):
    """An LSTM over sequences of lines, whose products with W and U are convolutions.

    i, f, o = sigmoid, g = tanh of conv(x, W) + conv(h, U) + b; c = f * c + i * g; h = o * tanh(c). Input shape
    `(batch, time, length, channels)`, output shape `(batch, new_length, filters)`, or
    `(batch, time, new_length, filters)` with `return_sequences`; kernel W `(*kernel_size, channels, 4 * filters)`,
    recurrent_kernel U `(*kernel_size, filters, 4 * filters)`, bias `(4 * filters,)`, with the gates in the order i, f,
    g, o. `initial_state` may be given to the call. A masked step keeps the states and repeats the last output; with
    `return_sequences` the mask is passed on. `training=True` applies the dropouts.

    Args:
        filters: number of channels of the states h and c, and of the output.
        kernel_size: size of the window of both convolutions, an integer.
        strides: step of the window over the inputs, an integer.
        padding: "valid" or "same", of the convolution of the inputs; that of the state is "same".
        data_format: "channels_last" for `(batch, time, length, channels)` or "channels_first" for
            `(batch, time, channels, length)`; None for `config.image_data_format()`.
        dilation_rate: distance between the entries of the inputs' kernel, an integer.
        activation: function of g and of c in the output, or its name.
        recurrent_activation: function of the gates i, f and o, or its name.
        use_bias: whether a bias is added.
        kernel_initializer, recurrent_initializer, bias_initializer: initializers of the weights, or their names.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: penalties on the weights, added to the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: constraints applied to the weights after each
            optimizer step.
        unit_forget_bias: whether the bias of the forget gate is initialized to 1.
        dropout: fraction of the inputs to drop in training, with one mask per gate for all steps.
        recurrent_dropout: fraction of h to drop in training, with one mask per gate for all steps.
        seed: makes the dropout masks depend on this integer instead of the layer's path.
        return_sequences: whether to return the output of every step instead of the last.
        return_state: whether to return the last states h and c as well: `(output, h, c)`.
        go_backwards: whether to process the sequence in reverse; outputs are returned in the order of processing.
        stateful: whether each batch starts with the states that the previous batch ended with; needs a fixed batch
            size. `reset_states()` sets them to 0.
        unroll: whether to write the steps out instead of looping over them: same results, a longer program.
        zero_output_for_mask: whether the output of a masked step is 0 instead of the last output.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: an argument is out of range, or strides and dilation_rate are both above 1.
        ShapeError: in a call, if rank or channels do not match, or the window does not fit into the input.

    References:
        X. Shi and others, "Convolutional LSTM network: a machine learning approach for precipitation nowcasting", 2015,
        https://arxiv.org/abs/1506.04214

    Example:
        >>> import numpy as np
        >>> from lamella.layers import ConvLSTM1D
        >>> layer = ConvLSTM1D(2, 3, padding="same", return_sequences=True)
        >>> layer(np.ones((1, 2, 4, 1))).shape
        (1, 2, 4, 2)
    """

    spatial = 1


class ConvLSTM2D(ConvLSTM):
    """An LSTM over sequences of images, whose products with W and U are convolutions.

    i, f, o = sigmoid, g = tanh of conv(x, W) + conv(h, U) + b; c = f * c + i * g; h = o * tanh(c). Input shape
    `(batch, time, rows, columns, channels)`, output shape `(batch, new_rows, new_columns, filters)`, or
    `(batch, time, new_rows, new_columns, filters)` with `return_sequences`; kernel W
    `(*kernel_size, channels, 4 * filters)`, recurrent_kernel U `(*kernel_size, filters, 4 * filters)`, bias
    `(4 * filters,)`, with the gates in the order i, f, g, o. `initial_state` may be given to the call. A masked step
    keeps the states and repeats the last output; with `return_sequences` the mask is passed on. `training=True` applies
    the dropouts.

    Args:
        filters: number of channels of the states h and c, and of the output.
        kernel_size: size of the window of both convolutions, an integer, or two of them, one per spatial dimension.
        strides: step of the window over the inputs, an integer, or two of them, one per spatial dimension.
        padding: "valid" or "same", of the convolution of the inputs; that of the state is "same".
        data_format: "channels_last" for `(batch, time, rows, columns, channels)` or "channels_first" for
            `(batch, time, channels, rows, columns)`; None for `config.image_data_format()`.
        dilation_rate: distance between the entries of the inputs' kernel, an integer, or two of them, one per spatial
            dimension.
        activation: function of g and of c in the output, or its name.
        recurrent_activation: function of the gates i, f and o, or its name.
        use_bias: whether a bias is added.
        kernel_initializer, recurrent_initializer, bias_initializer: initializers of the weights, or their names.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: penalties on the weights, added to the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: constraints applied to the weights after each
            optimizer step.
        unit_forget_bias: whether the bias of the forget gate is initialized to 1.
        dropout: fraction of the inputs to drop in training, with one mask per gate for all steps.
        recurrent_dropout: fraction of h to drop in training, with one mask per gate for all steps.
        seed: makes the dropout masks depend on this integer instead of the layer's path.
        return_sequences: whether to return the output of every step instead of the last.
        return_state: whether to return the last states h and c as well: `(output, h, c)`.
        go_backwards: whether to process the sequence in reverse; outputs are returned in the order of processing.
        stateful: whether each batch starts with the states that the previous batch ended with; needs a fixed batch
            size. `reset_states()` sets them to 0.
        unroll: whether to write the steps out instead of looping over them: same results, a longer program.
        zero_output_for_mask: whether the output of a masked step is 0 instead of the last output.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: an argument is out of range, or strides and dilation_rate are both above 1.
        ShapeError: in a call, if rank or channels do not match, or the window does not fit into the input.

    References:
        X. Shi and others, "Convolutional LSTM network: a machine learning approach for precipitation nowcasting", 2015,
        https://arxiv.org/abs/1506.04214

    Example:
        >>> import numpy as np
        >>> from lamella.layers import ConvLSTM2D
        >>> layer = ConvLSTM2D(2, 3, padding="same", return_sequences=True)
        >>> layer(np.ones((1, 2, 4, 5, 1))).shape
        (1, 2, 4, 5, 2)
    """

    spatial = 2


class ConvLSTM3D(ConvLSTM):
    """An LSTM over sequences of volumes, whose products with W and U are convolutions.

    i, f, o = sigmoid, g = tanh of conv(x, W) + conv(h, U) + b; c = f * c + i * g; h = o * tanh(c). Input shape
    `(batch, time, depth, rows, columns, channels)`, output shape `(batch, new_depth, new_rows, new_columns, filters)`,
    or `(batch, time, new_depth, new_rows, new_columns, filters)` with `return_sequences`; kernel W
    `(*kernel_size, channels, 4 * filters)`, recurrent_kernel U `(*kernel_size, filters, 4 * filters)`, bias
    `(4 * filters,)`, with the gates in the order i, f, g, o. `initial_state` may be given to the call. A masked step
    keeps the states and repeats the last output; with `return_sequences` the mask is passed on. `training=True` applies
    the dropouts.

    Args:
        filters: number of channels of the states h and c, and of the output.
        kernel_size: size of the window of both convolutions, an integer, or three of them, one per spatial dimension.
        strides: step of the window over the inputs, an integer, or three of them, one per spatial dimension.
        padding: "valid" or "same", of the convolution of the inputs; that of the state is "same".
        data_format: "channels_last" for `(batch, time, depth, rows, columns, channels)` or "channels_first" for
            `(batch, time, channels, depth, rows, columns)`; None for `config.image_data_format()`.
        dilation_rate: distance between the entries of the inputs' kernel, an integer, or three of them, one per spatial
            dimension.
        activation: function of g and of c in the output, or its name.
        recurrent_activation: function of the gates i, f and o, or its name.
        use_bias: whether a bias is added.
        kernel_initializer, recurrent_initializer, bias_initializer: initializers of the weights, or their names.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: penalties on the weights, added to the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: constraints applied to the weights after each
            optimizer step.
        unit_forget_bias: whether the bias of the forget gate is initialized to 1.
        dropout: fraction of the inputs to drop in training, with one mask per gate for all steps.
        recurrent_dropout: fraction of h to drop in training, with one mask per gate for all steps.
        seed: makes the dropout masks depend on this integer instead of the layer's path.
        return_sequences: whether to return the output of every step instead of the last.
        return_state: whether to return the last states h and c as well: `(output, h, c)`.
        go_backwards: whether to process the sequence in reverse; outputs are returned in the order of processing.
        stateful: whether each batch starts with the states that the previous batch ended with; needs a fixed batch
            size. `reset_states()` sets them to 0.
        unroll: whether to write the steps out instead of looping over them: same results, a longer program.
        zero_output_for_mask: whether the output of a masked step is 0 instead of the last output.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: an argument is out of range, or strides and dilation_rate are both above 1.
        ShapeError: in a call, if rank or channels do not match, or the window does not fit into the input.

    References:
        X. Shi and others, "Convolutional LSTM network: a machine learning approach for precipitation nowcasting", 2015,
        https://arxiv.org/abs/1506.04214

    Example:
        >>> import numpy as np
        >>> from lamella.layers import ConvLSTM3D
        >>> layer = ConvLSTM3D(2, 2, padding="same", return_sequences=True)
        >>> layer(np.ones((1, 2, 4, 5, 3, 1))).shape
        (1, 2, 4, 5, 3, 2)
    """

    spatial = 3
