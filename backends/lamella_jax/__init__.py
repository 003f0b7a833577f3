"""The JAX backend of lamella: programs become pure functions that `jit`, `grad`, `vmap` and export take.

Importing it imports jax, and changes none of its settings unless `LAMELLA_JAX_CACHE` asks for a cache of compiled programs.
"""

from lamella_jax.backend import BACKEND as BACKEND
from lamella_jax.lowerings import LOWERINGS as LOWERINGS
