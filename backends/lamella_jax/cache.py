"""JAX's persistent cache of compiled programs, as an option: `LAMELLA_JAX_CACHE=directory`.

With it a second process reads the programs that a first one has compiled. It is off by default, because a cache shared
between machines or releases has made processes crash: machine code for one processor runs on another. So the programs are in
a separate directory for each release of jaxlib and each kind of processor.
"""

from __future__ import annotations

import hashlib
import os
import platform
from importlib import metadata
from pathlib import Path

import jax

VARIABLE = "LAMELLA_JAX_CACHE"


def processor() -> str:
    """The processor's model and what it can do, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    told = {line for line in lines if line.startswith(("model name", "flags", "Features"))}
    return "\n".join([platform.machine(), platform.processor(), *sorted(told)])


def use(directory: str | os.PathLike[str]) -> Path:
    """Keep compiled programs under `directory` from now on; returns the directory for this jaxlib and processor."""
    digest = hashlib.sha256(processor().encode()).hexdigest()[:12]
    place = Path(directory).expanduser() / f"jaxlib-{metadata.version('jaxlib')}-{digest}"
    jax.config.update("jax_compilation_cache_dir", str(place))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return place


def use_what_is_asked_for() -> None:
    """Follow the environment variable `LAMELLA_JAX_CACHE` where it is set and not empty."""
    directory = os.environ.get(VARIABLE)
    if directory:
        use(directory)
