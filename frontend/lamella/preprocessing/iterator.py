"""The common part of the data sets of `ImageDataGenerator`: order, random draws, iteration, and saved images."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lamella import host_random
from lamella.training.pydataset import PyDataset
from lamella.utils.datasets import checked_count
from lamella.utils.image_dataset import default_workers
from lamella.utils.images import save_img

if TYPE_CHECKING:
    from lamella.preprocessing.image_generator import ImageDataGenerator

DRAWN = (
    "theta", "tx", "tx_sign", "ty", "ty_sign", "shear", "zx", "zy", "flip_horizontal", "flip_vertical",
    "channel_shift_intensity", "brightness",
)  # fmt: skip
"""The purposes of the random numbers of an image: an unused option does not affect the others."""


class Iterator(PyDataset):
    """A data set of `n` images in batches, a `PyDataset` that is its own iterator, as in Keras.

    `next(data)` and iterating give batch after batch, without an end: after each pass the next one begins, in another
    order where `shuffle` is set. `data[i]` is batch i of the running pass, and `reset()` begins a new one. The batches of a
    pass are a function of the seed and of the number of the pass.

    Args:
        n: how many images there are.
        batch_size: images per batch.
        shuffle: whether each pass has another order.
        seed: of the order and of all draws; None takes the next seed of the process.
        workers: how many threads compute batches ahead in `fit`, `evaluate` and `predict`.
        use_multiprocessing: processes instead of threads.
        max_queue_size: the largest number of batches that are computed in advance.

    Attributes:
        batch_index: the batch that `next` gives, of the running pass.
        passes_begun: how many passes were begun.

    Raises:
        ArgumentError: `batch_size` is not a positive integer.

    Example:
        >>> import numpy as np
        >>> from lamella.preprocessing.image import ImageDataGenerator, Iterator
        >>> data = ImageDataGenerator().flow(np.zeros((5, 2, 2, 1)), batch_size=2, shuffle=False)
        >>> isinstance(data, Iterator), len(data), [len(next(data)) for _ in range(4)]
        (True, 3, [2, 2, 1, 2])
    """

    keeps_order = True

    def __init__(
        self,
        n: int,
        batch_size: int,
        shuffle: bool,
        seed: int | None,
        workers: int = 1,
        use_multiprocessing: bool = False,
        max_queue_size: int = 10,
    ) -> None:
        super().__init__(workers, use_multiprocessing, max_queue_size)
        self.n, self.batch_size, self.shuffle, self.seed = n, checked_count("batch_size", batch_size), shuffle, seed
        self.batch_index = self.passes_begun = 0
        key = host_random.key_from_seed(host_random.next_seed() if seed is None else seed)
        self._orders = host_random.Orders(host_random.fold(key, "order"), n) if shuffle else None
        self._key = host_random.fold(key, "changes")
        self._passing = False
        self._order: tuple[int, np.ndarray] = (-1, np.arange(n))
        self._words: tuple[int, np.ndarray] = (-1, np.empty(0))
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """The number of batches; the last one may be short."""
        return -(-self.n // self.batch_size)

    def __getitem__(self, index: int) -> Any:
        """Batch number `index` of the running pass: images, images and targets, or images, targets and weights.

        Raises:
            IndexError: there is no such batch.
        """
        count = len(self)
        if not -count <= index < count:
            raise IndexError(f"batch {index} was asked of a data set of {count} batches.")
        return self._batch(max(self.passes_begun, 1), index % count)

    @property
    def index_array(self) -> np.ndarray:
        """The numbers of the images in the order of the running pass."""
        return self._order_of(max(self.passes_begun, 1))

    def on_pass_begin(self) -> None:
        """Begin a pass: another order, and new draws."""
        self.passes_begun += 1
        self._passing = True

    def on_passes_end(self) -> None:
        """Let `on_epoch_end` begin passes again."""
        self._passing = False

    def on_epoch_end(self) -> None:
        """Begin a pass, in a hand-written loop over the batches by number; `fit` begins its passes by `on_pass_begin`."""
        if not self._passing:
            self.passes_begun = max(self.passes_begun, 1) + 1

    def __iter__(self) -> Iterator:
        """The data set itself."""
        return self

    def __next__(self) -> Any:
        """The next batch, without an end; several threads may call it."""
        with self._lock:
            if self.batch_index == 0:
                self.passes_begun += 1
            passing, index = self.passes_begun, self.batch_index
            self.batch_index = (index + 1) % len(self)
        return self._batch(passing, index)

    def next(self) -> Any:
        """`next(data)`, as in Keras 2."""
        return next(self)

    def reset(self) -> None:
        """Let `next` begin a new pass."""
        self.batch_index = 0

    def _batch(self, passing: int, index: int) -> Any:
        chosen = self._order_of(passing)[index * self.batch_size : (index + 1) * self.batch_size]
        return self.gather(passing, chosen)

    def gather(self, passing: int, numbers: np.ndarray) -> Any:
        """The batch of the images with these numbers, in their order.

        Args:
            passing: the number of the pass, from 1.
            numbers: int `(batch,)`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say what a batch is: write `gather`.")

    def _order_of(self, passing: int) -> np.ndarray:
        last, order = self._order  # read and replaced as a whole: several threads may ask
        if self._orders is None or last == passing:
            return order
        with self._lock:  # which `Orders` does not have
            order = self._orders[passing]
        self._order = (passing, order)
        return order

    def _words_of(self, passing: int) -> np.ndarray:
        """The random words of a pass, one for each of `DRAWN` and one for the name of a file, in a row for each image."""
        with self._lock:  # of several threads one draws
            last, words = self._words
            if last != passing:
                words = host_random.bits(host_random.fold(self._key, passing), (self.n, len(DRAWN) + 1))
                self._words = (passing, words)
        return words


class ImageIterator(Iterator):
    """An iterator whose images an `ImageDataGenerator` changes; it may write what was computed to files."""

    def __init__(
        self,
        n: int,
        batch_size: int,
        shuffle: bool,
        seed: int | None,
        generator: ImageDataGenerator | None,
        data_format: str,
        dtype: Any,
        save_to_dir: str | os.PathLike[str] | None,
        save_prefix: str,
        save_format: str,
    ) -> None:
        alone = generator is not None and generator.preprocessing_function is not None
        super().__init__(n, batch_size, shuffle, seed, workers=1 if alone else default_workers())
        self.image_data_generator, self.data_format, self.dtype = generator, data_format, dtype
        self.save_to_dir, self.save_prefix, self.save_format = save_to_dir, save_prefix, save_format

    def _changed(self, images: Sequence[np.ndarray] | Any, passing: int, chosen: np.ndarray) -> np.ndarray:
        """A batch of the images, changed and normalized."""
        generator = self.image_data_generator
        drawing = generator is not None and generator.draws
        words = self._words_of(passing) if self.save_to_dir or drawing else None
        made: np.ndarray | None = None
        for at, (number, image) in enumerate(zip(chosen, images, strict=True)):
            x = np.array(image, self.dtype)
            if generator is not None:
                if words is not None and drawing:
                    x = generator.apply_transform(x, generator.transform_from(words[number, :-1], x.shape))
                x = generator.standardize(x)
            if made is None:
                made = np.empty((len(chosen), *np.shape(x)), self.dtype)
            made[at] = x
        assert made is not None  # noqa: S101 - a batch has at least one image
        if self.save_to_dir and words is not None:
            for number, x in zip(chosen, made, strict=True):
                # the same file for the same image of a pass, however often its batch is computed
                name = f"{self.save_prefix}_{number}_{words[number, -1] % 10_000_000}.{self.save_format}"
                save_img(Path(self.save_to_dir) / name, x, self.data_format)
        return made
