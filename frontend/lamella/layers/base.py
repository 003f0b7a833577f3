"""The base class of every layer, built-in or user-defined.

`__init__` stores configuration, `build(input_shape)` makes variables with `add_weight`, `call(x, ...)` is written in
`lamella.ops`. Inside a trace a layer is called with symbolic values; called with an array it computes at once.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lamella import constraints, host_random, initializers, ops, regularizers, tree
from lamella.core import context, rematerialization
from lamella.core.dtype_policy import DTypePolicy
from lamella.core.variable import Variable
from lamella.errors import LamellaError, ShapeError
from lamella.ir import settings
from lamella.ir.declared import is_declared
from lamella.ir.dim import as_number, public_shape
from lamella.ir.spec import Spec, dtype_name, is_float, spec_of
from lamella.layers.building import built_once, draws_values, weight_key, weight_path
from lamella.layers.calls import INPUT, INPUT_SHAPE, OUTPUT, OUTPUT_SHAPE, Calls
from lamella.layers.draws import Draws
from lamella.layers.held_weights import HeldWeights
from lamella.layers.input_spec import check_inputs
from lamella.layers.making import LayerMeta, WeightFields, call_parameters, default_training
from lamella.layers.naming import LayerName, Models, first_free, models_with, unique_name
from lamella.names import snake_case
from lamella.tracebacks import Line, filter_methods, filtered

if TYPE_CHECKING:
    from lamella.ir.types import Identifier, Tensor


class Layer(Draws, HeldWeights, metaclass=LayerMeta):
    """A layer: weights, and a function of its inputs.

    A subclass makes its weights in `build` with `add_weight` and computes in `call` with `lamella.ops`. Called on a
    symbolic value, a layer adds to the model being declared or traced; called on an array, it computes at once on the
    current backend. `training` and `mask` may be given to every call: `call` receives them if it has a parameter of
    that name.

    Args:
        name: the layer's name, unique within a model; by default the class name in snake case, numbered within the
            model.
        trainable: whether an optimizer may update the layer's weights.
        dtype: dtype of the weights and of the computation, or a policy such as "mixed_bfloat16"; None for the global
            policy.
        activity_regularizer: regularizer of the output; its value, divided by the batch size, is added to the loss.
        input_shape: shape of one example, without the batch dimension; accepted by every layer, for the first one of a
            `Sequential`. `input_dim=n` means `(n,)`; `batch_input_shape=` includes the batch dimension.
        weights: list of arrays to initialize the weights from, in the order of `get_weights`; accepted by every layer.

    Attributes:
        supports_masking: whether the mask of the input is passed on as the mask of the output.
        casts_integers: whether integer and boolean inputs are cast to the compute dtype as well: True for layers that
            do arithmetic, False for those that look integers up or only move values.
        input_spec: what the layer expects of its inputs: an `InputSpec`, or one per input; checked at every call.
        keras_module: the module of Keras that has the class, for configurations.
        deserializes_config: whether `from_config` takes a serialized configuration, with descriptions of objects in it.
        weight_fields: the weights whose initializers, regularizers and constraints are arguments of the layer.
        config_attributes: {argument: attribute} for arguments that a configuration reads from another attribute.
        config_without: arguments that a configuration omits: arrays, or arguments that Keras's class does not have.
        prepares_data: whether the layer takes only arrays, on the host, and cannot be part of a model.

    Raises:
        TypeError: an argument is unknown; the message names the nearest one.

    Example:
        >>> import numpy as np
        >>> from lamella import ops
        >>> from lamella.layers import Layer
        >>> class Scale(Layer):
        ...     def build(self, input_shape):
        ...         self.factor = self.add_weight(input_shape[-1:], "ones", name="factor")
        ...
        ...     def call(self, inputs):
        ...         return ops.multiply(inputs, self.factor)
        >>> layer = Scale()
        >>> layer(np.array([[1.0, 2.0]])).tolist(), layer.count_params()
        ([[1.0, 2.0]], 2)
    """

    name: str = LayerName("a layer")  # type: ignore[assignment]
    supports_masking = False
    casts_integers = False
    keras_module = "keras.layers"
    deserializes_config = True
    prepares_data = False
    weight_fields = WeightFields()
    config_attributes: ClassVar[Mapping[str, str]] = {}
    config_without: Container[str] = ()

    input: Any = INPUT
    output: Any = OUTPUT
    input_shape: Any = INPUT_SHAPE
    output_shape: Any = OUTPUT_SHAPE

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
        activity_regularizer: Identifier | None = None,
    ) -> None:
        self._added_to = Models()
        self._calls = Calls()
        self.name = snake_case(type(self).__name__) if name is None else name
        self._named = name is not None
        self._trainable = bool(trainable)
        self.dtype_policy = DTypePolicy.of(dtype)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.built = False
        self.build_shape: Any = None
        self._variables: list[Variable] = []
        self._initial_weights: list[Any] | None = None
        self._declared_input: tuple[tuple[int | None, ...], Any] | None = None
        self._arguments: dict[str, Any] = {}
        self._made_at: Line | None = None
        self.remat_scope = rematerialization.current()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in cls.__dict__:
            cls.build = built_once(cls.build)
        if "weight_fields" in cls.__dict__:
            for weight in cls.weight_fields.names:
                if not hasattr(cls, weight):
                    setattr(cls, weight, None)  # a layer without a bias has the attribute, too
            inherited = getattr(cls.__init__, "__wrapped__", cls.__init__)
            cls.__init__ = cls.weight_fields.constructor(cls.__dict__.get("__init__", inherited))
        filter_methods(cls)

    @property
    def children(self) -> dict[str, Layer]:
        """The layers in attributes (also in lists, tuples and dicts), by their name within this one."""
        return self._kept_layers({})

    def _kept_layers(self, found: dict[str, Layer], skipped: Container[str] = ()) -> dict[str, Layer]:
        """`found` with the layers in attributes other than those `skipped`, each by an unused name."""
        seen = {id(self), *map(id, found.values())}
        for attribute, value in vars(self).items():
            if attribute not in skipped and attribute != "_calls":  # there may be many, and they hold no layers
                for layer in tree.leaves(value):
                    if isinstance(layer, Layer) and id(layer) not in seen:
                        seen.add(id(layer))
                        found[unique_name(layer, found)] = layer
        return found

    def named_layers(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        """Iterate over the layers inside this one, at any depth, with their paths.

        Args:
            prefix: text in front of every path.
        """
        for name, child in self.children.items():
            yield prefix + name, child
            yield from child.named_layers(f"{prefix}{name}/")

    def rematerialize(self, scope: rematerialization.RematScope | None) -> None:
        """Set whether the layer's values are recomputed in the backward pass; see `lamella.remat`.

        Args:
            scope: the scope that decides; None to keep the values.
        """
        self.remat_scope = scope
        for model in self._added_to:
            model._forget_programs()

    def build(self, input_shape: Any) -> None:
        """Make the layer's weights; called once, before the first call.

        Args:
            input_shape: shape of the first input, with None for the batch.
        """

    def add_weight(
        self,
        shape: Sequence[int] | int | None = None,
        initializer: Identifier | None = None,
        dtype: Any = None,
        trainable: bool = True,
        regularizer: Identifier | None = None,
        constraint: Identifier | None = None,
        name: str | None = None,
        **legacy_kwargs: Any,
    ) -> Variable:
        """Make a variable of this layer.

        Args:
            shape: shape of the variable; `()` or None for a scalar.
            initializer: an initializer, its name, or a function `(shape, dtype)`; by default "glorot_uniform" for
                floats and "zeros" for other dtypes.
            dtype: dtype of the variable; by default the layer's variable dtype.
            trainable: whether an optimizer may update it; False for state that `call` assigns.
            regularizer: penalty on the value, added to the loss.
            constraint: constraint applied to the value after each optimizer step.
            name: name within the layer; by default "variable", numbered.
            **legacy_kwargs: `shape=` after a name as the first argument, as in Keras 2.

        Returns:
            The variable: keep it as an attribute, and use it in `call` like an array.

        Raises:
            ShapeError: a size is None.
        """
        if isinstance(shape, str):  # add_weight("name", shape=...) of Keras 2
            name, shape = shape, legacy_kwargs.pop("shape", None)
        if legacy_kwargs:
            raise TypeError(f"add_weight got unknown arguments {sorted(legacy_kwargs)}.")
        dims = () if shape is None else (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
        if any(d is None for d in dims):
            raise ShapeError(
                f"Layer {self.name!r}: a weight of shape {dims} has no size along axis {dims.index(None)}: a dimension of "
                "the inputs that a weight depends on cannot be None; give it in `Input(...)`."
            )
        kind = self.dtype_policy.variable_dtype if dtype is None else dtype_name(dtype)
        default = initializers.GlorotUniform() if is_float(kind) else initializers.Zeros()
        taken = {v.name for v in self._variables}
        base = name or "variable"
        label = first_free(base, taken)
        variable = Variable(
            initializers.get(initializer) or default,
            dims,
            kind,
            trainable,
            name=label,
            regularizer=regularizers.get(regularizer),
            constraint=constraints.get(constraint),
        )
        variable.is_free = False
        if draws_values():
            variable.initialize(*weight_key(self, label))
        else:
            variable.path = weight_path(self, label)
        self._variables.append(variable)
        return variable

    def add_field(
        self, field: str, shape: Sequence[Any], *, name: str | None = None, initializer: Identifier | None = None
    ) -> Variable:
        """Make a variable for a weight of `weight_fields`, with the layer's initializer, regularizer and constraint for it.

        Args:
            field: the weight.
            shape: shape of the variable.
            name: name within the layer; None for that of the field.
            initializer: initializer to use instead of the layer's.
        """
        return self.add_weight(
            shape,
            getattr(self, f"{field}_initializer") if initializer is None else initializer,
            trainable=field not in self.weight_fields.state,
            regularizer=getattr(self, f"{field}_regularizer", None),
            constraint=getattr(self, f"{field}_constraint", None),
            name=name or field,
        )

    def _finish_build(self, input_shape: Any) -> None:
        """Run after `build` of any subclass, as part of it."""

    def _initialized(self) -> None:
        """Called when every `__init__` of the layer's classes has returned."""
        self._adopted()

    def _adopted(self) -> list[Variable]:
        """The user's `Variable`s in attributes; those not seen before become weights of the layer."""
        held = [v for value in vars(self).values() for v in tree.leaves(value) if isinstance(v, Variable) and v.is_free]
        for variable in {id(v): v for v in held}.values():
            if variable not in self._variables:
                variable.name = first_free(variable.name, {v.name for v in self._variables})
                variable.path = f"{self.name}/{variable.name}"
                self._variables.append(variable)
        return [v for v in self._variables if v.is_free]

    def _shape_for_build(self, inputs: Any) -> Any:
        """The argument of `build` for the inputs of the first call: the shape of the first input."""
        return public_shape(spec_of(next(x for x in tree.leaves(inputs) if hasattr(x, "shape"))).shape)

    def _build_again(self, input_shape: Any) -> None:
        """Handle a call of `build` on a built layer: nothing happens; a model refuses another shape."""

    def _own_key(self) -> tuple[np.ndarray, str]:
        """The random key and path of the weights when the user calls `build`: a new seed."""
        return host_random.key_from_seed(host_random.next_seed()), self.name

    def _unbuild(self) -> None:
        """Undo a build after a later failure."""
        self._variables.clear()
        self.built, self.build_shape = False, None

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs, in `lamella.ops`; a subclass writes it, and may add the parameters `training` and `mask`.

        Args:
            inputs: the first argument of the call: a value, or a list or dict of values.
            *args: further positional arguments of the call.
            **kwargs: further keyword arguments of the call.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `call`.")

    def check_input(self, spec: Spec) -> None:
        """Raise a `ShapeError` or `DTypeError` if inputs are not supported; called before `build` and at every call.

        Args:
            spec: shape and dtype of the first input.
        """

    def compute_mask(self, inputs: Any, mask: Any = None) -> Tensor | None:
        """The mask of the output: that of the input if the layer supports masks, otherwise None.

        Args:
            inputs: the inputs of the call.
            mask: the mask of the inputs, or None.
        """
        return mask if self.supports_masking else None

    @filtered
    def __call__(self, inputs: Any, *args: Any, training: bool | None = None, mask: Any = None, **kwargs: Any) -> Any:
        """Apply the layer: to symbolic values inside a trace, to declared values, or to arrays at once.

        Args:
            inputs: the first argument of `call`.
            *args: further positional arguments of `call`.
            training: whether to run in training mode; None for that of the surrounding call, otherwise the
                default of `call`.
            mask: the mask of the inputs; None for the mask that they carry.
            **kwargs: further keyword arguments of `call`.

        Returns:
            What `call` returns.

        Raises:
            ShapeError: the layer does not support the shape of the inputs.
            DTypeError: the layer does not support the dtype of the inputs.
        """
        inputs = _converted(inputs)
        running = context.current()
        if running is None:
            if is_declared((inputs, args, mask, kwargs)):
                from lamella.layers import declaring

                given = {"training": training, "mask": mask}
                return declaring.call(
                    self, (inputs, *args), {**kwargs, **{word: v for word, v in given.items() if v is not None}}
                )
            from lamella.layers import eager

            return eager.call(self, inputs, args, training, mask, kwargs)
        with running.calling(self):
            before = running.compute_dtype, running.training
            try:
                for x in [x for x in tree.leaves(inputs) if hasattr(x, "shape")][:1]:
                    self.check_input(spec_of(x))
                    check_inputs(self, inputs)
                    if not self.built:
                        self.build(self._shape_for_build(inputs))
                running.compute_dtype = self.dtype_policy.cast_to if running.casts else None
                if mask is None:
                    mask = running.mask_of(inputs)
                if running.compute_dtype is not None:
                    inputs = tree.map_leaves(lambda x: self._cast(x, running), inputs)
                if training is None and running.training is None:
                    training = default_training(type(self))
                if training is not None:
                    running.training = bool(training)
                accepted = call_parameters(type(self))
                if "training" in accepted:
                    kwargs["training"] = bool(running.training)
                if "mask" in accepted and mask is not None:
                    kwargs["mask"] = mask
                outputs = self.call(inputs, *args, **kwargs)
                if self.activity_regularizer is not None:
                    penalty = self.activity_regularizer(outputs)
                    running.losses.append(ops.divide(penalty, as_number(outputs.shape[0])))
                if outputs is not inputs or running.mask_of(inputs) is None:
                    running.set_mask(outputs, self.compute_mask(inputs, mask))
                running.record(outputs)
                return outputs
            except LamellaError as error:
                raise self._located(error, running.where).with_traceback(error.__traceback__) from None
            finally:
                running.compute_dtype, running.training = before

    @filtered
    def compute_output_shape(self, input_shape: Any, *more: Any) -> Any:
        """The shape of the outputs for inputs of a shape; builds no weights and draws no random numbers.

        Args:
            input_shape: shape of a batch, with None for sizes that are not fixed; a list of shapes for several inputs.
            *more: shapes of further arguments of `call`, such as the values of an attention layer.

        Returns:
            A tuple; for several outputs, nested like the outputs.

        Raises:
            ShapeError: the layer does not support such inputs.

        Example:
            >>> from lamella.layers import Conv2D
            >>> Conv2D(8, 3, strides=2).compute_output_shape((None, 28, None, 1))
            (None, 13, None, 8)
        """
        from lamella.layers.output_shapes import output_shape

        return output_shape(self, input_shape, *more)

    def _cast(self, x: Tensor, running: context.TraceContext) -> Tensor:
        """`x` cast to the compute dtype, with its mask."""
        if not hasattr(x, "dtype") or not (self.casts_integers or is_float(spec_of(x).dtype)):
            return x
        y = ops.cast(x, running.compute_dtype)
        running.set_mask(y, running.mask_of(x))
        return y

    def _located(self, error: LamellaError, where: str) -> LamellaError:
        """The same error with the path of the innermost layer in front, added once."""
        if getattr(error, "located", False):
            return error
        message = str(error)
        if f"'{where}'" not in message:
            message = f"Layer {where!r} ({type(self).__name__}): {message}"
        located = type(error)(message)
        located.located = True  # type: ignore[attr-defined]
        return located

    @property
    def path(self) -> str:
        """The path of the layer within the models that contain it, outermost first; outside of models, its name."""
        for model in models_with(self):
            outer = model.path if models_with(model) else ""
            return f"{outer}/{self.name}" if outer else self.name
        return self.name

    def name_of(self, layer: Layer) -> str:
        """The name of `layer` among the children; `layer.name` if it is not one of them.

        Args:
            layer: the layer to look up.
        """
        children = self.children
        if children.get(layer.name) is layer:
            return layer.name
        return next((name for name, child in children.items() if child is layer), layer.name)

    def add_loss(self, loss: Tensor) -> None:
        """Add a scalar to the loss of the model, from inside `call`.

        Args:
            loss: the scalar.
        """
        running = context.current()
        if running is not None:
            from lamella.ir.trace import as_value

            running.losses.append(as_value(loss))

    def shape_of_input_dim(self, input_dim: int, length: int | None, has_length: bool) -> tuple[int | None, ...]:
        """The shape of one example that `input_dim=` and `input_length=` of Keras 1 describe for this layer."""
        return (length, input_dim) if has_length else (input_dim,)

    def stateless_call(
        self,
        trainable_variables: Sequence[Any],
        non_trainable_variables: Sequence[Any],
        *args: Any,
        return_losses: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Call the layer as a pure function of given values of its variables, which are not changed.

        Args:
            trainable_variables: arrays in the order of `trainable_variables`.
            non_trainable_variables: arrays in the order of `non_trainable_variables`.
            *args: positional arguments of the call.
            return_losses: whether to return the penalties of regularizers and of `add_loss` as well.
            **kwargs: keyword arguments of the call, such as `training`.

        Returns:
            (outputs, new non-trainable values), with `return_losses` followed by a list of scalars.

        Raises:
            ShapeError: the number of arrays, or a shape, does not match.

        Example:
            >>> import numpy as np
            >>> from lamella.layers import Dense
            >>> layer = Dense(1, use_bias=False)
            >>> layer.build((None, 2))
            >>> y, state = layer.stateless_call([np.array([[1.0], [2.0]])], [], np.ones((1, 2)))
            >>> y.tolist(), state
            ([[3.0]], [])
        """
        from lamella.layers import eager

        given = [*trainable_variables], [*non_trainable_variables]
        return eager.stateless_call(self, *given, args, kwargs, return_losses=return_losses)

    @property
    def dtype(self) -> str:
        """The dtype of the layer's variables."""
        return self.dtype_policy.variable_dtype

    @property
    def compute_dtype(self) -> str:
        """The dtype the layer computes in."""
        return self.dtype_policy.compute_dtype

    def get_config(self) -> dict[str, Any]:
        """The arguments that the layer was made with, in the schema of Keras 3; `from_config` makes an equal layer of them.

        Objects among them (initializers, layers) are described by dicts; user-defined functions stay functions. A subclass
        may add to it: `{**super().get_config(), "units": self.units}`.
        """
        from lamella.layers import configuration

        return configuration.arguments_of(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """Make a layer, not built, from a configuration.

        Args:
            config: what `get_config` returned.

        Raises:
            UnknownNameError: the configuration names a class that lamella does not know.
        """
        from lamella.layers import configuration

        return configuration.layer_from(cls, config)

    def _further_config(self) -> dict[str, Any]:
        """What a file stores of a layer besides its arguments: the shape it was built for."""
        shape = self.build_shape
        if getattr(self, "stateful", False):
            return {}  # the model decides the batch size
        if not isinstance(shape, tuple) or not all(d is None or isinstance(d, int) for d in shape):
            return {}
        return {"build_config": {"input_shape": [None if d is None else int(d) for d in shape]}}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}{'' if self.built else ', not built'}>"


def _converted(inputs: Any) -> Any:
    """Convert lists of numbers to arrays; lists of arrays remain lists of inputs."""
    if isinstance(inputs, list) and not any(hasattr(x, "shape") for x in tree.leaves(inputs)):
        return np.asarray(inputs, settings.floatx() if settings.floatx() != "bfloat16" else "float32")
    return inputs


Layer.build = built_once(Layer.build)
Layer.input_spec = None  # type: ignore[attr-defined]  # assigned, not declared: for models it is a property
