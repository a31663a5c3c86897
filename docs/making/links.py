"""Links between the files of the built site: each has to lead to a file, and to a place in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sphinx.util import logging

LOG = logging.getLogger("losscope.site")
TARGET = re.compile(r'<(?:a|img|link|script|source)\b[^>]*?\s(?:href|src|srcset)="([^"]*)"')
PLACE = re.compile(r'\s(?:id|name)="([^"]*)"')


@cache
def places(page: Path) -> frozenset[str]:
    """The names in a page that a link can point to."""
    return frozenset(PLACE.findall(page.read_text(encoding="utf-8")))


def broken(site: Path) -> Iterator[str]:
    """What leads nowhere, as ``page: link``. The pages of the gallery are losscope's own and tested there."""
    for page in sorted(site.rglob("*.html")):
        if page.parent.name == "gallery":
            continue
        for link in sorted(set(TARGET.findall(page.read_text(encoding="utf-8")))):
            parts = urlsplit(link.replace("&amp;", "&"))
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            target = target / "index.html" if target.is_dir() else target
            lost = not target.exists()
            if not lost and parts.fragment and target.suffix == ".html":
                lost = unquote(parts.fragment) not in places(target)
            if lost:
                yield f"{page.relative_to(site)}: {link}"
