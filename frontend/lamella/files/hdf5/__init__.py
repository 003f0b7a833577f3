"""The part of HDF5 that Keras writes, read without libhdf5: an untrusted file is checked.

    tree = hdf5.read(data, name="model.weights.h5")
    kernel = tree["layers/dense/vars/0"]
    kernel.shape, kernel.dtype          # before anything is allocated
    kernel.read()                       # a new NumPy array

References:
    The HDF Group, HDF5 File Format Specification Version 3.0,
    https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html
"""

from lamella.files.hdf5.tree import Dataset as Dataset
from lamella.files.hdf5.tree import Group as Group
from lamella.files.hdf5.tree import read as read
