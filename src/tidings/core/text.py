"""Texts that people give: what in them nobody can see, and what other programs read as the end of a line, is refused."""

import re

from tidings.core.errors import InvalidInputError

# C0, delete, C1, and Unicode's own ends of a line and of a paragraph.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_IN_LINES = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]")


def check_text(text: str, field: str, *, may_have_lines: bool = False) -> None:
    """Refuse a text with control characters.

    Args:
        may_have_lines: Line breaks and tabs are taken.

    Raises:
        InvalidInputError: With the first of them and where it is.
    """
    found = (_CONTROL_IN_LINES if may_have_lines else _CONTROL).search(text)
    if found is not None:
        raise InvalidInputError(
            field, f"{field} has the control character U+{ord(found[0]):04X} at place {found.start() + 1}; leave it out."
        )
