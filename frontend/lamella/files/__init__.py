"""Files as bytes, without models: atomic writes, trees of arrays, JSON text, zip archives, HDF5."""
