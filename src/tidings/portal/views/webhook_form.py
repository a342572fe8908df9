"""The form of a webhook: what was typed, what it asks for, and what is shown of it. What was typed stays, right or wrong."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tidings.core.errors import InvalidInputError
from tidings.core.filters import CollectionFilter, TableFilter
from tidings.core.retry import Delays, Policy
from tidings.core.webhook import Subscription
from tidings.operations.webhooks.changes import WebhookChange
from tidings.portal.views.text import duration
from tidings.profiles import PROFILES

Fields = Mapping[str, Sequence[str]]

MAX_TEXT = 20_000  # characters of one field that are read
MAX_CHOSEN = 1_000  # entries of a field of many

PROFILE_LABELS = {
    "standard": "Standard Webhooks",
    "cloudevents": "CloudEvents, attributes in headers",
    "cloudevents-structured": "CloudEvents, all in the body",
    "vivreal": "Vivreal",
    "vivreal-content": "Vivreal, content generation",
    "fluxbase": "Fluxbase",
    "fluxbase-t": "Fluxbase, signature with time",
    "vski": "VSKI",
}


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """A form as it was typed.

    Attributes:
        names: Types and families that are ticked; `*` stands for all.
        more: Further names, one a line.
        tables: `["INSERT", "public", "orders"]` as JSON, one for each box that is ticked.
        collections: `["create", "posts"]`, likewise.
        retry: `profile`, `custom`, or `kept` for a policy that this form cannot say.
    """

    name: str = ""
    description: str = ""
    url: str = ""
    profile: str = "standard"
    names: tuple[str, ...] = ()
    more: str = ""
    tables: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()
    headers: str = ""
    retry: str = "profile"
    delays: str = ""
    timeout: str = ""
    concurrency: str = ""
    rate: str = ""
    ordered: bool = False
    secret: str = ""
    version: str = ""


_MANY = frozenset({"names", "tables", "collections"})


def entered(fields: Fields) -> Entered:
    """Return what was typed into a form; a field that is missing is empty."""
    values: dict[str, Any] = {}
    for name in Entered.__struct_fields__:
        given = fields.get(name, ())
        if name in _MANY:
            values[name] = tuple(value[:MAX_TEXT] for value in given[:MAX_CHOSEN])
        elif name == "ordered":
            values[name] = bool(given)
        else:
            values[name] = (given[0] if given else "")[:MAX_TEXT].replace("\r\n", "\n")
    values["profile"] = values["profile"] or "standard"
    values["retry"] = values["retry"] or "profile"
    return Entered(**values)


def entered_of(webhook: Subscription) -> Entered:
    """Return the form that says what a webhook is."""
    tables, collections, names = [], [], []
    for wanted in webhook.events:
        if isinstance(wanted, TableFilter):
            tables += [table_value(operation, wanted.schema or "public", wanted.table) for operation in wanted.operations]
        elif isinstance(wanted, CollectionFilter):
            collections += [collection_value(action, wanted.collection) for action in wanted.actions]
        else:
            names.append(wanted.name)
    profile = PROFILES.get(webhook.profile)
    retry = webhook.retry
    is_profiles = profile is not None and retry == profile.retry
    kind = "profile" if is_profiles else "custom" if isinstance(retry, Delays) else "kept"
    return Entered(
        name=webhook.name,
        description=webhook.description or "",
        url=webhook.url,
        profile=webhook.profile,
        names=tuple(names),
        tables=tuple(tables),
        collections=tuple(collections),
        headers="\n".join(f"{name}: {value}" for name, value in webhook.headers.items()),
        retry=kind,
        delays=", ".join(_delay(seconds) for seconds in retry.delays) if isinstance(retry, Delays) else "",
        timeout=f"{webhook.timeout_seconds:g}",
        concurrency=str(webhook.concurrency),
        rate="" if webhook.rate_per_second is None else f"{webhook.rate_per_second:g}",
        ordered=webhook.ordered,
        version=str(webhook.version),
    )


def table_value(operation: str, schema: str, table: str) -> str:
    """Return the value of the box of an operation on a table."""
    return msgspec.json.encode((operation, schema, table)).decode()


def collection_value(action: str, collection: str) -> str:
    """Return the value of the box of an action on a collection's records."""
    return msgspec.json.encode((action, collection)).decode()


# What it asks for ----------------------------------------------------------------------------------------------------------


def change_of(form: Entered) -> tuple[WebhookChange, dict[str, str]]:
    """Return what a form asks for, and of each field that cannot be read, why."""
    given: dict[str, Any] = {"url": form.url.strip(), "profile": form.profile, "ordered": form.ordered}
    errors: dict[str, str] = {}
    if form.name.strip():
        given["name"] = form.name.strip()
    given["description"] = form.description.strip() or None
    given["events"] = _read(errors, "events", _events, form) or ["*"]
    given["headers"] = _read(errors, "headers", headers_of_lines, form.headers) or {}
    if form.retry == "custom":
        given["retry"] = {"delays": _read(errors, "delays", _delays, form.delays) or []}
    elif form.retry == "profile" and form.profile in PROFILES:
        given["retry"] = msgspec.to_builtins(PROFILES[form.profile].retry)
    given |= _figures(errors, form)
    if form.secret.strip():
        given["secret"] = form.secret.strip()
    return WebhookChange(**given), errors


def _read(errors: dict[str, str], field: str, reader: Any, value: Any) -> Any:
    try:
        return reader(value)
    except InvalidInputError as error:
        errors[field] = error.message
        return None


def _figures(errors: dict[str, str], form: Entered) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for field, text, name, kind, example in (
        ("timeout", form.timeout, "timeout_seconds", float, "30"),
        ("concurrency", form.concurrency, "concurrency", int, "10"),
        ("rate", form.rate, "rate_per_second", float, "5"),
    ):
        if not text.strip():
            continue
        try:
            said[name] = kind(text.strip())
        except ValueError:
            errors[field] = f"{text.strip()[:40]!r} is no number; write one such as {example}."
    if not form.rate.strip():
        said["rate_per_second"] = None
    return said


def _events(form: Entered) -> list[Any]:
    events: list[Any] = list(form.names)
    events += [name for line in form.more.split("\n") for part in line.split(",") if (name := part.strip())]
    for values, key, action in ((form.tables, "table", "operations"), (form.collections, "collection", "actions")):
        grouped: dict[tuple[str, ...], list[str]] = {}
        for value in values:
            what, *named = _box(value, 3 if key == "table" else 2)
            grouped.setdefault(tuple(named), []).append(what)
        for place_of, wanted in grouped.items():
            place = (
                {key: place_of[-1]} if key != "table" or place_of[1] == "*" else {"schema": place_of[0], "table": place_of[1]}
            )
            events.append(place | {action: wanted})
    if not events:
        raise InvalidInputError("events", "Nothing is chosen. Tick what it shall hear of.")
    return events


def _box(value: str, length: int) -> list[str]:
    try:
        parts = msgspec.json.decode(value, type=list[str])
    except (msgspec.MsgspecError, UnicodeError):
        parts = []
    if len(parts) != length:
        raise InvalidInputError("events", f"{value[:60]!r} is none of the boxes. Load the page again.")
    return parts


def headers_of_lines(text: str) -> dict[str, str]:
    """Return headers from lines of `Name: value`.

    Raises:
        InvalidInputError: A line has no colon.
    """
    found: dict[str, str] = {}
    for line in text.split("\n"):
        if not line.strip():
            continue
        name, colon, value = line.partition(":")
        if not colon:
            raise InvalidInputError("headers", f"{line[:60]!r} has no colon; write Name: value, one in a line.")
        found[name.strip()] = value.strip()
    return found


_UNITS = {"": 1, "s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400}
_DELAY = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d|)")


def _delays(text: str) -> list[float]:
    found = []
    for part in re.split(r"[,;\n]", text):
        if not part.strip():
            continue
        matched = _DELAY.fullmatch(part.strip().lower())
        if matched is None:
            raise InvalidInputError("delays", f"{part.strip()[:40]!r} is no delay; write 5 s, 5 min, 2 h or 1 d, with commas.")
        found.append(float(matched[1]) * _UNITS[matched[2]])
    return found


def _delay(seconds: float) -> str:
    for unit in ("d", "h", "min"):
        if seconds and seconds % _UNITS[unit] == 0:
            return f"{seconds / _UNITS[unit]:g} {unit}"
    return f"{seconds:g} s"


def policy_words(policy: Policy) -> str:
    """Return when a policy tries again, in words."""
    if isinstance(policy, Delays):
        if not policy.delays:
            return "never again"
        said = ", ".join(_delay(seconds) for seconds in policy.delays)
        return f"{len(policy.delays)} times: {said}"
    longest = duration(policy.max * 1000)
    return f"{policy.tries - 1} times: {_delay(policy.base)}, each time {policy.factor:g} times as long, at most {longest}"


# Whose field an error is ---------------------------------------------------------------------------------------------------

_FIELDS = {
    "timeout_seconds": "timeout",
    "rate_per_second": "rate",
    "retry": "delays",
}


def field_of(error: InvalidInputError) -> str:
    """Return the field of the form that an error of what it asks for belongs to; empty: to none."""
    root = re.split(r"[.\[]", error.field)[0]
    field = _FIELDS.get(root, root)
    return field if field in {*Entered.__struct_fields__, "events"} else ""
