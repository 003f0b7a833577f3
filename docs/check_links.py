"""Check the links inside the built site: `python docs/check_links.py docs/_build/html` fails where one is dead.

Sphinx checks the links of the sources; this reads what it wrote, so that templates, galleries and tables are checked as well.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """What a page links to, and which places in it can be linked to.

    Attributes:
        links: the values of `href` and `src`.
        places: the values of `id`.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag says."""
        for name, value in attrs:
            if value and name in ("href", "src"):
                self.links.add(value)
            elif value and name == "id":
                self.places.add(value)


def target(page: str, link: str) -> tuple[str, str] | None:
    """The file in the site that a link leads to, and the place in it; None where it leads out of the site.

    >>> target("howto/own_layer.html", "../files.html#limits")
    ('files.html', 'limits')
    >>> target("index.html", "https://arxiv.org")

    Args:
        page: the path of the page with the link.
        link: the link.
    """
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    if not parts.path:
        return page, unquote(parts.fragment)
    found: list[str] = []
    for part in [*page.split("/")[:-1], *unquote(parts.path).split("/")]:
        if part == "..":
            if not found:
                return "..", ""
            found.pop()
        elif part != ".":
            found.append(part)
    return "/".join(found), unquote(parts.fragment)


def dead(root: Path) -> Iterator[str]:
    """One line for each dead link.

    Args:
        root: the folder of the built site.
    """
    pages = {p.relative_to(root).as_posix(): Page(p.read_text(encoding="utf-8")) for p in root.rglob("*.html")}
    for name in sorted(pages):
        for link in sorted(pages[name].links):
            led = target(name, link)
            if led is None:
                continue
            file, place = led
            if file not in pages and not (root / file).is_file():
                yield f"{name}: {link}: there is no {file}"
            elif place and file in pages and place not in pages[file].places:
                yield f"{name}: {link}: {file} has no id {place!r}"


if __name__ == "__main__":
    lines = list(dead(Path(sys.argv[1])))
    print("\n".join(lines) or "no dead links")
    sys.exit(1 if lines else 0)
