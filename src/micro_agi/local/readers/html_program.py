"""Make a page readable: a program of its own, since a page can take a parser for ever.

The parser is pure Python and follows the HTML standard, so nothing in a page breaks it; but some
nestings cost the square of their length. The limit on time is what bounds them.

Argument: where packages are. Standard input: the page's address in the first line, then the page.
It prints one JSON object: title, text as Markdown.
"""

import json
import re
import sys
from typing import Any
from urllib.parse import urljoin, urlsplit

ADDRESS_BYTES = 1 << 30
CPU_S = 3
"""A page of a megabyte takes half of one."""
BOILERPLATE = (
    "script, style, noscript, template, svg, canvas, iframe, object, embed, video, audio, "
    "nav, footer, aside, form, button, input, select, dialog, [hidden], [aria-hidden=true], "
    "[role=navigation], [role=banner], [role=contentinfo]"
)
OUR_OWN = (
    "<title>a</title><base href='/'><main><h1>b</h1><p style='color: red'>c <a href='d'>e</a>"
    "<img alt=f><ul><li>g</ul><table><tr><td>h</table><pre>i</pre></main>"
)
"""Read before anything is given up: the library imports parts of itself as it needs them."""
MAIN = ("main", "[role=main]", "article")
MAIN_SHARE = 0.25
"""Of the page's text that a main part needs to have: else it is a teaser."""
_INVISIBLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)


def main() -> None:
    """Confine this process, then read one page."""
    sys.path[:0] = sys.argv[1].split("\n")
    import justhtml

    from micro_agi.local.readers.confine import confine

    readable(justhtml, OUR_OWN, "http://localhost/")
    confine(address_bytes=ADDRESS_BYTES, cpu_s=CPU_S)
    address, _, page = sys.stdin.buffer.read().decode("utf-8", "replace").partition("\n")
    json.dump(readable(justhtml, page, address), sys.stdout)


def readable(library: Any, page: str, address: str) -> dict[str, str]:
    """Return the title of a page, and what a reader of it would read, as Markdown."""
    # What a page may do in a browser is no matter here: nothing of it is shown as HTML.
    document = library.JustHTML(page, sanitize=False, transforms=[library.Drop(BOILERPLATE)])
    title = document.query_one("title")
    base = document.query_one("base[href]")
    address = urljoin(address, base.attrs["href"] or "") if base else address
    body = document.query_one("body") or document.root
    for element in document.query("[style]"):
        if _INVISIBLE.search(element.attrs["style"] or "") and element.parent:
            element.parent.remove_child(element)
    for element in document.query("a"):
        _absolute(library, element, address)
    for element in document.query("img"):
        words = (element.attrs.get("alt") or "").strip()
        _replace(element, library.Text(f"(image: {words})" if words else ""))
    for element in document.query("table"):
        if element.query_one("table") is None:
            _plain_table(library, element)
    text = _main_part(document, body).to_markdown()
    return {
        "title": " ".join(title.to_text().split()) if title else "",
        "text": re.sub(r"\n{3,}", "\n\n", text).strip(),
    }


def _main_part(document: Any, body: Any) -> Any:
    whole = len(body.to_text())
    for selector in MAIN:
        found = max(document.query(selector), key=lambda e: len(e.to_text()), default=None)
        if found is not None and len(found.to_text()) >= MAIN_SHARE * whole:
            return found
    return body


def _absolute(library: Any, link: Any, address: str) -> None:
    """Make a link's address one that can be fetched, or take the link away from its words."""
    try:
        target = urljoin(address, (link.attrs.get("href") or "").strip())
        if urlsplit(target).scheme in ("http", "https") and not target.startswith(f"{address}#"):
            link.attrs["href"] = target
            return
    except ValueError:
        pass
    _replace(link, library.Text(link.to_text()))


def _plain_table(library: Any, table: Any) -> None:
    """Write a table as lines with bars between the cells."""
    lines = []
    for row in table.query("tr"):
        cells = [" ".join(c.to_text().split()) for c in row.children if c.name in ("td", "th")]
        if any(cells):
            lines.append(" | ".join(cells))
    plain = library.Element("pre", {}, None)
    plain.append_child(library.Text("\n".join(lines)))
    _replace(table, plain)


def _replace(old: Any, new: Any) -> None:
    if old.parent is not None:
        old.parent.replace_child(new, old)


if __name__ == "__main__":
    main()
