"""What somebody may have meant: the names nearest to one that does not exist."""

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

MAX_KNOWN = 1000  # names that one is compared with
MAX_LENGTH = 200  # characters of a name that are compared
_SHOWN = 3


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return up to three of the known names that are most like one, the most alike first; case does not count."""
    by_key: dict[str, str] = {}
    for word in islice(known, MAX_KNOWN):
        by_key.setdefault(word[:MAX_LENGTH].casefold(), word)
    return [by_key[key] for key in get_close_matches(name[:MAX_LENGTH].casefold(), by_key, _SHOWN)]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean "a" or "b"?`, to stand behind a sentence; nothing when no name is near."""
    near = [f'"{word}"' for word in nearest(name, known)]
    return f" Did you mean {' or '.join(near)}?" if near else ""
