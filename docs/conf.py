"""The site of the documentation: `make docs` builds it in docs/_build/html, without a network.

With LAMELLA_QUICK=1 in the environment the examples run in their short form.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs" / "_ext"))

# One build runs examples on several devices and on both backends; a script that names a backend gets it.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=4")
os.environ.setdefault("LAMELLA_BACKEND", "numpy")
os.environ.setdefault("MPLBACKEND", "Agg")

import lamella  # noqa: E402 - the environment comes first
from lamella_site import reference  # noqa: E402

project = "lamella"
author = "The lamella authors"
copyright = "The lamella authors. Apache-2.0"
version = release = lamella.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx.ext.napoleon",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "lamella_site",
]
root_doc = "index"
exclude_patterns = ["_build", "_ext", "tutorials", "**/GALLERY_HEADER.rst", "**/sg_execution_times.rst"]
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(?!lamella\.).*")
]  # types of Python's, NumPy's and JAX's, which are not described here
default_role = "py:obj"
toc_object_entries = False  # every page shows the whole table of contents
suppress_warnings = ["myst.header"]  # the page of the backend API steps from h2 to h4

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

autosummary_generate = False  # lamella_site.reference writes the pages
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autodoc_typehints = "none"  # what an argument takes is said below, in words
autoclass_content = "class"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_param = False  # "a, b: text" describes several arguments
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_use_admonition_for_examples = False

sphinx_gallery_conf = {
    "examples_dirs": ["tutorials", "../examples"],
    "gallery_dirs": ["learn", "gallery"],
    "filename_pattern": r"\.py",
    "ignore_pattern": r"__init__\.py",
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": ("matplotlib", "lamella_site.gallery.scrape"),
    "reset_modules": ("matplotlib", "lamella_site.gallery.reset"),
    "reset_modules_order": "both",
    "reset_argv": "lamella_site.gallery.arguments",
    "capture_repr": ("_repr_html_",),
    "remove_config_comments": True,
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "min_reported_time": 3,
    "plot_gallery": True,
    "abort_on_example_error": False,
    "only_warn_on_example_error": False,
}
html_theme = "furo"
html_title = "lamella"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/favicon.svg"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": False}

reference.write(ROOT / "docs" / "reference")
