"""The base class of all models: weights by path, a summary, a program, a lowered function, an export."""

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
"""The largest number of boxes in a diagram that a notebook shows."""


class BaseModel(Persistent, TrainableModel):
    """The base class of `Model` and `Sequential`.

    Args:
        name: the model's name; by default the class name in snake case, numbered.
        trainable: whether the weights may be trained.
        dtype: the dtype policy of what the model itself computes.
        activity_regularizer: penalty on the model's output that is added to the loss, or None.

    Attributes:
        described_by_layers: whether the configuration of the class is a list of layers that are applied in order.

    Example:
        >>> import lamella
        >>> isinstance(lamella.Sequential(), lamella.models.BaseModel)
        True
    """

    described_by_layers: ClassVar[bool] = False

    @abstractmethod
    def shown_parts(self) -> Parts:
        """Return the layer calls and operations that the model consists of, as far as they are known."""

    def __len__(self) -> int:
        """The number of layers."""
        return len(self.layers)

    def __bool__(self) -> bool:
        """True: a model without layers is a model."""
        return True

    @property
    def compiled(self) -> bool:
        """Whether `compile` has been called."""
        return self._compiled is not None

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return the layer with a given name or index.

        Args:
            name: the layer's name within the model.
            index: the layer's position in `layers`; takes precedence over `name`.

        Returns:
            The layer.

        Raises:
            ValueError: there is no such layer; the message suggests the nearest name.

        Example:
            >>> from lamella import Sequential
            >>> from lamella.layers import Dense
            >>> model = Sequential([Dense(3, name="hidden"), Dense(1)])
            >>> model.get_layer("hidden").units, model.get_layer(index=-1).units
            (3, 1)
        """
        if index is not None:
            if not -len(self.children) <= index < len(self.children):
                raise ValueError(f"index must be less than the number of layers, {len(self.children)}, got {index}.")
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
        """Return the inputs that the user passed in the structure that the model takes.

        Args:
            x: an array, or a list, tuple or dict of arrays; a dict is keyed by input name or by the keys of the
                structure.
            what: the name of the argument in error messages.

        Returns:
            The arrays in the structure of `input_spec`; `x` itself if that structure is not known yet.

        Raises:
            ArgumentError: the structures do not match; missing and unknown keys are listed.
        """
        if not self.has_input_shape:
            return x
        spec = self.input_spec
        if isinstance(spec, Spec) and not isinstance(x, dict):
            return x
        return tree.unflatten(tree.structure(spec), flattened(x, input_names(self), what, "input"))

    @property
    def fixed_batch_size(self) -> int | None:
        """The batch size, if it is fixed; None if it is free."""
        size = next(spec.shape[0] for spec in tree.leaves(self.input_spec))
        return size if isinstance(size, int) else None

    # ---- weights ----

    def named_weights(self) -> list[tuple[str, Variable]]:
        """Return every variable once, with the path that identifies it in `lower` and in files.

        Returns:
            A list of `(path, variable)` pairs.

        Example:
            >>> from lamella import Sequential
            >>> from lamella.layers import Dense, Input
            >>> model = Sequential([Input((2,)), Dense(3)])
            >>> [(path, variable.shape) for path, variable in model.named_weights()]
            [('dense/kernel', (2, 3)), ('dense/bias', (3,))]
        """
        seen: dict[int, tuple[str, Variable]] = {}
        for path, variable in self.named_variables():
            seen.setdefault(id(variable), (path, variable))
        return list(seen.values())

    def frozen_layers(self) -> frozenset[int]:
        """Return the ids of the layers whose `trainable` is False, the model itself included."""
        every = [self, *[layer for _, layer in self.named_layers()]]
        return frozenset(id(layer) for layer in every if not layer._trainable)

    def _trains_by_default(self) -> bool:
        """Whether the model, or a layer of it, trains where a call is not told not to."""
        if "trains by default" not in self.functions:
            classes = map(type, (self, *self._every_layer()))
            self.functions["trains by default"] = any(map(default_training, classes))
        return self.functions["trains by default"]

    # ---- summary, program and lowering ----

    def summary(
        self,
        line_length: int | None = None,
        positions: Sequence[float] | None = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
    ) -> None:
        """Print a table of the layers with their output shapes and parameter counts.

        If the layers do not form a chain, a column lists the inputs of each layer, where `dense[1][0]` is the first
        output of the second call of `dense`, and operations between layers have their own rows. On a terminal the table
        fits its width, and is printed in color if `rich` is installed.

        Args:
            line_length: the width of the table in characters; by default the width of the terminal.
            positions: where each column ends: fractions of the width (98 characters by default), or characters.
            print_fn: function that is called once with the whole text, instead of printing it.
            expand_nested: whether the layers of nested models are listed below them.
            show_trainable: whether to add a column that shows which layers are trainable.
            layer_range: names, or regular expressions, of the first and the last layer to show.

        Raises:
            ValueError: no layer matches `layer_range`, or `positions` does not have one entry per column.

        Example:
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
        """Return the diagram for a notebook; None if the model has no layers, or too many for a readable diagram."""
        from lamella.models.diagram import Options, picture_of

        if not 0 < len(self.shown_parts().parts) <= _MOST_SHOWN:
            return None
        return picture_of(self, Options(show_shapes=True, show_layer_names=True)).svg()

    def _repr_html_(self) -> str:
        """Return the HTML for a notebook: the diagram, the parameter counts and a table of the layers."""
        from lamella.models.summary import summary_html

        return summary_html(self, self._repr_svg_())

    def program(self, batch_size: int | None = None, training: bool = False, backward: bool = False) -> Program:
        """Return the printable program of the model's forward pass, or of a whole training step.

        Args:
            batch_size: the batch size, 32 by default. With `backward`, other free dimensions have size 32 as well.
            training: whether layers behave as in training.
            backward: whether the program computes the loss and its gradients, and with `training` the optimizer's
                update as well: everything that a step of `fit` computes. The loss of a model that is not compiled is
                the sum of its outputs.

        Returns:
            The program; `print` shows one equation per line.

        Raises:
            ValueError: the model is not built and its input shape is not known; or, with `backward`, the shape of the
                targets is not known because the model has not been trained yet.

        Example:
            >>> from lamella import Sequential
            >>> from lamella.layers import Dense, Input
            >>> model = Sequential([Input((3,)), Dense(2)])
            >>> model.compile("sgd", "mse")
            >>> model.program(batch_size=4).output_specs
            (Spec(shape=(4, 2), dtype='float32'),)
            >>> step = model.program(batch_size=4, training=True, backward=True)
            >>> step.output_names[:2]
            ('params/dense/kernel', 'params/dense/bias')
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
        """Return the model as a pure function `fn(params, state, x, training=False, seed=None) -> (y, new_state)`.

        Args:
            backend: the name of a backend; by default the model's.
            input_shape: the shape of a batch, for a model that is not built yet.
            training: fixes the argument `training`, so that `jax.jit` can trace the function without static arguments.
            optimize: False asks the backend for unoptimized code with one readable statement per equation.

        Returns:
            The function, with `params` and `state` (dicts from path to array) and, on NumPy, its `source` as
            attributes.

        Raises:
            BackendError: the backend is unknown or not installed.
            ValueError: the model is not built and no `input_shape` is given.

        Example:
            >>> import numpy as np
            >>> from lamella import Sequential
            >>> from lamella.layers import Dense, Input
            >>> model = Sequential([Input((2,)), Dense(1, kernel_initializer="ones")])
            >>> function = model.lower("numpy")
            >>> y, _ = function(function.params, function.state, np.array([[1.0, 2.0]], "float32"))
            >>> y
            array([[3.]], dtype=float32)
        """
        found = load_backend(self.backend_name if backend is None else backend)
        if input_shape is not None:
            self.build(input_shape)
        self.require_built()
        return Lowered(self, found, training=training, optimize=optimize)

    def export(self, filepath: str | os.PathLike[str], *, weights: str | None = None, sample: Any = None) -> None:
        """Write the model's prediction function to a file that runs without lamella.

        A layer with state starts every call from the state that it has now.

        Args:
            filepath: path whose ending selects the format. `.py`: one readable Python file with a function `predict(x)`
                that needs only NumPy. `.onnx`: an ONNX graph (opset 18). `.stablehlo`: an artifact for
                `jax.export.deserialize(data).call(x)` on CPU, CUDA and TPU. All accept any batch size that the model
                accepts.
            weights: for `.py`: "inside" the file (the default), or "beside" it in an `.npz` file.
            sample: for `.py`: the batch that the file records together with its output; by default a random one.

        Raises:
            ValueError: the ending is not supported, the model is not built, or the format cannot express the model
                (`ExportError`); no file is written.
            ImportError: the package `onnx`, or JAX, is not installed.

        Example:
            >>> import os, runpy, tempfile
            >>> import numpy as np
            >>> from lamella import Sequential
            >>> from lamella.layers import Dense, Input
            >>> model = Sequential([Input((2,)), Dense(1, kernel_initializer="ones")])
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     model.export(os.path.join(folder, "model.py"))
            ...     exported = runpy.run_path(os.path.join(folder, "model.py"))
            >>> exported["predict"](np.array([[1.0, 2.0]], "float32"))
            array([[3.]], dtype=float32)
        """
        from lamella.export import export

        self.require_built()
        export(self, filepath, weights=weights, sample=sample)

    def require_built(self) -> None:
        """Build the model if its input shape is known.

        Raises:
            ValueError: the input shape is not known, or the model has no layers.
        """
        if not self.built:
            self.build(None)
        if not self.layers:
            raise ValueError(f"Model {self.name!r} has no layers yet; add one.")

    def assign(self, params: dict[str, Any], state: dict[str, Any] | None = None) -> None:
        """Set the model's variables to the arrays of a lowered function.

        Args:
            params: dict from path to array, as `Lowered.params`.
            state: dict from path to array of the non-trainable state, or None.

        Raises:
            ValueError: a path is unknown, or a shape does not match; no variable has been changed then.

        Example:
            >>> import numpy as np
            >>> from lamella import Sequential
            >>> from lamella.layers import Dense, Input
            >>> model = Sequential([Input((2,)), Dense(1)])
            >>> model.assign({"dense/bias": np.array([5.0], "float32")})
            >>> model.get_layer("dense").bias.numpy()
            array([5.], dtype=float32)
        """
        variables = dict(self.named_weights())
        given = {**params, **(state or {})}
        arrays = {}
        for name, array in given.items():
            if name not in variables:
                raise unknown_name("weight", name, variables)
            if tuple(array.shape) != variables[name].shape:
                raise ShapeError(f"weight {name!r} must have shape {variables[name].shape}, got {tuple(array.shape)}.")
            arrays[name] = np.array(to_numpy(array))
        for name, array in arrays.items():
            variables[name].assign(array)
