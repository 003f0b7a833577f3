"""Recurrent layers over a cell of their own: `SimpleRNN`, `LSTM` and `GRU`."""

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
    """A recurrent layer that makes its own cell, and answers for it."""

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
    """h = activation(x @ W + h @ U + b), step by step

    Args:
        units: the size of the state.
        activation: the function of the new state (tanh).
        use_bias: whether there is a bias.
        dropout: in training, the fraction of the inputs dropped, with one mask for all steps.
        recurrent_dropout: in training, the fraction of the state dropped, with one mask for all steps.
        seed: makes the dropout masks a function of this number instead of the layer's path.
        return_sequences: return the output of every step, not only the last.
        return_state: return the last state, too.
        go_backwards: read the sequence from its end; the outputs come in the order of reading.
        stateful: begin each batch with the states the last one ended with; the batch size must be declared.
        unroll: write the steps out instead of looping over them: the same numbers, a longer program.

    Input shape `(batch, time, features)`, output `(batch, units)` or `(batch, time, units)`; kernel `(features, units)`,
    recurrent_kernel `(units, units)`, bias `(units,)`. A masked step keeps the state and repeats the last output.

    References:
        J. L. Elman, "Finding Structure in Time", Cognitive Science 14, 1990.
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
    """Long short-term memory: i, f, o = sigmoid, g = tanh of x @ W + h @ U + b; c = f * c + i * g; h = o * tanh(c)

    Args:
        units: the size of the state.
        activation: the function of g and of the output (tanh).
        recurrent_activation: the function of the gates (sigmoid).
        use_bias: whether there is a bias.
        unit_forget_bias: the forget gate's bias starts at 1.
        dropout: in training, the fraction of the inputs dropped, with one mask for all steps.
        recurrent_dropout: in training, the fraction of the state dropped, with one mask a gate for all steps.
        seed: makes the dropout masks a function of this number instead of the layer's path.
        return_sequences: return the output of every step, not only the last.
        return_state: return the last states h and c, too.
        go_backwards: read the sequence from its end; the outputs come in the order of reading.
        stateful: begin each batch with the states the last one ended with; the batch size must be declared.
        unroll: write the steps out instead of looping over them: the same numbers, a longer program.
        use_cudnn: "auto", True or False, as in Keras, where it chooses a kernel for a GPU, of the same numbers.

    Input shape `(batch, time, features)`, output `(batch, units)` or `(batch, time, units)`; kernel `(features, 4 units)`,
    recurrent_kernel `(units, 4 units)`, bias `(4 units,)`, gates in the order i, f, g, o. A masked step keeps the state and
    repeats the last output.

    References:
        S. Hochreiter, J. Schmidhuber, "Long Short-Term Memory", Neural Computation 9, 1997.
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
    """Gated recurrent unit: z, r = sigmoid of x @ W + h @ U + b; n = tanh(x @ W + r * (h @ U + b)); h = z * h + (1 - z) * n

    Args:
        units: the size of the state.
        activation: the function of n (tanh).
        recurrent_activation: the function of the gates z and r (sigmoid).
        use_bias: whether there is a bias.
        dropout: in training, the fraction of the inputs dropped, with one mask for all steps.
        recurrent_dropout: in training, the fraction of the state dropped, with one mask a gate for all steps.
        seed: makes the dropout masks a function of this number instead of the layer's path.
        return_sequences: return the output of every step, not only the last.
        return_state: return the last state, too.
        go_backwards: read the sequence from its end; the outputs come in the order of reading.
        stateful: begin each batch with the states the last one ended with; the batch size must be declared.
        unroll: write the steps out instead of looping over them: the same numbers, a longer program.
        reset_after: True: r multiplies the product h @ U + b, as above, and inputs and state have biases of their own;
            False: r multiplies h, n = tanh(x @ W + b + (r * h) @ U).
        use_cudnn: "auto", True or False, as in Keras, where it chooses a kernel for a GPU, of the same numbers.

    Input shape `(batch, time, features)`, output `(batch, units)` or `(batch, time, units)`; kernel `(features, 3 units)`,
    recurrent_kernel `(units, 3 units)`, bias `(2, 3 units)`, or `(3 units,)` with `reset_after=False`; gates in the order
    z, r, n. A masked step keeps the state and repeats the last output.

    References:
        K. Cho and others, "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine
        Translation", 2014, https://arxiv.org/abs/1406.1078
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
