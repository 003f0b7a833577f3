"""The recurrent layers `SimpleRNN`, `LSTM` and `GRU`, which make their cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamella.compat import modules
from lamella.layers.cell_base import KernelCell
from lamella.layers.cells import GRUCell, LSTMCell, SimpleRNNCell
from lamella.layers.checks import fraction, positive_integer
from lamella.layers.making import parameters
from lamella.layers.rnn import RNN


def _of_the_cell(word: str) -> property:
    return property(lambda self: getattr(self.cell, word), doc=f"The cell's `{word}`.")


class CellRNN(RNN):
    """A recurrent layer that makes its cell and forwards the cell's attributes."""

    step_ndim = 2
    cell_class: type[KernelCell]

    units = _of_the_cell("units")
    activation = _of_the_cell("activation")
    use_bias = _of_the_cell("use_bias")
    dropout = _of_the_cell("dropout")
    recurrent_dropout = _of_the_cell("recurrent_dropout")
    kernel = _of_the_cell("kernel")
    recurrent_kernel = _of_the_cell("recurrent_kernel")
    bias = _of_the_cell("bias")

    def __init__(self, units: int, *, dropout: float, recurrent_dropout: float, **kwargs: Any) -> None:
        # checked here, so that an error names the layer and not its cell
        positive_integer("units", units, self)
        rates = {"dropout": dropout, "recurrent_dropout": recurrent_dropout}
        for word, rate in rates.items():
            fraction(word, rate, self)
        of_cell = {word: kwargs.pop(word) for word in parameters(self.cell_class) if word in kwargs}
        super().__init__(self.cell_class(units, **rates, **of_cell, dtype=kwargs.get("dtype")), **kwargs)


def cudnn_word(value: bool | str, layer: CellRNN) -> bool | str:
    """`value`, which must be "auto", True or False.

    Raises:
        ValueError: it is none of these.
    """
    if not isinstance(value, bool) and value != "auto":
        raise ValueError(f'{type(layer).__name__}: use_cudnn must be "auto", True or False, got {value!r}.')
    return value


class SimpleRNN(CellRNN):
    """h = activation(x @ W + h @ U + b), step by step.

    Input shape `(batch, time, features)`, output shape `(batch, units)`, or `(batch, time, units)` with
    `return_sequences`; kernel W `(features, units)`, recurrent_kernel U `(units, units)`, bias `(units,)`.
    `initial_state` may be given to the call. A masked step keeps the states and repeats the last output; with
    `return_sequences` the mask is passed on. `training=True` applies the dropouts.

    Args:
        units: size of the state and of the output.
        activation: function of the new state, or its name.
        use_bias: whether a bias is added.
        kernel_initializer, recurrent_initializer, bias_initializer: initializers of the weights, or their names.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: penalties on the weights, added to the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: constraints applied to the weights after each
            optimizer step.
        dropout: fraction of the inputs to drop in training, with one mask for all steps.
        recurrent_dropout: fraction of the state to drop in training, with one mask for all steps.
        seed: makes the dropout masks depend on this integer instead of the layer's path.
        return_sequences: whether to return the output of every step instead of the last.
        return_state: whether to return the last state h as well: `(output, h)`.
        go_backwards: whether to process the sequence in reverse; outputs are returned in the order of processing.
        stateful: whether each batch starts with the states that the previous batch ended with; needs a fixed batch
            size. `reset_states()` sets them to 0.
        unroll: whether to write the steps out instead of looping over them: same results, a longer program.
        zero_output_for_mask: whether the output of a masked step is 0 instead of the last output.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: an argument is out of range; or, when the layer is built, `stateful` without a fixed batch size.
        ShapeError: in a call, if the input does not have the features the kernel was built for.

    References:
        J. L. Elman, "Finding structure in time", Cognitive Science 14, 1990, https://doi.org/10.1207/s15516709cog1402_1

    Example:
        >>> import numpy as np
        >>> from lamella.layers import SimpleRNN
        >>> weights = [np.ones((1, 1)), np.ones((1, 1)), np.zeros(1)]
        >>> layer = SimpleRNN(1, activation="linear", weights=weights, return_sequences=True)  # a running sum
        >>> layer(np.array([[[1.0], [2.0], [3.0]]])).ravel()
        array([1., 3., 6.], dtype=float32)
    """

    cell_class = SimpleRNNCell
    weight_fields = SimpleRNNCell.weight_fields.of_layer()

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        *,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            units,
            activation=activation,
            use_bias=use_bias,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            seed=seed,
            **kwargs,
        )


class LSTM(CellRNN):
    """Long short-term memory: i, f, o = sigmoid, g = tanh of x @ W + h @ U + b; c = f * c + i * g; h = o * tanh(c).

    Input shape `(batch, time, features)`, output shape `(batch, units)`, or `(batch, time, units)` with
    `return_sequences`; kernel W `(features, 4 * units)`, recurrent_kernel U `(units, 4 * units)`, bias `(4 * units,)`,
    with the gates in the order i, f, g, o. `initial_state` may be given to the call. A masked step keeps the states and
    repeats the last output; with `return_sequences` the mask is passed on. `training=True` applies the dropouts.

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
        dropout: fraction of the inputs to drop in training, with one mask for all steps.
        recurrent_dropout: fraction of h to drop in training, with one mask per gate for all steps.
        seed: makes the dropout masks depend on this integer instead of the layer's path.
        return_sequences: whether to return the output of every step instead of the last.
        return_state: whether to return the last states h and c as well: `(output, h, c)`.
        go_backwards: whether to process the sequence in reverse; outputs are returned in the order of processing.
        stateful: whether each batch starts with the states that the previous batch ended with; needs a fixed batch
            size. `reset_states()` sets them to 0.
        unroll: whether to write the steps out instead of looping over them: same results, a longer program.
        use_cudnn: "auto", True or False; accepted for compatibility with Keras and ignored.
        zero_output_for_mask: whether the output of a masked step is 0 instead of the last output.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: an argument is out of range; or, when the layer is built, `stateful` without a fixed batch size.
        ShapeError: in a call, if the input does not have the features the kernel was built for.

    References:
        S. Hochreiter, J. Schmidhuber, "Long short-term memory", Neural Computation 9, 1997,
        https://doi.org/10.1162/neco.1997.9.8.1735

    Example:
        >>> import numpy as np
        >>> from lamella.layers import LSTM
        >>> layer = LSTM(4, return_sequences=True, return_state=True)
        >>> y, h, c = layer(np.ones((2, 3, 5)))
        >>> y.shape, c.shape, bool((y[:, -1] == h).all())
        ((2, 3, 4), (2, 4), True)
    """

    cell_class = LSTMCell
    weight_fields = LSTMCell.weight_fields.of_layer()
    recurrent_activation = _of_the_cell("recurrent_activation")
    unit_forget_bias = _of_the_cell("unit_forget_bias")

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
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        use_cudnn: bool | str = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            units,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            unit_forget_bias=unit_forget_bias,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            **kwargs,
        )
        self.use_cudnn = cudnn_word(use_cudnn, self)


class GRU(CellRNN):
    """Gated recurrent unit.

    z, r = sigmoid of x @ W + h @ U + b; n = tanh(x @ W + r * (h @ U + b)); h = z * h + (1 - z) * n.

    Input shape `(batch, time, features)`, output shape `(batch, units)`, or `(batch, time, units)` with
    `return_sequences`; kernel W `(features, 3 * units)`, recurrent_kernel U `(units, 3 * units)`, bias
    `(2, 3 * units)`, or `(3 * units,)` with `reset_after=False`; the gates are in the order z, r, n. `initial_state`
    may be given to the call. A masked step keeps the states and repeats the last output; with `return_sequences` the
    mask is passed on. `training=True` applies the dropouts.

    Args:
        units: size of the state and of the output.
        activation: function of n, or its name.
        recurrent_activation: function of the gates z and r, or its name.
        use_bias: whether biases are added.
        kernel_initializer, recurrent_initializer, bias_initializer: initializers of the weights, or their names.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: penalties on the weights, added to the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: constraints applied to the weights after each
            optimizer step.
        dropout: fraction of the inputs to drop in training, with one mask for all steps.
        recurrent_dropout: fraction of h to drop in training, with one mask per gate for all steps.
        seed: makes the dropout masks depend on this integer instead of the layer's path.
        return_sequences: whether to return the output of every step instead of the last.
        return_state: whether to return the last state h as well: `(output, h)`.
        go_backwards: whether to process the sequence in reverse; outputs are returned in the order of processing.
        stateful: whether each batch starts with the states that the previous batch ended with; needs a fixed batch
            size. `reset_states()` sets them to 0.
        unroll: whether to write the steps out instead of looping over them: same results, a longer program.
        reset_after: whether r multiplies the product h @ U + b, as above, with separate biases for input and state;
            False for n = tanh(x @ W + (r * h) @ U + b).
        use_cudnn: "auto", True or False; accepted for compatibility with Keras and ignored.
        zero_output_for_mask: whether the output of a masked step is 0 instead of the last output.
        name, trainable, dtype, activity_regularizer, input_shape: as in `Layer`.

    Raises:
        ValueError: an argument is out of range; or, when the layer is built, `stateful` without a fixed batch size.
        ShapeError: in a call, if the input does not have the features the kernel was built for.

    References:
        K. Cho and others, "Learning phrase representations using RNN encoder-decoder for statistical machine
        translation", 2014, https://arxiv.org/abs/1406.1078

    Example:
        >>> import numpy as np
        >>> from lamella.layers import GRU
        >>> layer = GRU(4)
        >>> layer(np.ones((2, 3, 5))).shape, layer.count_params()
        ((2, 4), 132)
    """

    cell_class = GRUCell
    weight_fields = GRUCell.weight_fields.of_layer()
    recurrent_activation = _of_the_cell("recurrent_activation")
    reset_after = _of_the_cell("reset_after")

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        *,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: bool | str = "auto",
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
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            reset_after=reset_after,
            **kwargs,
        )
        self.use_cudnn = cudnn_word(use_cudnn, self)


if not TYPE_CHECKING:
    __getattr__ = modules.names_of_today(__name__)
