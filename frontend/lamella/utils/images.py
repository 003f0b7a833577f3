"""Conversion of images between files, Pillow images and arrays."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import IO, Any

import numpy as np

from lamella import ops
from lamella.errors import ArgumentError, DataError, ShapeError, unknown_name
from lamella.files.atomic import write_atomically
from lamella.ir import settings
from lamella.names import deprecated

CHANNELS = {"grayscale": 1, "rgb": 3, "rgba": 4}
"""For each color mode the number of channels."""

_MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
_GRAY_MODES = ("L", "I;16", "I")
_FILTERS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def pillow(purpose: str) -> Any:
    """Return Pillow's module `Image`.

    Args:
        purpose: the function that needs it, for the message.

    Raises:
        ImportError: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(f"{purpose} needs Pillow: pip install pillow.", name=error.name) from error
    return Image


def load_img(
    path: str | bytes | os.PathLike[str] | io.BytesIO,
    color_mode: str = "rgb",
    target_size: tuple[int, int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
    *,
    grayscale: bool | None = None,
) -> Any:
    """Load an image file as a Pillow image.

    Args:
        path: the path of the file, or a `BytesIO` with its content.
        color_mode: "rgb", "rgba" or "grayscale". Grayscale images of 16 and 32 bits keep their depth.
        target_size: `(height, width)` of the result; None keeps the size.
        interpolation: a filter of Pillow: "nearest", "bilinear", "bicubic", "lanczos", "box" or "hamming".
        keep_aspect_ratio: whether the image is first cropped around its center to the aspect ratio of `target_size`.
        grayscale: deprecated; True is `color_mode="grayscale"`.

    Returns:
        A `PIL.Image.Image`.

    Raises:
        DataError: the file is not an image or is damaged, or it has more pixels than `PIL.Image.MAX_IMAGE_PIXELS`,
            which can be increased for trusted files. The message contains the path.
        UnknownNameError: the color mode or the interpolation is unknown.
        ImportError: Pillow is not installed.
        OSError: the file cannot be read.

    Example:
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "small.png")
        >>> save_img(path, np.zeros((4, 6, 3)))
        >>> load_img(path, target_size=(2, 3)).size
        (3, 2)
    """
    if grayscale is not None:
        deprecated("grayscale", "color_mode='grayscale'")
        color_mode = "grayscale" if grayscale else color_mode
    check_loading(color_mode, target_size, interpolation)
    image = _converted(path, color_mode)
    if target_size is None or image.size == (target_size[1], target_size[0]):
        return image
    height, width = target_size
    resample = getattr(pillow("load_img").Resampling, interpolation.upper())
    return image.resize((width, height), resample, middle(image.size, width, height) if keep_aspect_ratio else None)


def check_loading(color_mode: Any, target_size: Any = None, interpolation: Any = "nearest") -> None:
    """Check arguments of `load_img`, before any file is read.

    Args:
        color_mode: see `load_img`.
        target_size: see `load_img`.
        interpolation: see `load_img`.

    Raises:
        ArgumentError: `target_size` is not a pair of positive integers.
        UnknownNameError: the color mode or the interpolation is not known.
    """
    if color_mode not in CHANNELS:
        raise unknown_name("color mode", color_mode, CHANNELS)
    if interpolation not in _FILTERS:
        raise unknown_name("interpolation", interpolation, _FILTERS)
    if target_size is not None:
        size_of(target_size, "target_size")


def size_of(size: Any, name: str) -> tuple[int, int]:
    """(height, width) of an argument.

    Args:
        size: what was given.
        name: the argument's name.

    Raises:
        ArgumentError: it is not a pair of positive integers.
    """
    pair = tuple(size) if isinstance(size, list | tuple) else ()
    if len(pair) != 2 or any(isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1 for n in pair):
        raise ArgumentError(f"{name} must be (height, width), two positive integers, got {size!r}.")
    return int(pair[0]), int(pair[1])


def _converted(path: Any, color_mode: str) -> Any:
    """The decoded image in a mode of Pillow's that has the channels wanted."""
    image_module = pillow("load_img")
    if not isinstance(path, str | bytes | os.PathLike | io.BytesIO):
        raise TypeError(f"path must be a path or a BytesIO, got a {type(path).__name__}.")
    where = "the image in memory" if isinstance(path, io.BytesIO) else repr(os.fsdecode(path))
    file: IO[bytes] = path if isinstance(path, io.BytesIO) else Path(os.fsdecode(path)).open("rb")
    try:
        image = image_module.open(file)
        if image.format == "EPS":
            raise DataError(f"{where} holds PostScript, a program; expected an image made of pixels.")
        limit = image_module.MAX_IMAGE_PIXELS
        if limit is not None and image.size[0] * image.size[1] > limit:
            raise _too_large(where, f"{image.size[0]} x {image.size[1]} pixels", limit)
        mode = _MODES[color_mode]
        same = image.mode in (_GRAY_MODES if color_mode == "grayscale" else (mode,))
        image.load()
        return image if same else image.convert(mode)
    except (image_module.DecompressionBombError, image_module.DecompressionBombWarning) as error:
        raise _too_large(where, "too many pixels", image_module.MAX_IMAGE_PIXELS) from error
    except (DataError, MemoryError):
        raise
    except Exception as error:  # a decoder may raise anything on damaged bytes
        raise DataError(
            f"{where} is not an image that Pillow can read: {str(error) or type(error).__name__}"
        ) from error
    finally:
        if file is not path:
            file.close()


def _too_large(where: str, size: str, limit: Any) -> DataError:
    return DataError(
        f"{where} has {size}, more than the limit of {limit:,}; if the file is trusted, set PIL.Image.MAX_IMAGE_PIXELS."
    )


def middle(size: tuple[int, int], width: int, height: int) -> tuple[int, int, int, int]:
    """The largest box (left, upper, right, lower) of the aspect ratio of width x height, in the middle of an image."""
    columns = min(size[0], size[1] * width // height)
    rows = min(size[1], size[0] * height // width)
    left, upper = (size[0] - columns) // 2, (size[1] - rows) // 2
    return left, upper, left + columns, upper + rows


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> np.ndarray:
    """Return a Pillow image as an array of three dimensions.

    Args:
        img: a `PIL.Image.Image`, or an array of shape `(height, width)` or `(height, width, channels)`.
        data_format: the layout of the result, "channels_last" or "channels_first"; None is
            `config.image_data_format()`.
        dtype: the dtype of the result; None is `config.floatx()`.

    Returns:
        An array of shape `(height, width, channels)` or `(channels, height, width)`, with the values of the image, 0 to
        255 for 8 bits.

    Raises:
        ShapeError: the image does not have 2 or 3 dimensions.

    Example:
        >>> img_to_array(np.array([[0, 255]], "uint8")).shape
        (1, 2, 1)
    """
    first = settings.layout_of(data_format) == "channels_first"
    x = np.asarray(img, dtype=dtype or settings.floatx())
    if x.ndim == 2:
        x = x[:, :, None]
    if x.ndim != 3:
        raise ShapeError(f"an image must have 2 or 3 dimensions, got shape {x.shape}.")
    return x.transpose(2, 0, 1) if first else x


def array_to_img(x: Any, data_format: str | None = None, scale: bool = True, dtype: Any = None) -> Any:
    """Return an array as a Pillow image.

    Args:
        x: an array of shape `(height, width, channels)` or `(channels, height, width)`, with 1, 3 or 4 channels.
        data_format: the layout of `x`, "channels_last" or "channels_first"; None is `config.image_data_format()`.
        scale: whether the values are scaled to the range from 0 to 255. Otherwise they are truncated to integers; a
            grayscale image with values above 255 then has 32 bits.
        dtype: the dtype of the scaling; None is `config.floatx()`.

    Returns:
        A `PIL.Image.Image` in mode "L", "RGB", "RGBA" or "I".

    Raises:
        ShapeError: `x` does not have 3 dimensions or 1, 3 or 4 channels.
        ImportError: Pillow is not installed.

    Example:
        >>> array_to_img(np.arange(12.0).reshape(2, 2, 3)).mode
        'RGB'
    """
    image_module = pillow("array_to_img")
    first = settings.layout_of(data_format) == "channels_first"
    x = np.asarray(x, dtype=dtype or settings.floatx())
    if x.ndim != 3:
        raise ShapeError(f"an image must have 3 dimensions, got shape {x.shape}.")
    if first:
        x = x.transpose(1, 2, 0)
    if x.shape[2] not in (1, 3, 4):
        raise ShapeError(f"an image must have 1, 3 or 4 channels, got {x.shape[2]} in shape {x.shape}.")
    if scale:
        x = x - np.min(x)
        highest = np.max(x)
        x = x / (highest if highest else 1) * 255
    if x.shape[2] == 1:
        deep = np.max(x) > 255
        return image_module.fromarray(x[:, :, 0].astype("int32" if deep else "uint8"))
    with np.errstate(invalid="ignore"):
        return image_module.fromarray(np.ascontiguousarray(x.astype("uint8")))


def save_img(
    path: str | os.PathLike[str] | IO[bytes],
    x: Any,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: Any,
) -> None:
    """Write an array to an image file, atomically.

    Args:
        path: the path of the file, or a file object that is open for writing.
        x: an array of shape `(height, width, channels)` or `(channels, height, width)`, with 1, 3 or 4 channels.
        data_format: the layout of `x`, "channels_last" or "channels_first"; None is `config.image_data_format()`.
        file_format: "png", "jpeg" or another format of Pillow; None for that of the path's ending.
        scale: whether the values are scaled to the range from 0 to 255.
        **kwargs: further arguments of `PIL.Image.Image.save`, such as `quality` for JPEG.

    Raises:
        ArgumentError: the format is unknown, or a file object is given without one.
        ShapeError: `x` does not have 3 dimensions or 1, 3 or 4 channels.
        ImportError: Pillow is not installed.
        OSError: the file cannot be written.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> save_img(file, np.zeros((2, 2, 3)), file_format="png")
        >>> file.getvalue()[1:4]
        b'PNG'
    """
    image = array_to_img(x, data_format, scale)
    kind = _format(path, file_format)
    if kind == "JPEG" and image.mode == "RGBA":
        warnings.warn("JPEG has no transparency: the image is saved as RGB.", stacklevel=2)
        image = image.convert("RGB")
    content = io.BytesIO()
    image.save(content, kind, **kwargs)
    if isinstance(path, str | os.PathLike):
        write_atomically(path, content.getvalue(), together=False)
    else:
        path.write(content.getvalue())


def _format(path: Any, file_format: str | None) -> str:
    """Pillow's name of a format."""
    endings = pillow("save_img").registered_extensions()
    if file_format is None:
        if not isinstance(path, str | os.PathLike):
            raise ArgumentError("a file object has no ending: give save_img a file_format, such as 'png'.")
        file_format = Path(path).suffix
        if not file_format:
            raise ArgumentError(f"{os.fspath(path)!r} has no ending: give save_img a file_format, such as 'png'.")
    name = file_format.lstrip(".")
    known = set(pillow("save_img").SAVE)
    found = endings.get(f".{name.lower()}", name.upper())
    if found not in known:
        raise unknown_name("image format", file_format, sorted(name.lower() for name in known))
    return found


def smart_resize(
    x: Any, size: tuple[int, int], interpolation: str = "bilinear", data_format: str = "channels_last"
) -> Any:
    """Resize images without distortion: crop them around their center to the aspect ratio of `size`, then resize them.

    Args:
        x: images of shape `(height, width, channels)` or `(batch, height, width, channels)`, or with channels first.
        size: `(height, width)` of the result.
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5".
        data_format: "channels_last" or "channels_first".

    Returns:
        A NumPy array if `x` is one, otherwise an array of the backend.

    Raises:
        ArgumentError: `size` is not a pair of positive integers.
        ShapeError: `x` does not have 3 or 4 dimensions.
        UnknownNameError: the interpolation is unknown.

    Example:
        >>> smart_resize(np.zeros((340, 500, 3)), (200, 200)).shape
        (200, 200, 3)
    """
    resized = ops.image.resize(
        x, size_of(size, "size"), interpolation, crop_to_aspect_ratio=True, data_format=data_format
    )
    return np.asarray(resized) if isinstance(x, np.ndarray) else resized
