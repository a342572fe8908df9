"""Text of servers, as a terminal may be given it.

A terminal obeys what it is sent: an escape sequence in the name of a webhook could clear the screen, set the title, or ask the
terminal to type. So whatever a server says passes here before it is written: every character that cannot be seen becomes a
sign. In JSON it becomes an escape, which is the same text to who reads it.
"""

import re
import unicodedata
from typing import Final

from tidings.portal.views.text import visible, visible_block

LINE: Final = 2_000  # characters of a text in a line
BLOCK: Final = 200_000

# All that might not be seen; which of them are not is asked of each.
_SUSPECT: Final = re.compile(r"[^\x20-\x7e\xa1-\xac\xae-\u02ff]")
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def inert(text: str, *, limit: int = LINE) -> str:
    """Return a text of one line that a terminal only shows."""
    shown = visible(text, limit=limit)
    return shown.plain + ("…" if shown.cut else "")


def inert_block(text: str, *, limit: int = BLOCK) -> str:
    """Return a text of several lines that a terminal only shows."""
    shown = visible_block(text, limit=limit)
    return shown.plain + (f"… ({shown.cut} more characters)" if shown.cut else "")


def json_text(text: str) -> str:
    """Return JSON that means the same and that a terminal only shows. Its own line feeds stay."""
    return _SUSPECT.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if character == "\n" or unicodedata.category(character) not in _UNSEEN:
        return character
    number = ord(character)
    if number < 0x10000:
        return f"\\u{number:04x}"
    high, low = divmod(number - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
