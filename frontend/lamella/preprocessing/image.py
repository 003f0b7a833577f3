"""Image augmentation: `ImageDataGenerator`, its data sets, and transformations of single images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamella.absent import refusing
from lamella.preprocessing.array_iterator import NumpyArrayIterator as NumpyArrayIterator
from lamella.preprocessing.file_iterators import DataFrameIterator as DataFrameIterator
from lamella.preprocessing.file_iterators import DirectoryIterator as DirectoryIterator
from lamella.preprocessing.image_generator import ImageDataGenerator as ImageDataGenerator
from lamella.preprocessing.iterator import Iterator as Iterator
from lamella.preprocessing.transforms import apply_affine_transform as apply_affine_transform
from lamella.preprocessing.transforms import apply_brightness_shift as apply_brightness_shift
from lamella.preprocessing.transforms import apply_channel_shift as apply_channel_shift
from lamella.preprocessing.transforms import random_brightness as random_brightness
from lamella.preprocessing.transforms import random_channel_shift as random_channel_shift
from lamella.preprocessing.transforms import random_rotation as random_rotation
from lamella.preprocessing.transforms import random_shear as random_shear
from lamella.preprocessing.transforms import random_shift as random_shift
from lamella.preprocessing.transforms import random_zoom as random_zoom
from lamella.utils.images import array_to_img as array_to_img
from lamella.utils.images import img_to_array as img_to_array
from lamella.utils.images import load_img as load_img
from lamella.utils.images import save_img as save_img
from lamella.utils.images import smart_resize as smart_resize

if not TYPE_CHECKING:
    __getattr__ = refusing(__name__)
