"""What the site of the documentation adds to Sphinx: the reference's pages, the gallery's pictures, llms.txt, links."""

from typing import Any

from sphinx.application import Sphinx

from lamella_site import docstrings, pages, reference


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the parts."""
    app.connect("source-read", pages.adapt)
    app.connect("autodoc-process-docstring", docstrings.process, priority=400)  # before napoleon
    app.connect("autodoc-skip-member", reference.skip)
    app.connect("missing-reference", reference.resolve)
    app.connect("doctree-read", pages.remember)
    app.connect("env-purge-doc", pages.forget)
    app.connect("env-merge-info", pages.merge)
    app.connect("html-page-context", pages.share_navigation, priority=400)  # before furo
    app.connect("build-finished", pages.write_list)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
