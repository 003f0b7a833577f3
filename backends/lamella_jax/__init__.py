"""The JAX backend of lamella: programs become pure functions that `jit`, `grad`, `vmap` and export take.

Importing it imports jax, and changes none of its settings.
"""

from lamella_jax.backend import BACKEND as BACKEND
from lamella_jax.lowerings import LOWERINGS as LOWERINGS
