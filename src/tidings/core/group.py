"""What a group may be called. A group is whatever a column of somebody's table names (`group_by`), so nearly anything goes."""

import unicodedata

from tidings.core.errors import InvalidInputError

MAX_GROUP_LENGTH = 100  # characters

RULE = (
    "A group's id has 1 to 100 characters, without control characters and %2F, and is neither . nor .. nor blank at its ends."
)

# Nothing to be seen: control characters, line separators, directions of writing, other invisible signs, half characters.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def group_fault(group_id: str) -> str | None:
    """Return why a text cannot be a group's id; None when it can. `.` and `..` are refused since they vanish from any URL."""
    if not 1 <= len(group_id) <= MAX_GROUP_LENGTH:
        return f"it has {len(group_id):,} characters" if group_id else "it is empty"
    if group_id in {".", ".."}:
        return f"{group_id!r} cannot stand in a URL"
    if "%2f" in group_id.lower():  # in a path it would name the group that has a slash there
        return "it has %2F, which a URL takes for a slash"
    if group_id.isascii() and group_id.isprintable():
        return "it begins or ends with a blank" if group_id != group_id.strip() else None
    unseen = next((sign for sign in group_id if unicodedata.category(sign) in _UNSEEN), None)
    if unseen is not None:
        return f"it has the invisible character U+{ord(unseen):04X}"
    return "it begins or ends with a blank" if group_id != group_id.strip() else None


def check_group_id(group_id: str, field: str = "id") -> None:
    """Refuse what cannot be a group's id.

    Raises:
        InvalidInputError: With the reason.
    """
    if (fault := group_fault(group_id)) is not None:
        raise InvalidInputError(field, f"{RULE} This one cannot be, since {fault}.")
