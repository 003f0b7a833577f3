"""The base of every layer, built in or a user's own.

`__init__` stores configuration, `build(input_shape)` makes variables with `add_weight`, `call(x, ...)` is written in
`lamella.ops`. A layer is called inside a trace with a symbolic value; called with an array it computes at once.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, ClassVar

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
        activity_regularizer: Any = None,
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
                    setattr(cls, weight, None)  # what a layer without a bias says of it
            inherited = getattr(cls.__init__, "__wrapped__", cls.__init__)
            cls.__init__ = cls.weight_fields.constructor(cls.__dict__.get("__init__", inherited))
        filter_methods(cls)

    # ---- the layers that a layer holds ----

    @property
    def children(self) -> dict[str, Layer]:
        """The layers kept in attributes (also in lists, tuples and dicts), by their name within this one."""
        return self._kept_layers({})

    def _kept_layers(self, found: dict[str, Layer], skipped: Container[str] = ()) -> dict[str, Layer]:
        """`found` with the layers in attributes but for those `skipped`, each by a name that is free."""
        seen = {id(self), *map(id, found.values())}
        for attribute, value in vars(self).items():
            if attribute not in skipped and attribute != "_calls":  # of which there may be many
                for layer in tree.leaves(value):
                    if isinstance(layer, Layer) and id(layer) not in seen:
                        seen.add(id(layer))
                        found[unique_name(layer, found)] = layer
        return found

    def named_layers(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        """Every layer held, at any depth, with its path."""
        for name, child in self.children.items():
            yield prefix + name, child
            yield from child.named_layers(f"{prefix}{name}/")

    def rematerialize(self, scope: rematerialization.RematScope | None) -> None:
        """Let `scope` say whether the layer's values are computed again in the backward pass; see `lamella.remat`."""
        self.remat_scope = scope
        for model in self._added_to:
            model._forget_programs()

    # ---- making weights ----

    def build(self, input_shape: Any) -> None:
        """Make the layer's variables for inputs of `input_shape` (None first for the batch); called once."""

    def add_weight(
        self,
        shape: Sequence[int] | int | None = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        name: str | None = None,
        **legacy_words: Any,
    ) -> Variable:
        """A new variable of this layer.

        Args:
            shape: its shape; `()` for a scalar.
            initializer: an initializer, its name, or a callable `(shape, dtype)`; by default glorot_uniform for floats,
                zeros for the rest.
            dtype: its dtype; by default the layer's variable dtype.
            trainable: whether an optimizer may change it; False for state that `call` assigns.
            regularizer: a penalty on the value, added to the loss.
            constraint: applied to the value after each optimizer step.
            name: its name within the layer; by default "variable", numbered.
            **legacy_words: `shape=` where the name came first, as in Keras 2.

        Returns:
            The variable, to be kept as an attribute and used in `call` like an array.
        """
        if isinstance(shape, str):  # add_weight("name", shape=...) of Keras 2
            name, shape = shape, legacy_words.pop("shape", None)
        if legacy_words:
            raise TypeError(f"add_weight got unknown arguments {sorted(legacy_words)}.")
        dims = () if shape is None else (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
        if any(d is None for d in dims):
            raise ShapeError(
                f"Layer {self.name!r}: a weight of shape {dims} has no size along axis {dims.index(None)}: a dimension of "
                "the inputs that a weight depends on cannot be left free (None); give it in `Input(...)`."
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
        self, field: str, shape: Sequence[Any], *, name: str | None = None, initializer: Any = None
    ) -> Variable:
        """A new variable for a weight of `weight_fields`, with the options that the layer was given for it.

        Args:
            field: the weight.
            shape: its shape.
            name: its name within the layer, where it is not the field's.
            initializer: taken instead of the field's.
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
        """What follows `build`, as a part of it, whatever a subclass does there."""

    def _adopted(self) -> list[Variable]:
        """The `Variable`s that the user keeps in attributes; those found for the first time become the layer's weights."""
        held = [v for value in vars(self).values() for v in tree.leaves(value) if isinstance(v, Variable) and v.is_free]
        for variable in {id(v): v for v in held}.values():
            if variable not in self._variables:
                variable.name = first_free(variable.name, {v.name for v in self._variables})
                variable.path = f"{self.name}/{variable.name}"
                self._variables.append(variable)
        return [v for v in self._variables if v.is_free]

    def _shape_for_build(self, inputs: Any) -> Any:
        """What `build` receives of the inputs of the first call: the shape of the first."""
        return public_shape(spec_of(next(x for x in tree.leaves(inputs) if hasattr(x, "shape"))).shape)

    def _build_again(self, input_shape: Any) -> None:
        """Asked to build when built already: nothing happens; a model refuses another shape."""

    def _own_key(self) -> tuple[np.ndarray, str]:
        """Where weights come from when the user builds the layer: a separate seed."""
        return host_random.key_from_seed(host_random.next_seed()), self.name

    def _unbuild(self) -> None:
        """Undo a build that a later failure made void."""
        self._variables.clear()
        self.built, self.build_shape = False, None

    # ---- calling ----

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """The layer's function, written in `lamella.ops`; may take `training` and `mask`."""
        raise NotImplementedError(f"{type(self).__name__} defines no `call`.")

    def check_input(self, spec: Spec) -> None:
        """Raise a `ShapeError` or `DTypeError` where inputs of `spec` do not fit; called before anything else."""

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the output: that of the input where the layer supports masks, else none."""
        return mask if self.supports_masking else None

    @filtered
    def __call__(self, inputs: Any, *args: Any, training: bool | None = None, mask: Any = None, **kwargs: Any) -> Any:
        """Apply the layer to symbolic values inside a trace, to declared values, or to arrays at once."""
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
        """The shape of the outputs for inputs of a shape; nothing is built and nothing is drawn.

        >>> from lamella.layers import Conv2D
        >>> Conv2D(8, 3, strides=2).compute_output_shape((None, 28, None, 1))
        (None, 13, None, 8)

        Args:
            input_shape: the shape of a batch, None for what is free; of a layer with several inputs a list of shapes.
            *more: those of further arguments of `call`, such as an attention layer's values.

        Returns:
            A tuple; for several outputs nested as they are.

        Raises:
            ShapeError: the layer does not take such inputs.
        """
        from lamella.layers.output_shapes import output_shape

        return output_shape(self, input_shape, *more)

    def _cast(self, x: Any, running: context.TraceContext) -> Any:
        """An input in the compute dtype, with the mask of `x`."""
        if not hasattr(x, "dtype") or not (self.casts_integers or is_float(spec_of(x).dtype)):
            return x
        y = ops.cast(x, running.compute_dtype)
        running.set_mask(y, running.mask_of(x))
        return y

    def _located(self, error: LamellaError, where: str) -> LamellaError:
        """The same error with the layer's path in front, added once, by the innermost layer."""
        if getattr(error, "located", False):
            return error
        told = str(error)
        if f"'{where}'" not in told:
            told = f"Layer {where!r} ({type(self).__name__}): {told}"
        located = type(error)(told)
        located.located = True  # type: ignore[attr-defined]
        return located

    @property
    def path(self) -> str:
        """The path of the layer within the models that it was added to, the outermost first; its name outside of them."""
        for model in models_with(self):
            outer = model.path if models_with(model) else ""
            return f"{outer}/{self.name}" if outer else self.name
        return self.name

    def name_of(self, layer: Layer) -> str:
        """The name that `layer` has among the children; its own name where it is not one of them."""
        children = self.children
        if children.get(layer.name) is layer:
            return layer.name
        return next((name for name, child in children.items() if child is layer), layer.name)

    def add_loss(self, loss: Any) -> None:
        """Add a scalar to the loss of the model, from inside `call`."""
        running = context.current()
        if running is not None:
            from lamella.ir.trace import as_value

            running.losses.append(as_value(loss))

    def shape_of_input_dim(self, input_dim: int, length: int | None, has_length: bool) -> tuple[int | None, ...]:
        """The shape without batch that Keras 1's `input_dim=` (and `input_length=`) describes for this layer."""
        return (length, input_dim) if has_length else (input_dim,)

    def stateless_call(
        self,
        trainable_variables: Sequence[Any],
        non_trainable_variables: Sequence[Any],
        *args: Any,
        return_losses: bool = False,
        **kwargs: Any,
    ) -> Any:
        """The outputs for given values of the variables, which stay as they are; a pure function, in Keras's API.

        >>> import numpy as np
        >>> from lamella.layers import Dense
        >>> layer = Dense(1, use_bias=False)
        >>> layer.build((None, 2))
        >>> y, state = layer.stateless_call([np.array([[1.0], [2.0]])], [], np.ones((1, 2)))
        >>> y.tolist(), state
        ([[3.0]], [])

        Args:
            trainable_variables: arrays in the order of `trainable_variables`.
            non_trainable_variables: arrays in the order of `non_trainable_variables`.
            *args: what the layer is called with.
            return_losses: return the penalties of regularizers and of `add_loss`, too.
            **kwargs: what it is called with by name, such as `training`.

        Returns:
            (outputs, new non-trainable values), and a list of scalars with `return_losses`.

        Raises:
            ShapeError: the number of arrays, or a shape, does not fit.
        """
        from lamella.layers import eager

        given = [*trainable_variables], [*non_trainable_variables]
        return eager.stateless_call(self, *given, args, kwargs, return_losses=return_losses)

    # ---- configuration ----

    @property
    def dtype(self) -> str:
        """The dtype of the layer's variables."""
        return self.dtype_policy.variable_dtype

    @property
    def compute_dtype(self) -> str:
        """The dtype the layer computes in."""
        return self.dtype_policy.compute_dtype

    def get_config(self) -> dict[str, Any]:
        """The arguments the layer was made with, in Keras 3's schema: `type(layer).from_config(...)` is an equal layer.

        Objects among them (initializers, layers) are described by dicts; functions of your own stay functions. A class of
        your own may add to it: `{**super().get_config(), "units": self.units}`.
        """
        from lamella.layers import configuration

        return configuration.arguments_of(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """A layer, not built, from what `get_config` gave.

        Raises:
            UnknownNameError: it names a class that lamella does not know.
        """
        from lamella.layers import configuration

        return configuration.layer_from(cls, config)

    def _further_config(self) -> dict[str, Any]:
        """What a file says of a layer beside its arguments: the shape it was built for."""
        shape = self.build_shape
        if getattr(self, "stateful", False):
            return {}  # its batch size is the model's to say
        if not isinstance(shape, tuple) or not all(d is None or isinstance(d, int) for d in shape):
            return {}
        return {"build_config": {"input_shape": [None if d is None else int(d) for d in shape]}}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}{'' if self.built else ', not built'}>"


def _converted(inputs: Any) -> Any:
    """Lists of numbers become arrays; lists of arrays stay lists of inputs."""
    if isinstance(inputs, list) and not any(hasattr(x, "shape") for x in tree.leaves(inputs)):
        return np.asarray(inputs, settings.floatx() if settings.floatx() != "bfloat16" else "float32")
    return inputs


Layer.build = built_once(Layer.build)
Layer.input_spec = None  # type: ignore[attr-defined]  # not declared: a model's says what the model takes
