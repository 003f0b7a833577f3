"""What every model has: weights by path, a summary, a program, a lowered function, an export."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from lamella import tree
from lamella.backend_api import load_backend, to_numpy
from lamella.core.structure import flattened, input_names
from lamella.core.variable import Variable
from lamella.errors import ShapeError, unknown_name
from lamella.ir import settings
from lamella.ir.dim import BATCH
from lamella.ir.program import Program
from lamella.ir.spec import Spec
from lamella.layers.base import Layer
from lamella.layers.making import default_training
from lamella.lowering.forward import trace_forward
from lamella.lowering.function import Lowered
from lamella.models.parts import Parts
from lamella.models.persistence import Persistent
from lamella.models.trainer import TrainableModel

BatchShape = tuple[int | None, ...]

_MOST_SHOWN = 200
"""So many boxes a picture in a notebook has at most."""


class BaseModel(Persistent, TrainableModel):
    """A model, however it is declared.

    Attributes:
        described_by_layers: whether a configuration of the class is a list of layers, applied one after another.
    """

    described_by_layers: ClassVar[bool] = False

    @abstractmethod
    def shown_parts(self) -> Parts:
        """The calls of layers, and the operations, that the model consists of, as far as they are known."""

    def __len__(self) -> int:
        """The number of layers."""
        return len(self.layers)

    def __bool__(self) -> bool:
        """True: a model without layers is a model."""
        return True

    @property
    def compiled(self) -> bool:
        """Whether the model is compiled."""
        return self._compiled is not None

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of a name or at a place.

        Raises:
            ValueError: there is none; the nearest name is given.
        """
        if index is not None:
            if not -len(self.children) <= index < len(self.children):
                raise ValueError(f"The model has {len(self.children)} layers, there is no layer {index}.")
            return self.layers[index]
        if name not in self.children:
            raise unknown_name("layer", name, self.children)
        return self.children[name]

    def _every_layer(self) -> Iterator[Layer]:
        for _, layer in self.named_layers():
            yield layer

    def _default_dtype(self) -> str:
        return settings.floatx()

    # ---- inputs ----

    def arranged(self, x: Any, what: str = "x") -> Any:
        """What the user gave as inputs, in the structure of the inputs; as it is where that is not known yet.

        Args:
            x: an array, or a list, tuple or dict (by the inputs' names, or by the keys of their structure) of arrays.
            what: what messages call it.

        Raises:
            ArgumentError: the structures do not match; missing and unknown keys are named.
        """
        if not self.has_input_shape:
            return x
        spec = self.input_spec
        if isinstance(spec, Spec) and not isinstance(x, dict):
            return x
        return tree.unflatten(tree.structure(spec), flattened(x, input_names(self), what, "input"))

    @property
    def fixed_batch_size(self) -> int | None:
        """The number of examples that every batch has; None where it is free."""
        size = next(spec.shape[0] for spec in tree.leaves(self.input_spec))
        return size if isinstance(size, int) else None

    # ---- weights ----

    def named_weights(self) -> list[tuple[str, Variable]]:
        """Every variable once, with the path that names it in `lower` and in files: "dense_1/kernel"."""
        seen: dict[int, tuple[str, Variable]] = {}
        for path, variable in self.named_variables():
            seen.setdefault(id(variable), (path, variable))
        return list(seen.values())

    def frozen_layers(self) -> frozenset[int]:
        """Ids of the layers that are not trainable now."""
        every = [self, *[layer for _, layer in self.named_layers()]]
        return frozenset(id(layer) for layer in every if not layer._trainable)

    def _trains_by_default(self) -> bool:
        """Whether the model, or a layer of it, trains where a call is not told not to."""
        if "trains by default" not in self.functions:
            classes = map(type, (self, *self._every_layer()))
            self.functions["trains by default"] = any(map(default_training, classes))
        return self.functions["trains by default"]

    # ---- looking and lowering ----

    def summary(
        self,
        line_length: int | None = None,
        positions: Sequence[float] | None = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
    ) -> None:
        """Print the layers with their output shapes, their parameters, and, where they are no chain, what feeds them.

        Operations between layers have rows of their own. "dense[1][0]" is the first output of the second call of `dense`.

        >>> from lamella import Sequential
        >>> from lamella.layers import Dense, Input
        >>> Sequential([Input((3,)), Dense(2)], name="small").summary()
        Model: "small"
        ┏━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━┓
        ┃ Layer (type)  ┃ Output shape ┃ Parameters ┃
        ┡━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━┩
        │ dense (Dense) │ (None, 2)    │          8 │
        └───────────────┴──────────────┴────────────┘
        Total parameters: 8 (32.00 B)
        Trainable parameters: 8 (32.00 B)
        Non-trainable parameters: 0 (0.00 B)

        Args:
            line_length: the width of the table; by default that of the terminal.
            positions: where each column ends, as fractions of the width (98 by default) or in characters.
            print_fn: gets the text, once, instead of the terminal.
            expand_nested: whether models within the model are followed by their layers.
            show_trainable: add a column that says which layers are trainable.
            layer_range: the names of the first and of the last layer to be shown, or regular expressions for them.

        Raises:
            ValueError: no layer is called as `layer_range` says, or `positions` are not one for each column.
        """
        from lamella.models.summary import summary

        summary(
            self,
            line_length=line_length,
            print_fn=print_fn,
            expand_nested=expand_nested,
            show_trainable=show_trainable,
            layer_range=layer_range,
            positions=positions,
        )

    def _repr_svg_(self) -> str | None:
        """The picture that a notebook shows of the model; none where it has no layers, or too many to be looked at."""
        from lamella.models.diagram import Options, picture_of

        if not 0 < len(self.shown_parts().parts) <= _MOST_SHOWN:
            return None
        return picture_of(self, Options(show_shapes=True, show_layer_names=True)).svg()

    def _repr_html_(self) -> str:
        """What a notebook shows of the model: its picture, where it has one, its counts and a table of its layers."""
        from lamella.models.summary import summary_html

        return summary_html(self, self._repr_svg_())

    def program(self, batch_size: int | None = None, training: bool = False, backward: bool = False) -> Program:
        """The printable program of the model's call on a batch, or of what training computes for one.

        >>> from lamella import Sequential
        >>> from lamella.layers import Dense, Input
        >>> model = Sequential([Input((3,)), Dense(2)])
        >>> model.compile("sgd", "mse")
        >>> model.program(batch_size=4).output_specs
        (Spec(shape=(4, 2), dtype='float32'),)
        >>> step = model.program(batch_size=4, training=True, backward=True)
        >>> step.output_names[:2]
        ('params/dense/kernel', 'params/dense/bias')

        Args:
            batch_size: the rows of the batch, 32 by default; with `backward`, other dimensions that are left free have the
                size 32.
            training: whether layers behave as in training.
            backward: whether the loss and its gradients are computed, and with `training` the optimizer's step: all that a
                step of `fit` does. A model that is not compiled has the sum of its outputs as its loss.

        Raises:
            ValueError: the model is not built and its input shape is not known; or, with `backward`, it is not known what
                targets the loss takes, and the model was not trained yet.
        """
        self.require_built()
        if backward:
            from lamella.models.step_program import step_program

            fixed = next(spec.shape[0] for spec in tree.leaves(self.input_spec))
            return step_program(self, fixed if isinstance(fixed, int) else batch_size or 32, training=training)
        batch = tree.map_leaves(lambda spec: spec.at({BATCH: batch_size or 32}), self.input_spec)
        return trace_forward(self, self.check_batch(batch), training=training, keyed=training or None).program

    def lower(
        self,
        backend: Any = None,
        input_shape: Any = None,
        *,
        training: bool | None = None,
        optimize: bool = True,
    ) -> Lowered:
        """The model as a pure function `fn(params, state, x, training=False, seed=None) -> (y, new_state)`.

        Args:
            backend: a backend's name; None for the one in force.
            input_shape: the shape of a batch, for a model that is not built yet.
            training: fixes `training`, so that a plain `jax.jit` takes the function.
            optimize: False asks the backend for one readable step an equation.

        Raises:
            BackendError: the backend is unknown or not installed.
            ValueError: the model is not built and no `input_shape` is given.
        """
        found = load_backend(self.backend_name if backend is None else backend)
        if input_shape is not None:
            self.build(input_shape)
        self.require_built()
        return Lowered(self, found, training=training, optimize=optimize)

    def export(self, filepath: str | os.PathLike[str], *, weights: str | None = None, sample: Any = None) -> None:
        """Write the model's prediction to a file that runs without lamella.

        A layer that keeps a state starts every call from the state that it has now.

        Args:
            filepath: its ending says what is written. ".py": one readable Python file that needs NumPy alone, with
                `predict(x)`. ".onnx": an ONNX graph (opset 18). ".stablehlo": what `jax.export.deserialize(data).call(x)`
                computes on CPU, CUDA and TPU. All take any number of rows where the model does.
            weights: for ".py": "inside" the file (the default) or "beside" it, as `.npz`.
            sample: for ".py": a batch that the file records with its output, instead of one drawn for it.

        Raises:
            ValueError: the ending is another, the model is not built, or the format has no words for it (`ExportError`);
                nothing is written then.
            ImportError: the package `onnx`, or JAX, is not installed.
        """
        from lamella.export import export

        self.require_built()
        export(self, filepath, weights=weights, sample=sample)

    def require_built(self) -> None:
        """Build the model, if its input shape is known; complain where it is not, or there are no layers."""
        if not self.built:
            self.build(None)
        if not self.layers:
            raise ValueError(f"Model {self.name!r} has no layers yet; add one.")

    def assign(self, params: dict[str, Any], state: dict[str, Any] | None = None) -> None:
        """Set the model's variables from the `params` (and `state`) of a lowered function.

        Raises:
            ValueError: a key is unknown or a shape does not fit; nothing is set then.
        """
        variables = dict(self.named_weights())
        given = {**params, **(state or {})}
        arrays = {}
        for name, array in given.items():
            if name not in variables:
                raise unknown_name("weight", name, variables)
            if tuple(array.shape) != variables[name].shape:
                raise ShapeError(f"weight {name!r} has shape {variables[name].shape}, got {tuple(array.shape)}.")
            arrays[name] = np.array(to_numpy(array))
        for name, array in arrays.items():
            variables[name].assign(array)
