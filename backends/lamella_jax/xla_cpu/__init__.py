"""Workarounds for XLA on a CPU, one table of them (`table.OVERRIDES`); `python -m lamella_jax.xla_cpu` measures each.

None of them changes what is computed, and none applies on another platform. `lamella_jax.kernels` alone reads the table.
"""
