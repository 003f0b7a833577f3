"""How the scripts of the tutorials and of examples/ run, and which pictures the gallery shows of them.

The examples print what they find and draw nothing: a picture of what each of them trained is made here, by lamella itself.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import lamella
from lamella.drawing import Curve, plotted
from lamella.models import Model

QUICK = {
    "data_parallel.py": ["--quick"],
    "date_translation.py": ["--quick"],
    "first_convnet.py": ["--size", "40", "--rows", "64", "--epochs", "3"],
    "resnet_digits.py": ["--quick"],
    "siamese.py": ["--quick"],
    "tabular.py": ["--quick"],
    "tensor_parallel_transformer.py": ["--quick"],
    "transformer_classifier.py": ["--quick"],
    "unet.py": ["--quick"],
    "variational_autoencoder.py": ["--quick"],
}
"""The arguments of the examples in a quick build."""

ON_JAX = {"data_parallel.py", "tensor_parallel_transformer.py"}
_PICTURE = Path(tempfile.gettempdir()) / f"lamella-site-{os.getpid()}.png"
_MOST_LAYERS = 40

_RUNS: list[tuple[Any, dict[str, list[float]]]] = []
_FIT = Model.fit


@functools.wraps(_FIT)
def _fit(self: Any, *arguments: Any, **keywords: Any) -> Any:
    history = _FIT(self, *arguments, **keywords)
    _RUNS.append((self, {key: list(values) for key, values in history.history.items()}))
    return history


def arguments(_gallery_conf: Any, script_vars: dict[str, Any]) -> list[str]:
    """The arguments that a script gets.

    Args:
        script_vars: sphinx-gallery's variables of the script.
    """
    name = Path(script_vars["src_file"]).name
    found = QUICK.get(name, []) if os.environ.get("LAMELLA_QUICK") == "1" else []
    return [*found, "--picture", str(_PICTURE)] if name == "demo.py" else found


def reset(_gallery_conf: Any, fname: str, when: str | None = None) -> None:
    """Settings as a new process has them, before and after each script.

    Args:
        fname: the script.
        when: "before" or "after" it runs.
    """
    lamella.distribution.set_distribution(None)
    lamella.config.set_floatx("float32")
    lamella.config.set_dtype_policy("float32")
    lamella.config.set_image_data_format("channels_last")
    lamella.backend.clear_session()
    before = when == "before"
    lamella.set_backend("jax" if before and Path(fname).name in ON_JAX else os.environ["LAMELLA_BACKEND"])
    _RUNS.clear()
    Model.fit = _fit if before else _FIT


def scrape(_block: Any, block_vars: dict[str, Any], gallery_conf: Any, **_options: Any) -> str:
    """The pictures of a block of an example: what it wrote, the curves of its last run, its model. Tutorials draw theirs.

    Args:
        block_vars: sphinx-gallery's variables of the block.
        gallery_conf: its configuration.
    """
    from sphinx_gallery.scrapers import figure_rst

    if "examples" not in Path(block_vars["src_file"]).parts:
        return ""
    paths, files = block_vars["image_path_iterator"], []
    if _PICTURE.exists():
        files.append(next(paths))
        shutil.move(_PICTURE, files[-1])
    runs = [run for run in _RUNS if any(len(values) > 1 for values in run[1].values())]
    if runs:
        model, history = runs[-1]
        files.append(str(Path(next(paths)).with_suffix(".svg")))
        Path(files[-1]).write_text(_curves(model.name, history), encoding="utf-8")
    models = [run[0] for run in _RUNS] or [v for v in block_vars["example_globals"].values() if isinstance(v, Model)]
    if models and len(models[-1].layers) <= _MOST_LAYERS:
        files.append(str(Path(next(paths)).with_suffix(".svg")))
        lamella.utils.plot_model(models[-1], files[-1], show_shapes=True)
    _RUNS.clear()
    return figure_rst(files, gallery_conf["src_dir"], "What the script drew, the curves of its last run, or its model")


def _curves(title: str, history: dict[str, list[float]]) -> str:
    """The curves of a history as SVG: each with that of the validation in one panel."""
    panels = []
    for key, values in history.items():
        if key.startswith("val_") and key.removeprefix("val_") in history:
            continue
        curves = [Curve(key, list(enumerate(values, 1)))]
        if f"val_{key}" in history:
            curves.append(Curve(f"val_{key}", list(enumerate(history[f"val_{key}"], 1)), dashed=True))
        panels.append(curves)
    return plotted(title, panels).svg()
