"""Find out how the bytes of a web page spell text, and read them. Pure.

In this order: a byte order mark, the header's charset, the page's own word for it, UTF-8,
Windows-1252. Only encodings of texts are taken: Python also calls compression one.
"""

import codecs
import re

_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([A-Za-z0-9._:-]{1,40})", re.IGNORECASE)
_META = re.compile(
    rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9._:-]{1,40})", re.IGNORECASE
)
_META_WITHIN = 1024
"""Bytes of a page in which browsers look for it."""
_TEXTS = re.compile(
    r"utf-8(-sig)?|utf-16(-le|-be)?|ascii|iso8859-\d+|cp(125\d|437|850|866|874|932|949|950)"
    r"|koi8-[ru]|mac-roman|shift_jis|euc_jp|iso2022_jp|gb2312|gbk|gb18030|big5|euc_kr|tis-620"
)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decoded(body: bytes, content_type: str, *, html: bool) -> tuple[str, str]:
    """Return the text and the encoding it was read with; what does not fit becomes `�`."""
    for mark, name in _MARKS:
        if body.startswith(mark):
            return body.decode(name, "replace"), name
    said = _CHARSET.search(content_type)
    name = known(said[1]) if said else ""
    if not name and html and (meta := _META.search(body[:_META_WITHIN])):
        name = known(meta[1].decode("ascii"))
    if name:
        return body.decode(name, "replace"), name
    try:
        # A character may be cut at the end, where reading stopped.
        text = codecs.getincrementaldecoder("utf-8")().decode(body)
    except UnicodeDecodeError:
        return body.decode("cp1252", "replace"), "cp1252"
    return text, "utf-8"


def known(name: str) -> str:
    """Return Python's name of a text encoding, or "" for one that is unknown or none.

    >>> known("ISO-8859-1"), known("zip"), known("rot13")
    ('cp1252', '', '')
    """
    try:
        found = codecs.lookup(name).name
    except LookupError:
        return ""
    if not _TEXTS.fullmatch(found):
        return ""
    # As browsers do: pages that say Latin-1 mean Windows-1252.
    return "cp1252" if found in ("iso8859-1", "ascii") else found
