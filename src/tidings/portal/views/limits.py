"""Limits of the group that is shown, and what is used of them, as the page shows them."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from tidings.core.errors import InvalidInputError
from tidings.core.limits import NAMES, Limits
from tidings.operations.limits import COUNTED_WEBHOOKS, GroupLimits
from tidings.portal.views.lists import Field
from tidings.portal.views.sections import SETTINGS, Section, sections
from tidings.portal.views.small import Progress
from tidings.portal.views.text import Shown, number, size, visible

PATH = "/settings/limits"
DEFAULTS_PATH = f"{PATH}/defaults"
MAX_DIGITS: Final = 20

_LABELS: Final = {
    "webhooks": ("Webhooks", "How many there may be."),
    "events_per_second": (
        "Events a second",
        "How many may be published. What captured changes add is never refused.",
    ),
    "events_burst": ("Events at once", "After a pause; empty: as many as a second's."),
    "stored_bytes": ("Bytes kept", "Of records and of what receivers answered, for as long as history is kept."),
    "payload_bytes": ("Bytes of one event", "Of its data. A captured change that is larger is set aside."),
}


class LimitRow(msgspec.Struct, frozen=True):
    """A limit and what is used of it. `over`: why it is more than that; `bar`: None where there is nothing to fill."""

    label: str
    said: str
    over: str
    bar: Progress | None


class LimitsView(msgspec.Struct, frozen=True):
    """The limits of a group.

    Attributes:
        fields: Of the form that changes them; none for whoever may not.
        defaults: Where those of all groups are shown; empty: whoever looks may act for one group alone.
    """

    sections: tuple[Section, ...]
    group: Shown
    is_own: bool
    rows: tuple[LimitRow, ...]
    fields: tuple[Field, ...]
    defaults: str


class DefaultsView(msgspec.Struct, frozen=True):
    """The limits of all groups that have none of their own: each with its label. `fields`: as of `LimitsView`."""

    sections: tuple[Section, ...]
    rows: tuple[LimitRow, ...]
    fields: tuple[Field, ...]


def limits_view(
    found: GroupLimits,
    *,
    may_change: bool,
    sees_all: bool,
    written: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
) -> LimitsView:
    """Return the limits of a group.

    Args:
        sees_all: Whoever looks may act for all groups.
        written: What somebody wrote into the form, to be shown again.
        errors: Field to what is wrong with it.
    """
    over = {one.limit for one in found.over}
    fields = tuple(_field(found.limits, name, written, errors or {}) for name in NAMES) if may_change else ()
    defaults = DEFAULTS_PATH if sees_all else ""
    return LimitsView(sections(SETTINGS, PATH), visible(found.group_id), found.is_own, _rows(found, over), fields, defaults)


def defaults_view(
    found: Limits, *, may_change: bool, written: Mapping[str, str] | None = None, errors: Mapping[str, str] | None = None
) -> DefaultsView:
    """Return the limits of all groups that have none of their own; `written` and `errors` as of `limits_view`."""
    rows = tuple(LimitRow(_LABELS[name][0], _said(name, getattr(found, name)), "", None) for name in NAMES)
    fields = tuple(_field(found, name, written, errors or {}) for name in NAMES) if may_change else ()
    return DefaultsView(sections(SETTINGS, PATH), rows, fields)


def _said(name: str, limit: int | None) -> str:
    if limit is None:
        return "as many as a second's" if name == "events_burst" else "no limit"
    return f"at most {size(limit) if name.endswith('_bytes') else number(limit)}"


def _rows(found: GroupLimits, over: set[str]) -> tuple[LimitRow, ...]:
    limits, used = found.limits, found.used
    webhooks = f"{'at least ' if used.webhooks >= COUNTED_WEBHOOKS else ''}{number(used.webhooks)}"
    pace = f"{number(used.events_per_second)} of late"
    if used.events_left is not None:
        pace += f", {number(used.events_left)} may be published at once now"
    rate = limits.events_per_second
    return (
        _row("webhooks", webhooks, used.webhooks, limits.webhooks, over, number),
        _row("events_per_second", pace, round(used.events_per_second), rate, over, number),
        _row("stored_bytes", size(used.stored_bytes), used.stored_bytes, limits.stored_bytes, over, size),
        LimitRow(_LABELS["payload_bytes"][0], _at_most(limits.payload_bytes), "", None),
    )


def _at_most(limit: int | None) -> str:
    return "no limit" if limit is None else f"at most {size(limit)}"


def _row(name: str, said: str, done: int, whole: int | None, over: set[str], shown: Callable[[int], str]) -> LimitRow:
    label = _LABELS[name][0]
    if whole is None:
        return LimitRow(label, f"{said}; no limit", "", None)
    sentence = f"{said}, of {shown(whole)}"
    is_over = name in over or done > whole
    told = "More than the limit, which refuses what is published or made and leaves what is there." if is_over else ""
    return LimitRow(label, sentence, told, Progress(label, min(done, whole), max(whole, 1), f"{shown(done)} of {shown(whole)}"))


def _field(found: Limits, name: str, written: Mapping[str, str] | None, errors: Mapping[str, str]) -> Field:
    label, hint = _LABELS[name]
    now = getattr(found, name)
    value = "" if now is None else str(now)
    return Field(
        name, label, value=value if written is None else written.get(name, ""), hint=hint, error=errors.get(name, ""),
        max_length=MAX_DIGITS, when_empty="empty: no limit",
    )  # fmt: skip


def asked_of(form: Mapping[str, str]) -> dict[str, int | None]:
    """Return the limits that a form asks for: an empty field is no limit, one that is missing is left as it is.

    Raises:
        InvalidInputError: One is no number.
    """
    asked: dict[str, int | None] = {}
    for name in NAMES:
        if name in form:
            text = "".join(form[name].split()).replace(",", "")
            if text and not (text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS):
                raise InvalidInputError(name, "Write a whole number, or leave it empty for no limit.")
            asked[name] = int(text) if text else None
    return asked
