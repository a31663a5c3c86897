"""Text from names and data as it may be shown: no control characters in a terminal, no formula in a table."""

from __future__ import annotations

import unicodedata

_TURNING = {0x200B, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2060, 0x2070), 0x061C, 0xFEFF}
"""Marks that turn or break the text around them, or take no room.

Joiners (U+200C, U+200D) are part of words.
"""


def printable(text: object) -> str:
    r"""The text with every control character as a visible mark; line ends and tabs stay.

    >>> printable("a\x1b[31mb"), printable("a\u202eb"), printable("a é\n")
    ('a\\x1b[31mb', 'a\\u202eb', 'a é\n')
    """
    text = str(text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_visible, text))


def _visible(letter: str) -> str:
    hidden = unicodedata.category(letter) in ("Cc", "Cs") or ord(letter) in _TURNING
    if not hidden or letter in "\n\t":
        return letter
    return letter.encode("unicode_escape").decode("ascii")


def cell(value: object) -> object:
    """A value as a cell of a spreadsheet: text that would be taken for a formula begins with an apostrophe.

    >>> cell("=cmd()"), cell("-1 + a"), cell("triplet"), cell(-1.5), cell(None)
    ("'=cmd()", "'-1 + a", 'triplet', -1.5, None)
    """
    if not isinstance(value, str):
        return value
    # Spreadsheets look past blanks, and take the wide forms of these signs too.
    seen = unicodedata.normalize("NFKC", value).lstrip(" \n\ufeff")
    text = printable(value)
    return f"'{text}" if seen[:1] in ("=", "+", "-", "@", "\t", "\r") and seen else text
