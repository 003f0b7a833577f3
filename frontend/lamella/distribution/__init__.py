"""Training on several devices and in several processes: device meshes, layouts and distributions.

Set a distribution before a model is built; the rest of the script stays the same:

    lamella.distribution.set_distribution(lamella.distribution.DataParallel())
"""

from lamella.absent import no_attribute
from lamella.distribution.distributions import DataParallel as DataParallel
from lamella.distribution.distributions import Distribution as Distribution
from lamella.distribution.distributions import FullySharded as FullySharded
from lamella.distribution.distributions import ModelParallel as ModelParallel
from lamella.distribution.distributions import distribute_tensor as distribute_tensor
from lamella.distribution.distributions import distribution as distribution
from lamella.distribution.distributions import set_distribution as set_distribution
from lamella.distribution.joining import initialize as initialize
from lamella.distribution.layouts import DeviceMesh as DeviceMesh
from lamella.distribution.layouts import LayoutMap as LayoutMap
from lamella.distribution.layouts import TensorLayout as TensorLayout
from lamella.distribution.layouts import get_device_count as get_device_count
from lamella.distribution.layouts import list_devices as list_devices
from lamella.distribution.report import Report as Report

device_count = get_device_count

__all__ = [
    "DataParallel",
    "DeviceMesh",
    "Distribution",
    "FullySharded",
    "LayoutMap",
    "ModelParallel",
    "Report",
    "TensorLayout",
    "device_count",
    "distribute_tensor",
    "distribution",
    "get_device_count",
    "initialize",
    "list_devices",
    "set_distribution",
]


def __getattr__(name: str) -> object:
    raise no_attribute(__name__, name, __all__)
