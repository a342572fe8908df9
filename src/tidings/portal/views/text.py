"""Text that came from somewhere else, as a page may show it.

Autoescape keeps markup from running; it does not keep a text from lying. A right-to-left override turns `gpj.exe` around, a
zero-width space makes two names look alike, a control character ends in a terminal when it is copied. So what cannot be seen
is shown as a sign, and a text has an end: a line of a megabyte freezes the browser that lays it out.
"""

import unicodedata
from collections.abc import Iterator

import msgspec

LINE_LIMIT = 300  # characters of a text that stands in a line
BLOCK_LIMIT = 20_000  # characters of a text that stands for itself
MAX_SIGNS = 2_000  # a text of nothing but control characters would make an element of each

_NAMES = {
    "\t": "tab",
    "\n": "line feed",
    "\r": "carriage return",
    "\u200b": "zero width space",
    "\u200e": "left-to-right mark",
    "\u200f": "right-to-left mark",
    "\u202a": "left-to-right embedding",
    "\u202b": "right-to-left embedding",
    "\u202c": "pop directional formatting",
    "\u202d": "left-to-right override",
    "\u202e": "right-to-left override",
    "\u2066": "left-to-right isolate",
    "\u2067": "right-to-left isolate",
    "\u2068": "first strong isolate",
    "\u2069": "pop directional isolate",
    "\ufeff": "byte order mark",
}
_SIGNS = {"\t": "⇥", "\n": "↵"}  # others by number: few fonts have pictures of control characters
# Cc control, Cf format, Cs surrogates, Co private use, Cn unassigned, Zl and Zp separators of lines and paragraphs
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")  # these form letters and emoji; they move nothing


class Piece(msgspec.Struct, frozen=True):
    """A stretch of text.

    Attributes:
        text: As it is shown.
        name: What a sign stands for; empty: this is text.
    """

    text: str
    name: str = ""


class Shown(msgspec.Struct, frozen=True):
    """A text as it is shown.

    Attributes:
        pieces: Text and signs, in order.
        cut: How many characters were left out at the end.
    """

    pieces: tuple[Piece, ...]
    cut: int = 0

    @property
    def plain(self) -> str:
        """The same without names, for attributes."""
        return "".join(piece.text for piece in self.pieces)


def visible(text: str, *, limit: int = LINE_LIMIT, is_block: bool = False) -> Shown:
    """Return a text whose every character can be seen, and which ends.

    Args:
        limit: Characters that are shown.
        is_block: Line feeds and tabs stay what they are; otherwise they are shown as signs.
    """
    kept = text[:limit]
    if kept.isascii() and kept.isprintable():  # nearly all of it
        return Shown((Piece(kept),) if kept else (), len(text) - len(kept))
    pieces: list[Piece] = []
    signs = 0
    plain: list[str] = []
    for taken, character in enumerate(kept):
        if not _is_unseen(character, is_block):
            plain.append(character)
            continue
        if signs == MAX_SIGNS:
            kept = kept[:taken]
            break
        signs += 1
        if plain:
            pieces.append(Piece("".join(plain)))
            plain = []
        pieces.append(Piece(_sign(character), _name(character)))
    if plain:
        pieces.append(Piece("".join(plain)))
    return Shown(tuple(pieces), len(text) - len(kept))


def visible_block(text: str, *, limit: int = BLOCK_LIMIT) -> Shown:
    """Return a text of several lines whose every character can be seen, and which ends."""
    return visible(text, limit=limit, is_block=True)


def _is_unseen(character: str, is_block: bool) -> bool:
    if is_block and character in "\n\t":
        return False
    return unicodedata.category(character) in _UNSEEN and character not in _JOINERS


def _sign(character: str) -> str:
    return _SIGNS.get(character) or f"U+{ord(character):04X}"


def _name(character: str) -> str:
    known = _NAMES.get(character) or unicodedata.name(character, "").lower()
    return f"{known or 'a character that cannot be seen'}, U+{ord(character):04X}"


def sendable(text: str, *, limit: int = 4000) -> str:
    """Return a text for copying: as it is, but bounded, and without lone surrogates, which no page can hold."""
    return text[:limit].encode("utf-8", "replace").decode()


def shortened(text: str, *, head: int = 6, tail: int = 6) -> str:
    """Return a text shortened in the middle, when that saves anything."""
    return text if len(text) <= head + tail + 1 else f"{text[:head]}…{text[len(text) - tail :]}"


# Numbers ---------------------------------------------------------------------------------------------------------------

_THIN = "\u2009"


def number(value: float) -> str:
    """Return a number with thin spaces between thousands: 12 345, 0.25."""
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}".replace(",", _THIN)
    return f"{value:,.2f}".rstrip("0").rstrip(".").replace(",", _THIN)


def count(value: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: 1 delivery, 2 deliveries."""
    return f"{number(value)} {one if value == 1 else many or one + 's'}"


def size(byte_count: int) -> str:
    """Return a size with its unit: 812 B, 1.2 kB, 3.4 MB."""
    return _scaled(float(byte_count), ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")), "B")


def duration(ms: float | None) -> str:
    """Return a duration with its unit: 0.4 ms, 812 ms, 30.0 s, 5 min, 2 h, 3 d."""
    if ms is None:
        return "–"
    if ms < 1:
        return f"{ms:.1f}{_THIN}ms"
    if ms < 1000:
        return f"{ms:.0f}{_THIN}ms"
    seconds = ms / 1000
    if seconds < 60:
        return f"{seconds:.1f}{_THIN}s"
    for limit, scale, unit in ((3600, 60, "min"), (86_400, 3600, "h")):
        if seconds < limit:
            return f"{seconds / scale:.0f}{_THIN}{unit}"
    return f"{seconds / 86_400:.0f}{_THIN}d"


def share(part: int, whole: int) -> str:
    """Return a share in percent. What is not all is never 100 %, what is something never 0 %."""
    if whole <= 0:
        return "–"
    percent = 100 * part / whole
    if part < whole:
        percent = min(percent, 99.99 if percent > 99.9 else 99.9 if percent > 99 else percent)
    if part > 0:
        percent = max(percent, 0.01)
    digits = 2 if percent < 0.1 or percent > 99.9 else 1
    return f"{percent:.{digits}f}".rstrip("0").rstrip(".") + f"{_THIN}%"


def _scaled(value: float, scales: tuple[tuple[float, str], ...], unit: str) -> str:
    for scale, name in scales:
        if value >= scale:
            return f"{value / scale:.1f}{_THIN}{name}"
    return f"{value:.0f}{_THIN}{unit}"


def lines_of(text: str, *, limit: int) -> Iterator[str]:
    """Return at most so many lines of a text."""
    for index, line in enumerate(text.split("\n")):
        if index == limit:
            return
        yield line
