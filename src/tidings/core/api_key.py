"""Keys of the API: how they are written, and whether one that is shown opens anything.

A key is `tidk_`, 22 signs that say which key it is, `_`, 33 signs that nobody knows but its holder, and 6 that follow from
all of those before. So a scanner of secrets knows one by its look, one that was cut off or mistyped is told without asking
anybody, and the row that it belongs to is found by its id: what is secret is compared, never searched for.
"""

import hashlib
import hmac
import re
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from zlib import crc32

import msgspec

from tidings.core.errors import ForbiddenError, InvalidInputError, UnauthorizedError
from tidings.core.scopes import Scope, granted

PREFIX: Final = "tidk_"
SECRET_BYTES: Final = 24
MAX_NAME: Final = 100  # characters
ENDING_SOON: Final = timedelta(days=14)  # before the end of a key, in which people are told of it
MAX_KEY: Final = 1000  # characters that are looked at: an admin key of the settings may look as it likes
UNGUESSABLE: Final = 32  # characters from which on nobody finds a key by trying

# The key of the settings, which every installation has.
SETTINGS_KEY_ID: Final = UUID(int=1)
SETTINGS_KEY_NAME: Final = "admin key of the settings"

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_VALUES: Final = {digit: value for value, digit in enumerate(_DIGITS)}
_ID, _SECRET, _CHECK = 22, 33, 6  # digits to the base 62
_LENGTH: Final = len(PREFIX) + _ID + 1 + _SECRET + _CHECK
_ID_END: Final = len(PREFIX) + _ID

KEY_REQUIRED: Final = "A valid key is required: Authorization: Bearer <key>, or X-API-Key: <key>."


# A key in some text, whole or cut off behind the sign from which on nobody knows it but its holder.
_SHOWN: Final = re.compile(rb"(%b[0-9A-Za-z]{%d}_)([0-9A-Za-z]{1,%d})" % (PREFIX.encode(), _ID, _SECRET + _CHECK))


class ApiKey(msgspec.Struct, frozen=True):
    """A key, without what is secret of it.

    Attributes:
        group_id: The one group that it is for; None: all of them.
        previous_hash: Of the key before the last rotation, and until when that is good.
    """

    id: UUID
    name: str
    group_id: str | None
    scopes: tuple[Scope, ...]
    token_hash: bytes
    created_at: datetime
    previous_hash: bytes | None = None
    previous_until: datetime | None = None
    rotated_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    @property
    def is_of_settings(self) -> bool:
        """Whether it is the admin key of the settings, which is changed there."""
        return self.id == SETTINGS_KEY_ID

    @property
    def start(self) -> str:
        """What it begins with, by which its holder knows it; empty for a key that may look as it likes."""
        return "" if self.is_of_settings else f"{PREFIX}{text_of_id(self.id)}"


# Writing and reading -------------------------------------------------------------------------------------------------------


def write_key(key_id: UUID, secret: bytes) -> str:
    """Return a key as text.

    Args:
        secret: `SECRET_BYTES` that nobody guesses.
    """
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"a key has {SECRET_BYTES} bytes of chance, not {len(secret)}")
    text = f"{PREFIX}{_written(key_id.int, _ID)}_{_written(int.from_bytes(secret), _SECRET)}"
    return text + _check(text)


def id_text(text: str) -> str | None:
    """Return the part of a key that says which it is; None when the text is no key that we made."""
    if len(text) != _LENGTH or not text.startswith(PREFIX) or text[_ID_END] != "_" or text[-_CHECK:] != _check(text[:-_CHECK]):
        return None
    return text[len(PREFIX) : _ID_END]


def text_of_id(key_id: UUID) -> str:
    """Return the part of a key that says that it is this one."""
    return _written(key_id.int, _ID)


def id_of(text: str) -> UUID | None:
    """Return the id that `id_text` says; None where there is none that large."""
    value = 0
    for digit in text:
        value = value * 62 + _VALUES[digit] if digit in _VALUES else 1 << 128
    return UUID(int=value) if value < 1 << 128 else None


def is_mistyped(text: str) -> bool:
    """Whether a text was to be a key that we made, and its end does not fit the rest."""
    return text.startswith(PREFIX) and id_text(text) is None


def without_keys(text: bytes) -> bytes:
    """Return a text, as long as it was, with stars for what is secret of our keys in it. Which they are stays to be read."""
    if PREFIX.encode() not in text:
        return text
    return _SHOWN.sub(lambda found: found[1] + b"*" * len(found[2]), text)


def hash_of(text: str) -> bytes:
    """Return what is kept of a key. Keys are long and random, so a plain hash cannot be searched back."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _check(text: str) -> str:
    return _written(crc32(text.encode("utf-8", "surrogateescape")), _CHECK)


def _written(value: int, digits: int) -> str:
    text = ""
    for _ in range(digits):
        value, rest = divmod(value, 62)
        text = _DIGITS[rest] + text
    return text


# Judging -------------------------------------------------------------------------------------------------------------------


def fits(key: ApiKey, digest: bytes) -> bool:
    """Whether a key that hashes to this is that one, as it is or as it was. All comparisons take the same time."""
    is_present = hmac.compare_digest(digest, key.token_hash)
    return hmac.compare_digest(digest, key.previous_hash or key.token_hash) or is_present


def is_good(key: ApiKey, digest: bytes, now: datetime) -> bool:
    """Whether a key that hashes to this is that one, and opens something now."""
    return fits(key, digest) and _fault(key, digest, now) is None


def check_good(key: ApiKey, digest: bytes, now: datetime) -> None:
    """Refuse a key that was good and is no longer. Its holder has it, so they are told why.

    Raises:
        UnauthorizedError: With the reason and the remedy.
    """
    if (fault := _fault(key, digest, now)) is not None:
        raise UnauthorizedError(fault)


def _fault(key: ApiKey, digest: bytes, now: datetime) -> str | None:
    if key.revoked_at is not None:
        return f"This key was revoked at {_instant(key.revoked_at)}. Ask whoever runs this installation for another."
    if key.expires_at is not None and key.expires_at <= now:
        return f"This key expired at {_instant(key.expires_at)}. Ask whoever runs this installation for another."
    is_previous = not hmac.compare_digest(digest, key.token_hash)
    if is_previous and (key.previous_until is None or key.previous_until <= now):
        since = "" if key.previous_until is None else f" at {_instant(key.previous_until)}"
        return f"This key was rotated, and the one before stopped{since}. Use the one that the rotation answered with."
    return None


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def check_scope(key: ApiKey, needed: tuple[Scope, ...], *, is_for_all_groups: bool) -> None:
    """Refuse what a key does not allow, as `check_allowed` says.

    Raises:
        ForbiddenError: With what is missing.
    """
    check_allowed(key.scopes, key.group_id, needed, is_for_all_groups=is_for_all_groups)


def check_allowed(
    scopes: tuple[Scope, ...], bound_to: str | None, needed: tuple[Scope, ...], *, is_for_all_groups: bool
) -> None:
    """Refuse what scopes do not allow, before anything is looked up: the answer tells nothing of what there is.

    Args:
        bound_to: The one group that they are for; None: all.
        needed: The scopes that an operation needs, all of them; none: any key does.
        is_for_all_groups: It is about the installation, so no key of a single group does.

    Raises:
        ForbiddenError: With what is missing.
    """
    lacking = next((scope for scope in needed if scope not in granted(scopes)), None)
    if lacking is not None:
        raise ForbiddenError(f"This key lacks the scope {lacking.value}. Use a key that has it.", scope=lacking.value)
    if is_for_all_groups and bound_to is not None:
        raise ForbiddenError(
            "This is about the whole installation, and this key is for one group. Use a key that is for all groups.",
            scope=needed[0].value if needed else None,
        )


def check_group(bound_to: str | None, group_id: str) -> None:
    """Refuse a group to whoever may act for another alone. Whether there is one so called is not told.

    Raises:
        ForbiddenError: It is another.
    """
    if bound_to is not None and group_id != bound_to:
        raise ForbiddenError("This key is for another group than the one that is asked for. Use a key that is for that group.")


def check_name(name: str) -> str:
    """Return what a key is called.

    Raises:
        InvalidInputError: It cannot be called so.
    """
    name = name.strip()
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise InvalidInputError("name", f"name has 1 to {MAX_NAME} characters that can be seen: what the key is for.")
    return name
