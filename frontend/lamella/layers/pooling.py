"""Pooling layers: maxima and means of windows, and of whole images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamella import ops
from lamella.errors import ShapeError
from lamella.ir.spec import Spec
from lamella.layers.base import Layer
from lamella.layers.checks import choice, integers
from lamella.layers.convolution import channels_first_to_last, channels_last_to_first, window_padding


class Pooling(Layer):
    """A reduction of sliding windows: the base of the layers over `spatial` dimensions.

    Args:
        pool_size: the window, a number or one for each spatial dimension.
        strides: its steps; by default `pool_size`.
        padding: "valid" or "same".
        data_format: "channels_last" (default) or "channels_first".
    """

    spatial = 2

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = integers("pool_size", pool_size, self.spatial, self)
        self.strides = integers("strides", self.pool_size if strides is None else strides, self.spatial, self)
        self.padding = choice("padding", padding, ["valid", "same"], self)
        self.data_format = choice(
            "data_format", data_format or "channels_last", ["channels_last", "channels_first"], self
        )

    def check_input(self, spec: Spec) -> None:
        """The right rank."""
        check_rank(spec, self.spatial)

    def pool(self, x: Any, **window: Any) -> Any:
        """The reduction itself."""
        raise NotImplementedError

    def call(self, inputs: Any) -> Any:
        """One entry a window and channel."""
        first = self.data_format == "channels_first"
        x = channels_first_to_last(inputs) if first else inputs
        ones = (1,) * self.spatial
        padding = window_padding(self.padding, x.shape[1:-1], self.pool_size, self.strides, ones)
        y = self.pool(x, window=self.pool_size, strides=self.strides, padding=padding)
        return channels_last_to_first(y) if first else y


def check_rank(spec: Spec, spatial: int) -> None:
    """Raise a `ShapeError` unless `spec` has a batch, `spatial` and a channel dimension."""
    if spec.ndim != spatial + 2:
        raise ShapeError(
            f"expected inputs with {spatial + 2} dimensions (batch, {spatial} spatial, channels), got shape "
            f"{tuple(map(int, spec.shape))}."
        )


class MaxPooling2D(Pooling):
    """The maximum of each window; the first maximum receives the whole gradient.

    Input shape `(batch, height, width, channels)`.
    """

    def pool(self, x: Any, **window: Any) -> Any:
        """The maximum of each window."""
        return ops.max_pool(x, **window)


class AveragePooling2D(Pooling):
    """The mean of each window over its real cells (padding does not count).

    Input shape `(batch, height, width, channels)`.
    """

    def pool(self, x: Any, **window: Any) -> Any:
        """The mean of each window."""
        return ops.average_pool(x, **window)


class GlobalPooling(Layer):
    """A reduction over all spatial dimensions.

    Args:
        data_format: "channels_last" (default) or "channels_first".
        keepdims: keep the spatial dimensions with size 1.
    """

    spatial = 2

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = choice(
            "data_format", data_format or "channels_last", ["channels_last", "channels_first"], self
        )
        self.keepdims = bool(keepdims)

    def check_input(self, spec: Spec) -> None:
        """The right rank."""
        check_rank(spec, self.spatial)

    @property
    def axes(self) -> tuple[int, ...]:
        """The spatial axes."""
        start = 1 if self.data_format == "channels_last" else 2
        return tuple(range(start, start + self.spatial))


class GlobalAveragePooling2D(GlobalPooling):
    """The mean over height and width: `(batch, height, width, channels)` to `(batch, channels)`."""

    def call(self, inputs: Any) -> Any:
        """The mean over the spatial axes."""
        return ops.mean(inputs, self.axes, keepdims=self.keepdims)


class GlobalMaxPooling2D(GlobalPooling):
    """The maximum over height and width: `(batch, height, width, channels)` to `(batch, channels)`."""

    def call(self, inputs: Any) -> Any:
        """The maximum over the spatial axes."""
        return ops.max(inputs, self.axes, keepdims=self.keepdims)
