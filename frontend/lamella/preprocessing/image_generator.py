"""`ImageDataGenerator`: random changes and normalization of images, for arrays, folders and tables of files."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lamella import host_random
from lamella.errors import ArgumentError
from lamella.ir import settings
from lamella.preprocessing import transforms
from lamella.preprocessing.array_iterator import NumpyArrayIterator
from lamella.preprocessing.checks import check_images
from lamella.preprocessing.file_iterators import DataFrameIterator, DirectoryIterator
from lamella.preprocessing.iterator import DRAWN


class ImageDataGenerator:
    """Batches of images that are changed at random and normalized, in Keras's arguments.

    `flow`, `flow_from_directory` and `flow_from_dataframe` return data sets for `fit`, `evaluate` and `predict`. The changes
    of an image are a function of the data set's seed, of the number of the epoch and of the image's number, whatever the
    batch size, the number of threads and the other options: two data sets of the same seed, images and masks, change alike.

    >>> generator = ImageDataGenerator(rotation_range=20, horizontal_flip=True, rescale=1 / 255)
    >>> batches = generator.flow(np.ones((5, 8, 8, 3)), np.arange(5), batch_size=2, seed=1)
    >>> len(batches), batches[0][0].shape
    (3, (2, 8, 8, 3))

    Args:
        featurewise_center: subtract the mean of each channel, which `fit` finds.
        samplewise_center: subtract the mean of each image.
        featurewise_std_normalization: divide by the standard deviation of each channel, which `fit` finds; implies centering.
        samplewise_std_normalization: divide each image by its standard deviation; implies centering.
        zca_whitening: whiten with the matrix that `fit` finds; also centers by feature, and divides by no deviation.
        zca_epsilon: added to the singular values.
        rotation_range: the largest angle in degrees.
        width_shift_range: the largest shift as a fraction of the width, or in pixels from 1 on; an integer n is a shift of
            less than n whole pixels, and a list the shifts to choose from. As in Keras 3 it moves the image up and down, and
            `height_shift_range` from side to side.
        height_shift_range: likewise, of the height.
        brightness_range: bounds (lower, upper) of the factor of the brightness, for values from 0 to 255.
        shear_range: the largest angle of shear in degrees.
        zoom_range: bounds (lower, upper) of the zoom of each axis, or z for (1 - z, 1 + z).
        channel_shift_range: the largest amount that is added to all values.
        fill_mode: how points outside the image are filled: "nearest" (the outermost pixels), "constant" (`cval`), "reflect"
            (the image mirrored) or "wrap" (the image again).
        cval: for "constant".
        horizontal_flip: mirror every second image, left and right.
        vertical_flip: mirror every second image, top and bottom.
        rescale: a factor for all values, after all changes; None or 0 for none.
        preprocessing_function: gets each image after all changes, an array of three dimensions, and returns one of the same
            shape. Batches are computed by one thread then, unless `workers` of the data set says otherwise.
        data_format: "channels_last" or "channels_first"; None is `config.image_data_format()`.
        validation_split: the fraction of the images that `subset="validation"` has: the first ones.
        interpolation_order: 1 interpolates linearly, 0 takes the nearest pixel.
        dtype: of the batches; None is `config.floatx()`.

    Raises:
        ArgumentError: an argument has no meaning.
    """

    def __init__(
        self,
        featurewise_center: bool = False,
        samplewise_center: bool = False,
        featurewise_std_normalization: bool = False,
        samplewise_std_normalization: bool = False,
        zca_whitening: bool = False,
        zca_epsilon: float = 1e-6,
        rotation_range: float = 0,
        width_shift_range: float | Sequence[float] = 0.0,
        height_shift_range: float | Sequence[float] = 0.0,
        brightness_range: Sequence[float] | None = None,
        shear_range: float = 0.0,
        zoom_range: float | Sequence[float] = 0.0,
        channel_shift_range: float = 0.0,
        fill_mode: str = "nearest",
        cval: float = 0.0,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        rescale: float | None = None,
        preprocessing_function: Callable[[np.ndarray], Any] | None = None,
        data_format: str | None = None,
        validation_split: float = 0.0,
        interpolation_order: int = 1,
        dtype: Any = None,
    ) -> None:
        transforms.check_filling(fill_mode, interpolation_order)
        if validation_split and not 0 < validation_split < 1:
            raise ArgumentError(f"validation_split must be between 0 and 1, got {validation_split}.")
        if preprocessing_function is not None and not callable(preprocessing_function):
            raise ArgumentError(f"preprocessing_function must be a function, got {preprocessing_function!r}.")
        self.featurewise_center, self.samplewise_center = featurewise_center, samplewise_center
        self.featurewise_std_normalization = featurewise_std_normalization
        self.samplewise_std_normalization = samplewise_std_normalization
        self.zca_whitening, self.zca_epsilon = zca_whitening, zca_epsilon
        self.rotation_range, self.shear_range = rotation_range, shear_range
        self.width_shift_range, self.height_shift_range = width_shift_range, height_shift_range
        self.zoom_range = _zoom(zoom_range)
        self.brightness_range = (
            None if brightness_range is None else transforms.pair("brightness_range", brightness_range)
        )
        self.channel_shift_range = channel_shift_range
        self.fill_mode, self.cval, self.interpolation_order = fill_mode, cval, interpolation_order
        self.horizontal_flip, self.vertical_flip = horizontal_flip, vertical_flip
        self.rescale, self.preprocessing_function = rescale, preprocessing_function
        self.data_format = settings.layout_of(data_format)
        first = self.data_format == "channels_first"
        self.channel_axis, self.row_axis, self.col_axis = (1, 2, 3) if first else (3, 1, 2)
        self.dtype = dtype or settings.floatx()
        self._validation_split = validation_split
        self.mean: Any = None
        self.std: Any = None
        self.zca_whitening_matrix: Any = None
        if zca_whitening and featurewise_std_normalization:
            self._also("zca_whitening", "featurewise_std_normalization", False)
        if zca_whitening and not self.featurewise_center:
            self._also("zca_whitening", "featurewise_center", True)
        if self.featurewise_std_normalization and not self.featurewise_center:
            self._also("featurewise_std_normalization", "featurewise_center", True)
        if samplewise_std_normalization and not samplewise_center:
            self._also("samplewise_std_normalization", "samplewise_center", True)

    def _also(self, given: str, other: str, value: bool) -> None:
        setattr(self, other, value)
        warnings.warn(f"ImageDataGenerator: {given}=True sets {other}={value}.", stacklevel=3)

    def flow(
        self,
        x: Any,
        y: Any = None,
        batch_size: int = 32,
        shuffle: bool = True,
        sample_weight: Any = None,
        seed: int | None = None,
        save_to_dir: str | os.PathLike[str] | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        ignore_class_split: bool = False,
        subset: str | None = None,
    ) -> NumpyArrayIterator:
        """A data set of the images of an array.

        Args:
            x: `(images, height, width, channels)`, or a pair of it and of a further input (or a list of them), which stay as
                they are.
            y: the targets.
            batch_size: images per batch.
            shuffle: whether each epoch has another order.
            sample_weight: weights of the images.
            seed: of order and changes; None draws one.
            save_to_dir: a folder to which every image that is computed is written, scaled to the range 0 to 255.
            save_prefix: what the names of these files begin with.
            save_format: their format, such as "png" or "jpeg".
            ignore_class_split: whether the two subsets may have different classes.
            subset: "training" or "validation", as `validation_split` divides.

        Raises:
            ArgumentError: an argument has no meaning, or the subsets have different classes.
            ShapeError: the arrays have not the same number of rows, or `x` not four dimensions.
        """
        return NumpyArrayIterator(
            x,
            y,
            self,
            batch_size=batch_size,
            shuffle=shuffle,
            sample_weight=sample_weight,
            seed=seed,
            data_format=self.data_format,
            save_to_dir=save_to_dir,
            save_prefix=save_prefix,
            save_format=save_format,
            subset=subset,
            ignore_class_split=ignore_class_split,
            dtype=self.dtype,
        )

    def flow_from_directory(
        self,
        directory: str | os.PathLike[str],
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        save_to_dir: str | os.PathLike[str] | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
    ) -> DirectoryIterator:
        """Return a data set of the images in a folder, labeled by their subfolders.

        Args:
            directory: the folder.
            target_size: (height, width) that all images are resized to.
            color_mode: "rgb", "rgba" or "grayscale".
            classes: the subfolders in the order of their labels; None is all of them, sorted.
            class_mode: "categorical" (one-hot), "binary" or "sparse" (numbers), "input" (the images themselves) or None for
                no targets.
            batch_size: images per batch.
            shuffle: whether each epoch has another order; sorted by name otherwise.
            seed: of order and changes; None draws one.
            save_to_dir: a folder to which every image that is computed is written, scaled to the range 0 to 255.
            save_prefix: what the names of these files begin with.
            save_format: their format, such as "png" or "jpeg".
            follow_links: whether links to folders are followed.
            subset: "training" or "validation", as `validation_split` divides each class.
            interpolation: "nearest", "bilinear", "bicubic", "lanczos", "box" or "hamming".
            keep_aspect_ratio: whether images are cropped, in their middle, to the aspect ratio of `target_size` first.

        Raises:
            ArgumentError: an argument has no meaning.
            DataError: there are no images. An image that cannot be read is named when its batch is computed.
            ImportError: Pillow is not installed.
            OSError: the folder cannot be read.
        """
        return DirectoryIterator(
            directory,
            self,
            target_size=target_size,
            color_mode=color_mode,
            classes=classes,
            class_mode=class_mode,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            data_format=self.data_format,
            save_to_dir=save_to_dir,
            save_prefix=save_prefix,
            save_format=save_format,
            follow_links=follow_links,
            subset=subset,
            interpolation=interpolation,
            keep_aspect_ratio=keep_aspect_ratio,
            dtype=self.dtype,
        )

    def flow_from_dataframe(
        self,
        dataframe: Any,
        directory: str | os.PathLike[str] | None = None,
        x_col: str = "filename",
        y_col: str | list[str] = "class",
        weight_col: str | None = None,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        save_to_dir: str | os.PathLike[str] | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        interpolation: str = "nearest",
        validate_filenames: bool = True,
        **kwargs: Any,
    ) -> DataFrameIterator:
        """A data set of the image files that a table names, with targets from its columns.

        Args:
            dataframe: a pandas `DataFrame`, or anything else whose columns are found by name, such as a dict of lists.
            directory: the folder of the files; None where the table has their paths.
            x_col: the column of file names.
            y_col: the column of targets, or the columns.
            weight_col: the column of sample weights.
            target_size: (height, width) that all images are resized to.
            color_mode: "rgb", "rgba" or "grayscale".
            classes: the names of the classes in the order of their labels, other rows are left out; None is all, sorted.
            class_mode: "categorical" (one-hot, of a name or of a list of names), "binary" or "sparse" (numbers of names),
                "raw" (the values), "multi_output" (a list of the columns), "input" (the images) or None for no targets.
            batch_size: images per batch.
            shuffle: whether each epoch has another order; that of the table otherwise.
            seed: of order and changes; None draws one.
            save_to_dir: a folder to which every image that is computed is written, scaled to the range 0 to 255.
            save_prefix: what the names of these files begin with.
            save_format: their format, such as "png" or "jpeg".
            subset: "training" or "validation", as `validation_split` divides.
            interpolation: "nearest", "bilinear", "bicubic", "lanczos", "box" or "hamming".
            validate_filenames: whether rows whose file is missing, or has an unknown ending, are left out, with a warning.
            **kwargs: `has_ext`, `sort` and `drop_duplicates` of earlier versions, which do nothing, with a warning.

        Raises:
            ArgumentError: an argument has no meaning.
            DataError: there are no images, or a column has values of another kind than `class_mode` needs.
            ImportError: Pillow is not installed.
        """
        gone = {"has_ext", "sort", "drop_duplicates"}
        if unknown := sorted(set(kwargs) - gone):
            raise TypeError(f"flow_from_dataframe() got an unexpected keyword argument {unknown[0]!r}")
        for name in kwargs:
            text = f"{name} does nothing: names of files are taken as they are, in the order of the table."
            warnings.warn(text, DeprecationWarning, stacklevel=2)
        if class_mode == "other":
            warnings.warn("class_mode='other' is called 'raw' today.", DeprecationWarning, stacklevel=2)
            class_mode = "raw"
        return DataFrameIterator(
            dataframe,
            directory,
            self,
            x_col=x_col,
            y_col=y_col,
            weight_col=weight_col,
            target_size=target_size,
            color_mode=color_mode,
            classes=classes,
            class_mode=class_mode,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            data_format=self.data_format,
            save_to_dir=save_to_dir,
            save_prefix=save_prefix,
            save_format=save_format,
            subset=subset,
            interpolation=interpolation,
            dtype=self.dtype,
            validate_filenames=validate_filenames,
        )

    def standardize(self, x: Any) -> np.ndarray:
        """Images as the options for rescaling, centering and whitening want them; an array of floats is changed in place.

        Args:
            x: one image, or a batch of them.

        Returns:
            The normalized images. What needs `fit` is left out, with a warning, as long as that was not called.
        """
        if self.preprocessing_function is not None:
            x = self.preprocessing_function(x)
        x = np.asarray(x)
        if x.dtype.kind != "f":
            x = x.astype(self.dtype)
        if self.rescale:
            x *= self.rescale
        if self.samplewise_center:
            x -= np.mean(x, keepdims=True)
        if self.samplewise_std_normalization:
            x /= np.std(x, keepdims=True) + 1e-6
        if self.featurewise_center and self._fitted("featurewise_center", self.mean):
            x -= self.mean
        if self.featurewise_std_normalization and self._fitted("featurewise_std_normalization", self.std):
            x /= self.std + 1e-6
        if self.zca_whitening and self._fitted("zca_whitening", self.zca_whitening_matrix):
            x = (x.reshape(-1, math.prod(x.shape[-3:])) @ self.zca_whitening_matrix).reshape(x.shape)
        return x

    def _fitted(self, option: str, found: Any) -> bool:
        if found is None:
            text = f"ImageDataGenerator({option}=True) leaves images as they are until fit(x) was called."
            warnings.warn(text, stacklevel=3)
        return found is not None

    @property
    def draws(self) -> bool:
        """Whether images are changed at random."""
        return bool(
            self.rotation_range
            or np.any(self.width_shift_range)
            or np.any(self.height_shift_range)
            or self.shear_range
            or self.zoom_range != [1, 1]
            or self.channel_shift_range
            or self.brightness_range is not None
            or self.horizontal_flip
            or self.vertical_flip
        )

    def get_random_transform(self, img_shape: Sequence[int], seed: int | None = None) -> dict[str, Any]:
        """Parameters for `apply_transform`, drawn within the bounds of the options.

        Args:
            img_shape: the shape of the image.
            seed: of the draws; None takes the next seed of the process.

        Returns:
            "theta" and "shear" in degrees, "tx" and "ty" in pixels, "zx", "zy", "flip_horizontal", "flip_vertical",
            "channel_shift_intensity" and "brightness".
        """
        key = host_random.key_from_seed(host_random.next_seed() if seed is None else seed)
        return self.transform_from(host_random.bits(key, (len(DRAWN),)), img_shape)

    def transform_from(self, words: np.ndarray, img_shape: Sequence[int]) -> dict[str, Any]:
        """The parameters that uniform random words stand for.

        Args:
            words: uint32, one for each of `iterator.DRAWN`.
            img_shape: the shape of the image.
        """
        unit: dict[str, float] = dict(zip(DRAWN, (words * 2.0**-32).tolist(), strict=True))

        def signed(name: str, bound: float) -> float:
            return bound * (2.0 * unit[name] - 1.0) if bound else 0

        zoom, bright = self.zoom_range, self.brightness_range
        return {
            "theta": signed("theta", self.rotation_range),
            "tx": _shift(self.height_shift_range, unit["tx"], unit["tx_sign"], img_shape[self.row_axis - 1]),
            "ty": _shift(self.width_shift_range, unit["ty"], unit["ty_sign"], img_shape[self.col_axis - 1]),
            "shear": signed("shear", self.shear_range),
            "zx": zoom[0] + (zoom[1] - zoom[0]) * unit["zx"],
            "zy": zoom[0] + (zoom[1] - zoom[0]) * unit["zy"],
            "flip_horizontal": self.horizontal_flip and unit["flip_horizontal"] < 0.5,
            "flip_vertical": self.vertical_flip and unit["flip_vertical"] < 0.5,
            "channel_shift_intensity": (
                signed("channel_shift_intensity", self.channel_shift_range) if self.channel_shift_range else None
            ),
            "brightness": None if bright is None else bright[0] + (bright[1] - bright[0]) * unit["brightness"],
        }

    def apply_transform(self, x: Any, transform_parameters: Mapping[str, Any]) -> np.ndarray:
        """An image with the changes that the parameters say.

        Args:
            x: one image, of three dimensions.
            transform_parameters: as from `get_random_transform`; what is missing is not changed.

        Returns:
            An image of the same shape.
        """
        get = transform_parameters.get
        intensity, brightness = get("channel_shift_intensity"), get("brightness")
        row, column, channel = self.row_axis - 1, self.col_axis - 1, self.channel_axis - 1
        x = transforms.apply_affine_transform(
            x,
            get("theta", 0),
            get("tx", 0),
            get("ty", 0),
            get("shear", 0),
            get("zx", 1),
            get("zy", 1),
            row_axis=row,
            col_axis=column,
            channel_axis=channel,
            fill_mode=self.fill_mode,
            cval=self.cval,
            order=self.interpolation_order,
        )
        if intensity is not None:
            x = transforms.apply_channel_shift(x, intensity, channel)
        if get("flip_horizontal", False):
            x = transforms.flip_axis(x, column)
        if get("flip_vertical", False):
            x = transforms.flip_axis(x, row)
        if brightness is not None:
            x = transforms.apply_brightness_shift(x, brightness, False, channel)
        return x

    def random_transform(self, x: Any, seed: int | None = None) -> np.ndarray:
        """An image with random changes.

        Args:
            x: one image, of three dimensions.
            seed: of the draws; None takes the next seed of the process.
        """
        return self.apply_transform(x, self.get_random_transform(np.shape(x), seed))

    def fit(self, x: Any, augment: bool = False, rounds: int = 1, seed: int | None = None) -> None:
        """Find the mean, the deviation and the whitening matrix of images, for the options that need them.

        Args:
            x: `(images, height, width, channels)`, or with the channels before the height.
            augment: whether the images are changed at random first.
            rounds: how many changed copies of the images count.
            seed: of the changes; None takes the next seed of the process.

        Raises:
            ShapeError: `x` does not have four dimensions.
        """
        x = np.array(x, dtype=self.dtype)
        check_images(x, self.channel_axis, "fit")
        if self.rescale:
            x *= self.rescale
        if augment:
            key = host_random.key_from_seed(host_random.next_seed() if seed is None else seed)
            words = host_random.bits(key, (rounds * len(x), len(DRAWN)))
            x = np.stack(
                [self.apply_transform(x[i % len(x)], self.transform_from(w, x.shape[1:])) for i, w in enumerate(words)]
            )
        around = (0, self.row_axis, self.col_axis)
        shape = [1, 1, 1]
        shape[self.channel_axis - 1] = x.shape[self.channel_axis]
        if self.featurewise_center:
            self.mean = np.mean(x, axis=around).reshape(shape)
            x -= self.mean
        if self.featurewise_std_normalization:
            self.std = np.std(x, axis=around).reshape(shape)
            x /= self.std + 1e-6
        if self.zca_whitening:
            flat = x.reshape(len(x), -1)
            vectors, values, _ = np.linalg.svd(flat.T, full_matrices=False)
            self.zca_whitening_matrix = (vectors * (np.sqrt(len(x)) / (values + self.zca_epsilon))) @ vectors.T


def _zoom(value: Any) -> list[float]:
    if isinstance(value, int | float):
        return [1 - value, 1 + value]
    return transforms.pair("zoom_range", value)


def _shift(bounds: Any, unit: float, sign: float, size: int) -> float:
    """A shift in pixels, of a fraction, a number of pixels or a list of either."""
    if not np.any(bounds):
        return 0
    whole = isinstance(bounds, int | np.integer)
    if whole or not isinstance(bounds, float | np.floating):
        choices = np.arange(bounds) if whole else np.ravel(bounds)
        shift = choices[int(unit * len(choices))] * (1 if sign < 0.5 else -1)
    else:
        shift = bounds * (2.0 * unit - 1.0)
    return float(shift * size if np.max(bounds) < 1 else shift)
