"""The sections of a file of configuration: what a thing of each is, and how it reads in a server's answer.

An entry of the file and a thing of a server are brought into one form, so that they can be compared: the one that the server
shows. It is made by the server's own functions, which decide nothing else and read nothing.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET

from tidings.cli.remote.configuration import entries
from tidings.core.collection import parse_fields
from tidings.core.errors import InvalidInputError
from tidings.core.filters import OPERATIONS
from tidings.core.group import check_group_id
from tidings.core.narrowing import NarrowingForm, parse_narrowing
from tidings.core.retry import retry_count
from tidings.core.schedule import parse_schedule
from tidings.core.table_name import parse_name, short_name
from tidings.operations.webhooks.changes import WebhookChange, drafted
from tidings.operations.webhooks.shown import shown
from tidings.profiles import PROFILES
from tidings.store.integrations import Settings

Fields = dict[str, Any]


class Kind(NamedTuple):
    """A section.

    Attributes:
        section: Its name in the file; after a dot, within `installation`.
        one: One of its things, in sentences.
        entry: What the file says of one.
        normal: Brings what the file says of a thing into the form that a server's answer has.
        read: Takes the same out of a server's answer.
        is_named: It has things by names; else it is one thing, called by the section's name.
        sealed: Fields that can be set and never read.
        variables: Paths, with `*` for any name, where `{env: NAME}` may stand for a text.
        implied: How a thing is of which nothing was said, where there is no other; None: such a thing is not there.
        is_pruned: `--prune` removes what the file does not have.
    """

    section: str
    one: str
    entry: type[msgspec.Struct]
    normal: Callable[[str, Any], Fields]
    read: Callable[[Any], Fields]
    is_named: bool = True
    sealed: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    implied: Fields | None = None
    is_pruned: bool = True


def _plain(entry: Any) -> Fields:
    """Return the fields of an entry that are said, or have something of their own when they are not."""
    return {name: value for name, value in msgspec.structs.asdict(entry).items() if value is not UNSET}


def _picked(entry: type[msgspec.Struct], *without: str) -> Callable[[Any], Fields]:
    names = [name for name in entries.fields_of(entry) if name not in without]

    def read(said: Any) -> Fields:
        return {name: said[name] for name in names}

    return read


# Webhooks --------------------------------------------------------------------------------------------------------------

_READABLE: Final = tuple(name for name in entries.fields_of(entries.WebhookEntry) if name != "secret")


def _normal_webhook(name: str, entry: entries.WebhookEntry) -> Fields:
    said = _plain(entry)
    # Any profile's secret would do: it is not compared. What the profile makes of it says the server.
    change = msgspec.convert({key: one for key, one in said.items() if key != "secret"} | {"name": name}, WebhookChange)
    told = shown(drafted(change, group_id="default", default_profile=entry.profile, now=_now()))
    stays = {field for field in ("enabled", "auth", "client_certificate", "ca_certificates") if field not in said}
    return {field: _filters(told[field]) if field == "events" else told[field] for field in _READABLE if field not in stays}


def _read_webhook(said: Any) -> Fields:
    return {field: _filters(said[field]) if field == "events" else said[field] for field in _READABLE}


def _filters(events: list[Any]) -> list[Any]:
    """Return filters with the schema of each table, which the server finds out when a webhook is made."""
    found = []
    for one in events:
        if isinstance(one, dict) and one.get("table") not in {None, "*"} and one["schema"] is None:
            schema, dot, table = one["table"].partition(".")
            found.append(one | {"schema": schema if dot else "public", "table": table if dot else schema})
        else:
            found.append(one)
    return found


def _now() -> datetime:
    return datetime.min.replace(tzinfo=UTC)  # a certificate that has ended is refused by the server, which has the time


# Jobs ------------------------------------------------------------------------------------------------------------------

_OF_REQUESTS: Final = ("method", "headers", "body", "contentType", "retryLimit", "jwtEnabled")


def _normal_job(_: str, entry: entries.JobEntry) -> Fields:
    said = _plain(entry)
    if ("url" in said) == ("sql" in said):
        raise InvalidInputError("url", "A job has url, for a request, or sql; write one of them.")
    said["schedule"] = parse_schedule(entry.schedule, entry.timezone).expression
    if "sql" in said:
        plain = entries.JobEntry(schedule="")
        if field := next((f for f in _OF_REQUESTS if getattr(entry, f) != getattr(plain, f)), None):
            raise InvalidInputError(field, f"{field} is for jobs with url; this one has sql.")
        return {name: value for name, value in said.items() if name not in _OF_REQUESTS}
    body = entry.body
    said["method"] = entry.method.upper()
    said["body"] = body if body is None or isinstance(body, str) else msgspec.json.encode(body).decode()
    said.setdefault("retryLimit", retry_count(PROFILES["vski"].retry))
    return said


def _read_job(said: Any) -> Fields:
    names = [
        name for name in entries.fields_of(entries.JobEntry) if name not in (_OF_REQUESTS if said["type"] == "sql" else ())
    ]
    return {name: said[name] for name in names if not (name in {"url", "sql"} and said[name] is None)}


# The others ------------------------------------------------------------------------------------------------------------


def _normal_event_type(_: str, entry: entries.EventTypeEntry) -> Fields:
    return _plain(entry)


def _normal_table(name: str, entry: entries.TableEntry) -> Fields:
    schema, table = parse_name(name)
    if short_name(schema or "public", table) != name:
        raise InvalidInputError("", f"{name} is written {short_name(schema or 'public', table)}.")
    return _plain(entry) | {
        "exclude": list(dict.fromkeys(entry.exclude)),
        "changed": list(dict.fromkeys(entry.changed)),
        "when": dict.fromkeys(OPERATIONS, entry.when) if isinstance(entry.when, str) else entry.when,
    }


def _normal_collection(_: str, entry: entries.CollectionEntry) -> Fields:
    fields = parse_fields(entry.schema, entry.type)
    return {"type": entry.type, "schema": msgspec.to_builtins(list(fields)), "options": entry.options}


def _read_collection(said: Any) -> Fields:
    return {
        "type": said["type"],
        "schema": msgspec.to_builtins(list(parse_fields(said["schema"], said["type"]))),
        "options": said["options"],
    }


def _normal_integration(_: str, entry: entries.IntegrationEntry) -> Fields:
    settings = {"settings": _integration_settings(entry.settings)}
    return {name: value for name, value in (_plain(entry) | settings).items() if name != "secret"}


def _read_integration(said: Any) -> Fields:
    return {"platform": said["platform"], "settings": _integration_settings(said["settings"]), "enabled": said["enabled"]}


def _integration_settings(given: Mapping[str, Any]) -> Any:
    try:
        return msgspec.to_builtins(msgspec.convert(given, Settings))
    except msgspec.ValidationError as error:
        raise InvalidInputError("settings", f"settings: {error}.") from error


def _normal_rule(_: str, entry: entries.RedactionEntry) -> Fields:
    hides = bool(entry.fields) or entry.subject
    return {"responses": "none" if hides else "full"} | _plain(entry)


def _normal_egress(_: str, entry: entries.EgressEntry) -> Fields:
    form = parse_narrowing(msgspec.convert(_plain(entry), NarrowingForm)).form
    return {name: list(value) if isinstance(value, tuple) else value for name, value in msgspec.structs.asdict(form).items()}


def _normal_group(name: str, _: entries.GroupEntry) -> Fields:
    check_group_id(name, "")
    return {}


def _as_it_is(_: str, entry: Any) -> Fields:
    return _plain(entry)


_LIMITS: Final = _picked(entries.LimitsEntry)
_EGRESS: Final = _picked(entries.EgressEntry)
_TABLES: Final = _picked(entries.TableEntry)

# In the order in which they stand on each other.
KINDS: Final = (
    Kind("installation.groups", "group", entries.GroupEntry, _normal_group, lambda _: {}, is_pruned=False),
    Kind("installation.limits", "limits of all groups", entries.LimitsEntry, _as_it_is, _LIMITS,
         is_named=False, is_pruned=False),
    Kind("installation.tables", "table", entries.TableEntry, _normal_table, _TABLES,
         implied=_normal_table("t", entries.TableEntry())),
    Kind("limits", "limits", entries.LimitsEntry, _as_it_is, _LIMITS, is_named=False, is_pruned=False),
    Kind("egress", "egress", entries.EgressEntry, _normal_egress, _EGRESS, is_named=False, is_pruned=False),
    Kind("event_types", "event type", entries.EventTypeEntry, _normal_event_type, _picked(entries.EventTypeEntry)),
    Kind("collections", "collection", entries.CollectionEntry, _normal_collection, _read_collection,
         variables=("options.triggers.*.url", "options.triggers.*.headers.*"), is_pruned=False),
    Kind("integrations", "integration", entries.IntegrationEntry, _normal_integration, _read_integration,
         sealed=("secret",), variables=("secret",)),
    Kind("webhooks", "webhook", entries.WebhookEntry, _normal_webhook, _read_webhook,
         sealed=("secret", "auth.password", "auth.client_secret"),
         variables=("url", "secret", "auth.*", "client_certificate.*", "ca_certificates", "headers.*")),
    Kind("jobs", "job", entries.JobEntry, _normal_job, _read_job, variables=("url", "headers.*")),
    Kind("redaction", "redaction rule", entries.RedactionEntry, _normal_rule, _picked(entries.RedactionEntry)),
)  # fmt: skip
BY_SECTION: Final = {kind.section: kind for kind in KINDS}
# What must never stand in a file that is kept in git, but come from a variable.
SECRET: Final = frozenset({"secret", "auth.password", "auth.client_secret", "client_certificate.key"})
