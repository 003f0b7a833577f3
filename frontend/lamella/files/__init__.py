"""Files as bytes, without models: atomic writes, trees of arrays, JSON, HDF5, zip archives, pickled data, unpacking."""
