"""The NumPy backend of lamella: programs become Python functions over NumPy arrays. It imports NumPy only."""

from lamella_numpy.backend import BACKEND as BACKEND
