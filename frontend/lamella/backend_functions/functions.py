"""`K.function` and `K.gradients`: evaluation and differentiation of parts of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import ops
from lamella.backend_api import to_numpy
from lamella.backend_functions.variables import get_value
from lamella.core.variable import Variable
from lamella.errors import ArgumentError
from lamella.ir.declared import Declared
from lamella.ir.spec import Spec, spec_of
from lamella.ir.trace import Trace, as_value, replay
from lamella.layers import Layer
from lamella.models import Model
from lamella.passes import differentiate
from lamella.tracebacks import filtered
from lamella.training.train_step import value_and_grad
from lamella.utils.graphs import origins as origins_of

if TYPE_CHECKING:
    from lamella.ir.types import ArrayLike, Tensor


@filtered
def function(
    inputs: Sequence[Any], outputs: Any, updates: Sequence[Any] | None = None, name: str | None = None
) -> Function:
    """A function that computes declared values from arrays for other declared values.

    Args:
        inputs: declared values, in the order of the arrays; an integer, as `learning_phase()` returns, is a place for
            the flag that is 1 in training.
        outputs: a declared value, variable or array, or a list of them.
        updates: must be None or empty: what layers assign is kept anyway.
        name: has no effect.

    Returns:
        A function of a list of arrays, which returns NumPy arrays: a list if `outputs` is one.

    Raises:
        ArgumentError: there are updates, or the outputs depend on an input that is not given.
        TypeError: an input is not a declared value.

    Example:
        >>> import numpy as np
        >>> from lamella import Sequential, backend as K, layers
        >>> model = Sequential([layers.Input((3,)), layers.Dense(4), layers.Dense(2)])
        >>> hidden = K.function([model.input], [model.layers[0].output])
        >>> hidden([np.ones((5, 3))])[0].shape
        (5, 4)
    """
    return Function(inputs, outputs, updates)


class Function:
    """A callable that computes declared values from arrays; `function` makes it.

    Args:
        inputs: declared values, in the order of the arrays.
        outputs: a declared value, variable or array, or a list of them.
        updates: must be None or empty.

    Raises:
        ArgumentError: there are updates, or the outputs depend on an input that is not given.
        TypeError: an input is not a declared value.
    """

    def __init__(self, inputs: Sequence[Any], outputs: Any, updates: Sequence[Any] | None = None) -> None:
        if updates:
            raise ArgumentError(
                "K.function: updates must be empty: assign variables with `K.update` in a layer's `call`."
            )
        self.inputs, self.outputs = list(inputs), outputs
        for x in self.inputs:
            if not isinstance(x, Declared | int | np.integer):
                raise TypeError(f"K.function: inputs must be declared values or flags, got {x!r}.")
        self._listed = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
        declared = [y for y in self._listed if isinstance(y, Declared)]
        fed = [x for x in self.inputs if isinstance(x, Declared)]
        used = origins_of(declared, fed)
        given = {id(x): i for i, x in enumerate(self.inputs)}
        for x in used:
            if id(x) not in given:
                raise ArgumentError(f"K.function: the outputs depend on {x!r}, which must be among the inputs.")
        self._used = [given[id(x)] for x in used]
        self._model = Model([self.inputs[i] for i in self._used], declared) if declared else None

    def __call__(self, inputs: Sequence[Any]) -> Any:
        """The outputs, as NumPy arrays.

        Args:
            inputs: one array per input, and a number for the flag of training.

        Returns:
            A list of arrays if the outputs are a list, otherwise an array.

        Raises:
            ArgumentError: the number of arrays is not that of the inputs.
        """
        if not isinstance(inputs, list | tuple):
            inputs = [inputs]
        if len(inputs) != len(self.inputs):
            raise ArgumentError(f"K.function: expected a list of {len(self.inputs)} inputs, got {len(inputs)}.")
        phases = [value for x, value in zip(self.inputs, inputs, strict=True) if not isinstance(x, Declared)]
        computed = iter(())
        if self._model is not None:
            given = [_array(inputs[i], self.inputs[i].spec) for i in self._used]
            found: Any = self._model(given, training=bool(phases and np.any(get_value(phases[-1]))))
            computed = iter([found] if hasattr(found, "shape") else found)
        results = [
            np.asarray(to_numpy(next(computed)) if isinstance(y, Declared) else get_value(y)) for y in self._listed
        ]
        return results if isinstance(self.outputs, list | tuple) else results[0]


def _array(value: ArrayLike, spec: Spec) -> Tensor:
    value = get_value(value) if isinstance(value, Variable) else value
    return ops.convert_to_tensor(value, spec.dtype)


@filtered
def gradients(loss: Tensor, variables: Any) -> list[Any]:
    """The gradients of the sum of a declared value with respect to others, or to weights, as declared values.

    They are for `function`, or for a model's outputs.

    Args:
        loss: a declared value, or a list of them, whose sum is differentiated.
        variables: a declared value or a variable, or a list of them.

    Returns:
        A list with one declared value per variable, of its shape; None for a variable that `loss` does not depend on.

    Raises:
        TypeError: `loss` is not a declared value, or a variable is neither a declared value nor a variable.

    Example:
        >>> import numpy as np
        >>> from lamella import backend as K, layers
        >>> x = layers.Input((2,))
        >>> gradient = K.gradients(K.sum(K.square(x)), x)[0]
        >>> K.function([x], [gradient])([np.array([[1.0, 3.0]])])[0]
        array([[2., 6.]], dtype=float32)
    """
    targets = list(loss) if isinstance(loss, list | tuple) else [loss]
    chosen = list(variables) if isinstance(variables, list | tuple) else [variables]
    for what, x in [*(("loss", x) for x in targets), *(("variables", x) for x in chosen)]:
        if not isinstance(x, Declared) and not (what == "variables" and isinstance(x, Variable)):
            raise TypeError(f"K.gradients: {what} must be declared values, got {x!r}.")
    inner = [x for x in chosen if isinstance(x, Declared)]
    origins = origins_of(targets, inner)
    model = Model(origins, targets)
    known = {id(v) for v in model.variables}
    number = {id(x): i for i, x in enumerate(origins)}
    wrt = [number.get(id(x)) for x in chosen]
    weights = [x for x in chosen if isinstance(x, Variable) and id(x) in known]
    found = Gradients(model, [i for i in wrt if i is not None], weights)(origins)
    of_inputs = iter(found[: len(found) - len(weights)])
    of_weights = iter(found[len(found) - len(weights) :])
    return [
        next(of_inputs) if i is not None else next(of_weights) if isinstance(x, Variable) and id(x) in known else None
        for x, i in zip(chosen, wrt, strict=True)
    ]


class Gradients(Layer):
    """A layer that computes the gradients of the sum of a model's outputs with respect to some inputs and weights.

    Args:
        model: the model.
        inputs: the positions of the inputs.
        weights: the weights.
    """

    def __init__(self, model: Model, inputs: Sequence[int], weights: Sequence[Variable]) -> None:
        super().__init__()
        self.model = model
        self._wrt, self._of = list(inputs), list(weights)

    def call(self, inputs: Any, training: bool | None = None) -> list[Any]:
        """A list of the gradients, those of the inputs first.

        Args:
            inputs: values for the inputs of the model.
            training: whether the model is in training.
        """

        def total(values: Sequence[Any]) -> Any:
            outputs = self.model(list(values), training=training)
            return sum(ops.sum(y) for y in (outputs if isinstance(outputs, list | tuple) else [outputs]))

        inputs = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
        found: list[Any] = []
        if self._wrt:
            with Trace(captures_arrays=True) as inner:
                program = inner.program([as_value(total([inner.input(spec_of(x)) for x in inputs]))])
                captured = [outer for outer, _ in inner.captures]
            found += replay(differentiate(program, self._wrt), [*inputs, *captured])[1:]
        if self._of:
            found += value_and_grad(lambda: total(inputs), self._of)[1]
        return found
