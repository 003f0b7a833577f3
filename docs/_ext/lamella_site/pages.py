"""What happens to every page: links that hold in the repository, the list llms.txt, and links to the reference."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

_LINKS = {
    "../SECURITY.md": "security.md",
    "../CHANGELOG.md": "changelog.md",
    "../CONTRIBUTING.md": "contributing.md",
    "../README.md": "index.md",
}
_INCLUDED = re.compile(r"```\{include\} \.\./(\S+)\n```")
_RECORDS = "\n```{toctree}\n:hidden:\n:glob:\n\n0*\n```\n"
_DESCRIBED = nodes.section | nodes.document | addnodes.desc_content | addnodes.desc
_NAVIGATION: dict[str, Any] = {}
_SENTENCE = re.compile(r"(.+?[.!?])(?:\s|$)", re.S)
_QUALIFIED = re.compile(r"lamella(\.[A-Za-z_]\w*)+(\(\))?")


def adapt(app: Sphinx, docname: str, source: list[str]) -> None:
    """The event `source-read`: links out of docs/ lead to pages, and the index of the decisions has a table of contents.

    The files beside README.md that are pages are put in here: their links start from the folder above docs/.
    """
    text = source[0]
    included = _INCLUDED.search(text)
    if included:
        path = Path(app.srcdir).parent / included[1]
        app.env.note_dependency(path)
        text = re.sub(r"\]\((?!https?:|#)", "](../", path.read_text(encoding="utf-8")).replace("](../docs/", "](")
    for file, page in _LINKS.items():
        text = text.replace(f"]({file}", f"]({page}")
    if included:  # what is left are files that are not pages
        text = re.sub(r"\[([^\]]+)\]\(\.\./(?!examples/\w+\.py)[^)]*\)", r"\1", text)
    text = re.sub(r"\]\(\.\./examples/(\w+)\.py\)", r"](gallery/\1.rst)", text)
    source[0] = text + _RECORDS if docname == "adr/README" else text


def remember(app: Sphinx, doctree: nodes.document) -> None:
    """The event `doctree-read`: keep the first sentence, and let full names of lamella in literals be links."""
    docname = app.env.docname
    _about(app)[docname] = _first_sentence(doctree)
    for literal in list(doctree.findall(nodes.literal)):
        text = literal.astext()
        inside = literal.parent
        if not _QUALIFIED.fullmatch(text) or isinstance(inside, nodes.reference | nodes.title | addnodes.pending_xref):
            continue
        link = addnodes.pending_xref(
            "", refdomain="py", reftype="obj", reftarget=text.removesuffix("()"), refdoc=docname, refwarn=False
        )
        literal.replace_self(link)
        link += literal


def forget(app: Sphinx, _env: Any, docname: str) -> None:
    """The event `env-purge-doc`."""
    _about(app).pop(docname, None)


def merge(app: Sphinx, env: Any, docnames: set[str], other: Any) -> None:
    """The event `env-merge-info`: pages were read in another process."""
    _about(app).update({name: other.lamella_about[name] for name in docnames if name in other.lamella_about})


def write_list(app: Sphinx, exception: Exception | None) -> None:
    """The event `build-finished`: write llms.txt, one line per page in the order of the table of contents."""
    if exception is not None or app.builder.name != "html":
        return
    about = _about(app)
    names = [*_in_order(app, app.config.root_doc, set()), *sorted(about)]
    lines = [f"# {app.config.project} {app.config.release}", ""]
    for name in dict.fromkeys(names):
        title = app.env.titles[name].astext()
        lines.append(f"- [{title}]({app.builder.get_target_uri(name)}): {about.get(name) or title}")
    Path(app.outdir, "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def share_navigation(app: Sphinx, pagename: str, _template: str, context: dict[str, Any], _doctree: Any) -> None:
    """The event `html-page-context`: the pages of classes, which no table of contents lists, all show the same one."""
    if pagename.startswith("reference/") and app.env.metadata.get(pagename, {}).get("orphan") is not None:
        make = context["toctree"]
        context["toctree"] = lambda **options: _NAVIGATION.get(str(options)) or _made(make, options)


def _made(make: Any, options: dict[str, Any]) -> Any:
    _NAVIGATION[str(options)] = make(**options)
    return _NAVIGATION[str(options)]


def _about(app: Sphinx) -> dict[str, str]:
    """The first sentence of each page, kept with the environment."""
    if not hasattr(app.env, "lamella_about"):
        app.env.lamella_about = {}
    return app.env.lamella_about


def _in_order(app: Sphinx, docname: str, seen: set[str]) -> list[str]:
    if docname in seen or docname not in app.env.titles:
        return []
    seen.add(docname)
    found = [docname]
    for child in app.env.toctree_includes.get(docname, []):
        found += _in_order(app, child, seen)
    return found


def _first_sentence(doctree: nodes.document) -> str:
    for paragraph in doctree.findall(nodes.paragraph):
        outside = paragraph.parent
        while outside is not None and isinstance(
            outside, nodes.section | nodes.document | addnodes.desc_content | addnodes.desc
        ):
            outside = outside.parent
        text = " ".join(paragraph.astext().split())
        if outside is None and text and not text.startswith(("A class of lamella", "Go to the end")):
            found = _SENTENCE.match(text)
            return found[1] if found else text
    return ""
