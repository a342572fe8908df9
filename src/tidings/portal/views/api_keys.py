"""Keys of the API as pages show them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from tidings.core.api_key import ENDING_SOON, MAX_NAME, ApiKey
from tidings.core.scopes import SAID
from tidings.operations.api_keys import DEFAULT_OVERLAP_SECONDS, OF_SETTINGS
from tidings.portal.views.lists import Column, Field, Option, Pager, Row, Table
from tidings.portal.views.sections import SETTINGS, Section, sections
from tidings.portal.views.small import Id, State, When, ident, when
from tidings.portal.views.text import Shown, visible
from tidings.store.api_keys import UsedKey

PATH = "/settings/api-keys"
ALL_GROUPS = "all"
LIFETIMES = (
    ("7776000", "90 days"),
    ("2592000", "30 days"),
    ("31536000", "a year"),
    ("86400", "a day"),
    ("", "as long as nobody revokes it"),
)
OVERLAPS = (
    (str(DEFAULT_OVERLAP_SECONDS), "a day"),
    ("3600", "an hour"),
    (str(7 * 86_400), "7 days"),
    ("0", "no time: it ends now"),
)


class KeyRow(msgspec.Struct, frozen=True):
    """A key. `start`: what it begins with; empty for that of the settings."""

    name: Shown
    start: str
    scopes: tuple[str, ...]
    group: Shown
    state: State
    used: When | None
    used_from: Shown
    ends: When | None


class Choice(msgspec.Struct, frozen=True):
    """A scope that can be ticked, with what it allows."""

    value: str
    said: str
    is_chosen: bool


class ApiKeysView(msgspec.Struct, frozen=True):
    """The keys, and a form to make one. `made`: the one that was made just now, shown this once."""

    sections: tuple[Section, ...]
    table: Table
    pager: Pager
    fields: tuple[Field, ...]
    scopes: tuple[Choice, ...]
    scopes_error: str
    error: str
    made: str


class ApiKeyView(msgspec.Struct, frozen=True):
    """One key, with the forms that rotate and revoke it; `why_not`: why neither can be done."""

    sections: tuple[Section, ...]
    id: Id
    path: str
    row: KeyRow
    made_at: When
    rotated: When | None
    previous: When | None
    overlap: Field
    name: Field
    why_not: str
    made: str


def keys_view(
    found: Sequence[UsedKey],
    pager: Pager,
    group_id: str,
    now: datetime,
    *,
    may_all: bool = True,
    made: str = "",
    written: Mapping[str, Sequence[str]] | None = None,
    errors: Mapping[str, str] | None = None,
) -> ApiKeysView:
    """Return the keys.

    Args:
        group_id: The group that is shown: a key can be made for it.
        may_all: Whoever looks may make one for all groups.
        written: What somebody wrote into the form, to be shown again.
        errors: Field to what is wrong with it.
    """
    columns = (
        Column("Key", "wide"),
        Column("May", "wide"),
        Column("Group", is_minor=True),
        Column("State"),
        Column("Last used"),
        Column("Ends", is_minor=True),
    )
    rows = tuple(Row(str(one.key.id), f"{PATH}/{one.key.id}", one.key.name, _row(one, now)) for one in found)
    said, wrong = written or {}, dict(errors or {})
    chosen = set(said.get("scopes", ()))
    known = {"name", "group", "expires_in", "scopes"}
    return ApiKeysView(
        sections(SETTINGS, PATH),
        Table("api-keys", "API keys", columns, rows),
        pager,
        _fields(group_id, said, wrong, may_all=may_all),
        tuple(Choice(scope.value, text, scope.value in chosen) for scope, text in SAID.items()),
        wrong.get("scopes", ""),
        " ".join(text for field, text in wrong.items() if field not in known),
        made,
    )


def key_view(one: UsedKey, now: datetime, *, made: str = "", error: str = "") -> ApiKeyView:
    """Return one key.

    Args:
        made: What a rotation has just made of it.
        error: Why it cannot be called so.
    """
    key = one.key
    overlap = Field(
        "overlap", "The present key is good beside the new one for", "choice",
        options=tuple(Option(seconds, label) for seconds, label in OVERLAPS),
        hint="Time for whoever uses it to take the new one.",
    )  # fmt: skip
    previous = key.previous_until if key.previous_until and key.previous_until > now else None
    return ApiKeyView(
        sections(SETTINGS, PATH),
        ident(key.id),
        f"{PATH}/{key.id}",
        _row(one, now),
        when(key.created_at, now),
        None if key.rotated_at is None else when(key.rotated_at, now),
        None if previous is None else when(previous, now),
        overlap,
        Field("name", "Name", value=key.name, error=error, is_required=True, max_length=MAX_NAME),
        _why_not(key, now),
        made,
    )


def _why_not(key: ApiKey, now: datetime) -> str:
    if key.is_of_settings:
        return OF_SETTINGS
    if key.revoked_at is not None:
        return "It was revoked. It is forgotten 30 days later."
    return "It has expired. It is forgotten 30 days later." if _is_over(key, now) else ""


def _row(one: UsedKey, now: datetime) -> KeyRow:
    key = one.key
    return KeyRow(
        visible(key.name, limit=MAX_NAME),
        key.start,
        tuple(scope.value for scope in key.scopes),
        visible(key.group_id or "all groups", limit=100),
        _state(key, now),
        None if one.used_at is None else when(one.used_at, now),
        visible(one.address or "", limit=60),
        None if key.expires_at is None else when(key.expires_at, now),
    )


def _state(key: ApiKey, now: datetime) -> State:
    if key.revoked_at is not None:
        return State("bad", "x", "revoked")
    if _is_over(key, now):
        return State("quiet", "clock", "expired")
    if key.expires_at is not None and key.expires_at <= now + ENDING_SOON:
        return State("warn", "clock", "ends soon")
    if key.previous_until is not None and key.previous_until > now:
        return State("busy", "rotate-ccw", "being rotated")
    return State("good", "check", "good")


def _is_over(key: ApiKey, now: datetime) -> bool:
    return key.expires_at is not None and key.expires_at <= now


def _fields(group_id: str, said: Mapping[str, Sequence[str]], wrong: Mapping[str, str], *, may_all: bool) -> tuple[Field, ...]:
    def of(name: str, otherwise: str) -> str:
        return next(iter(said.get(name, ())), otherwise)

    groups = [Option(group_id, f"group {visible(group_id, limit=60).plain} alone", of("group", "") == group_id)]
    if may_all:
        groups.append(Option(ALL_GROUPS, "all groups", of("group", "") == ALL_GROUPS))
    return (
        Field(
            "name", "Name", value=of("name", "")[:MAX_NAME], error=wrong.get("name", ""), is_required=True, max_length=MAX_NAME,
            hint="What or whom it is for.",
        ),
        Field("group", "For", "choice", options=tuple(groups), error=wrong.get("group", ""), is_required=True),
        Field(
            "expires_in", "Good for", "choice", error=wrong.get("expires_in", ""), is_required=True,
            options=tuple(Option(value, label, value == of("expires_in", LIFETIMES[0][0])) for value, label in LIFETIMES),
        ),
    )  # fmt: skip
