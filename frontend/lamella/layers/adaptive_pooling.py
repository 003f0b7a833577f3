"""Adaptive pooling: as many windows as asked for, which share the input as evenly as they can."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamella.ir import limits
from lamella.ir.spec import Spec
from lamella.layers.base import Layer
from lamella.layers.checks import integers, layout
from lamella.layers.convolution import channels_first_to_last, channels_last_to_first
from lamella.layers.pooling import check_rank
from lamella.ops.spatial import adaptive_maximum, adaptive_mean, adaptive_windows


class AdaptivePooling(Layer):
    """A reduction to `output_size` windows: the base of the layers over `spatial` dimensions.

    Window i covers the cells from floor(i * size / output_size) up to ceil((i + 1) * size / output_size), so neighbours
    may share a cell; the dimensions are reduced one after the other.

    Args:
        output_size: the number of windows, a number or one for each spatial dimension.
        data_format: "channels_last" (default) or "channels_first".
    """

    casts_integers = True
    spatial = 2

    def __init__(self, output_size: int | Sequence[int], data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.output_size = integers("output_size", output_size, self.spatial, self)
        self.data_format = layout(data_format, self)

    def check_input(self, spec: Spec) -> None:
        """The right rank."""
        check_rank(spec, self.spatial)

    def reduce(self, x: Any, axis: int, windows: list[tuple[int, int]]) -> Any:
        """`x`, channels last, with every window along `axis` reduced to one entry."""
        raise NotImplementedError

    def call(self, inputs: Any) -> Any:
        """One entry a window and channel."""
        first = self.data_format == "channels_first"
        y = channels_first_to_last(inputs) if first else inputs
        for axis, count in enumerate(self.output_size, start=1):
            limits.reserve((y.shape[axis], count))
            y = self.reduce(y, axis, adaptive_windows(y.shape[axis], count))
        return channels_last_to_first(y) if first else y


class AdaptiveAveragePooling(AdaptivePooling):
    """The mean of each window."""

    def reduce(self, x: Any, axis: int, windows: list[tuple[int, int]]) -> Any:
        """The mean of each window along `axis`."""
        return adaptive_mean(x, axis, windows)


class AdaptiveMaxPooling(AdaptivePooling):
    """The maximum of each window; the first maximum receives the whole gradient."""

    def reduce(self, x: Any, axis: int, windows: list[tuple[int, int]]) -> Any:
        """The maximum of each window along `axis`."""
        return adaptive_maximum(x, axis, windows)


class AdaptiveAveragePooling1D(AdaptiveAveragePooling):
    """The mean of each window of a sequence: `(batch, steps, channels)` to `(batch, output_size, channels)`."""

    spatial = 1


class AdaptiveAveragePooling2D(AdaptiveAveragePooling):
    """The mean of each window of an image: `(batch, height, width, channels)` to `(batch, *output_size, channels)`."""

    spatial = 2


class AdaptiveAveragePooling3D(AdaptiveAveragePooling):
    """The mean of each window of a volume: `(batch, *spatial, channels)` to `(batch, *output_size, channels)`."""

    spatial = 3


class AdaptiveMaxPooling1D(AdaptiveMaxPooling):
    """The maximum of each window of a sequence: `(batch, steps, channels)` to `(batch, output_size, channels)`."""

    spatial = 1


class AdaptiveMaxPooling2D(AdaptiveMaxPooling):
    """The maximum of each window of an image: `(batch, height, width, channels)` to `(batch, *output_size, channels)`."""

    spatial = 2


class AdaptiveMaxPooling3D(AdaptiveMaxPooling):
    """The maximum of each window of a volume: `(batch, *spatial, channels)` to `(batch, *output_size, channels)`."""

    spatial = 3
