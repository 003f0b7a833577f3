"""Subclassed models and layers: parts in attributes, lists and dicts, dicts of inputs, a loss of one's own."""

from __future__ import annotations

from typing import Any

from .graphs import Library, Table, floats, words

TABLE = Table()
graph = TABLE.graph


@graph(floats(5), fast=True)
def subclass(lib: Library) -> Any:
    class Net(lib.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first = lib.layers.Dense(4, activation="relu")
            self.blocks = [lib.layers.Dense(4, activation="tanh") for _ in range(2)]
            self.heads = {"out": lib.layers.Dense(2)}

        def call(self, x: Any, training: bool = False) -> Any:
            x = self.first(x)
            for block in self.blocks:
                x = x + block(x)
            return self.heads["out"](x)

    return Net()


@graph({"a": floats(3), "b": floats(4)}, {"sum": "normal", "product": "normal"})
def subclass_of_dicts(lib: Library) -> Any:
    class Net(lib.Model):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = lib.layers.Dense(2), lib.layers.Dense(2)
            self.norm = lib.layers.BatchNormalization()

        def call(self, inputs: Any, training: bool = False) -> Any:
            a, b = self.a(inputs["a"]), self.b(inputs["b"])
            return {"sum": self.norm(a + b, training=training), "product": a * b}

    return Net()


@graph(floats(4))
def subclass_of_models(lib: Library) -> Any:
    class Block(lib.Layer):
        def __init__(self, units: int) -> None:
            super().__init__()
            self.widen, self.narrow = lib.layers.Dense(2 * units, activation="relu"), lib.layers.Dense(units)

        def call(self, x: Any) -> Any:
            return x + self.narrow(self.widen(x))

    class Net(lib.Model):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = lib.Sequential([Block(4), Block(4)])
            self.head = lib.layers.Dense(1)

        def call(self, x: Any) -> Any:
            return self.head(self.blocks(x))

    return Net()


@graph(floats(4))
def subclass_with_a_loss_of_its_own(lib: Library) -> Any:
    class Net(lib.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense, self.head = lib.layers.Dense(3, activation="tanh"), lib.layers.Dense(1)

        def call(self, x: Any) -> Any:
            return self.head(self.dense(x))

        def compute_loss(
            self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
        ) -> Any:
            loss = super().compute_loss(x, y, y_pred, sample_weight, training)
            return loss + 0.1 * lib.ops.mean(lib.ops.abs(y_pred))

    return Net()


@graph(floats(4))
def layer_with_weights_of_its_own(lib: Library) -> Any:
    class Scale(lib.Layer):
        def build(self, input_shape: Any) -> None:
            self.gamma = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="gamma")
            self.bias = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="bias")

        def call(self, x: Any, shifted: Any = None) -> Any:
            return x * self.gamma + self.bias + (0.0 if shifted is None else shifted)

    x = lib.Input((4,))
    scale = lib.noted(Scale())
    return lib.Model(x, lib.layers.Dense(1)(scale(lib.layers.Dense(4, activation="tanh")(x), shifted=x)))


@graph(floats(6, 6, 2))
def subclass_of_images(lib: Library) -> Any:
    class Residual(lib.Model):
        def __init__(self, filters: int) -> None:
            super().__init__()
            self.convs = [lib.layers.Conv2D(filters, 3, padding="same") for _ in range(2)]
            self.norms = [lib.layers.BatchNormalization() for _ in range(2)]
            self.short = lib.layers.Conv2D(filters, 1)

        def call(self, inputs: Any, training: bool = False) -> Any:
            x = inputs
            for conv, norm in zip(self.convs, self.norms, strict=True):
                x = lib.ops.relu(norm(conv(x), training=training))
            return lib.ops.relu(x + self.short(inputs))

    x = lib.Input((6, 6, 2))
    return lib.Model(x, lib.layers.Dense(2)(lib.layers.GlobalAveragePooling2D()(Residual(3)(Residual(2)(x)))))


@graph(
    words(7, 5, padded=False), "sparse", compiled={"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
)
def subclass_of_a_transformer(lib: Library) -> Any:
    class Block(lib.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.attention = lib.layers.MultiHeadAttention(2, 2)
            self.norms = [lib.layers.LayerNormalization(epsilon=1e-3) for _ in range(2)]
            self.dense = lib.Sequential([lib.layers.Dense(6, activation="relu"), lib.layers.Dense(4)])

        def call(self, x: Any, training: Any = None) -> Any:
            x = self.norms[0](x + self.attention(x, x, use_causal_mask=True, training=training))
            return self.norms[1](x + self.dense(x, training=training))

        def compute_output_shape(self, input_shape: Any) -> Any:
            return input_shape

    class Net(lib.Model):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = lib.layers.Embedding(7, 4)
            self.block, self.head = Block(), lib.layers.Dense(7, activation="softmax")

        def call(self, inputs: Any, training: Any = None) -> Any:
            return self.head(self.block(self.embedding(inputs), training=training))

    return Net()
