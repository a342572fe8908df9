"""A webhook: what its owner asked for, checked where it is made."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from tidings.core.errors import InvalidInputError
from tidings.core.event import OPERATIONAL, Event
from tidings.core.near import did_you_mean
from tidings.core.retry import STANDARD, Policy
from tidings.core.target import is_host
from tidings.core.vocabulary import CONTENT_ACTIONS, OPEN, Vocabulary

OPERATIONS = ("INSERT", "UPDATE", "DELETE")
MAX_NAME_LENGTH = 200
MAX_URL_LENGTH = 2048
MAX_HEADER_VALUE_BYTES = 8192  # seed 004's system draws the line here
MAX_TIMEOUT_SECONDS = 300
MAX_FILTERS = 1000
MAX_FAULT_LENGTH = 1000

_TYPE = re.compile(r"[^\s.*\x00]+(\.[^\s.*\x00]+)*")
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, section 5.6.2, token
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
METHODS = ("POST", "PUT", "PATCH", "DELETE", "GET")

# Hop-by-hop fields (RFC 9110, section 7.6.1) and those that the sender itself must get right.
_RESERVED_HEADERS = frozenset({
    "connection", "content-length", "expect", "host", "keep-alive", "proxy-authenticate", "proxy-authorization",
    "te", "trailer", "trailers", "transfer-encoding", "upgrade",
})  # fmt: skip


# What a filter is looked up by (`core.routing`): an event type, or a family as it is written (`order.*`, `*`); an operation on
# any table, (operation,), or on one, (operation, schema, table); a type of one collection's records, (collection, type).
Kind = str | tuple[str | None, ...]


class TableFilter(msgspec.Struct, frozen=True):
    """Changes of one table, or of every captured table when `table` is `*`."""

    table: str
    schema: str | None = None
    operations: tuple[str, ...] = OPERATIONS

    def matches(self, event: Event) -> bool:
        """Tell whether the event is a change this filter names."""
        if event.source != "tables" or event.operation not in self.operations:
            return False
        return self.table == "*" or (self.table == event.table_name and self.schema == event.table_schema)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of event it matches."""
        table = () if self.table == "*" else (self.schema, self.table)
        return tuple((operation, *table) for operation in self.operations)


class TypeFilter(msgspec.Struct, frozen=True):
    """A single event type, a family such as `content.*`, or `*`, by the names of the webhook's profile.

    Attributes:
        name: As the webhook's owner wrote it.
        types: Our types and families it stands for. A family is `*`, or ends in `.*`.
        operations: Operations on any captured table it stands for as well.
    """

    name: str
    types: tuple[str, ...]
    operations: tuple[str, ...] = ()

    def matches(self, event: Event) -> bool:
        """Tell whether the event's type is one of those named, or of a family named."""
        if event.operation in self.operations and event.source == "tables":
            return True
        types = self.types if event.source != OPERATIONAL else [type_ for type_ in self.types if type_ != "*"]
        return any(event.type.startswith(t[:-1]) if t.endswith("*") else event.type == t for t in types)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of event it matches."""
        return (*self.types, *((operation,) for operation in self.operations))


class CollectionFilter(msgspec.Struct, frozen=True):
    """What is done to the records of one collection.

    Attributes:
        types: Our types that the actions stand for, by the profile's words: where one has no word for publishing, that is an
            update.
    """

    collection: str
    actions: tuple[str, ...]
    types: tuple[str, ...]

    def matches(self, event: Event) -> bool:
        """Tell whether the event is one of these actions on a record of the collection."""
        return event.source == "collections" and event.table_name == self.collection and event.type in self.types

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of event it matches."""
        return tuple((self.collection, type_) for type_ in self.types)


Filter = TableFilter | TypeFilter | CollectionFilter

SIGNATURE_FORMATS = ("hex", "sha256=hex", "base64", "t=,v1=")


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signature sent instead of the profile's own, for receivers that verify another system's.

    Attributes:
        header: The header's name.
        format: `hex`, `sha256=hex` or `base64` of HMAC-SHA256 over the body; `t=,v1=` over the time, a dot and the body.
    """

    header: str
    format: str = "hex"


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook without its secrets: where to send, what, how, and how often to try.

    Attributes:
        version: Counts the changes of anything here or of the secrets; history names it.
        signature: Instead of the profile's own.
        asymmetric: Sign with the installation's ed25519 key too (`v1a`; Standard Webhooks headers only).
        body_template: JSON with placeholders, instead of the profile's body (see `profiles.template`).
        jwt_enabled: Send `Authorization: Bearer` with a token signed by this installation.
        timeout_seconds: For a whole exchange, from DNS to the response's last byte.
        concurrency: How many attempts may be under way at once, over all workers.
        rate_per_second: How many attempts may start in a second, over all workers; None: no limit.
        ordered: One at a time, in the order of events; a failing delivery holds back those behind it.
        managed_by: `collection:<id>` or `cron:<id>`, where it is changed; None: by its owner.
        disabled_reason: Why Tidings disabled it; None when its owner did, or it is enabled.
        fault: Why it is set aside, when something of it cannot be read as it is stored; a sentence with the remedy.
        problems: Of each field that cannot be read, why. The field itself says nothing then.
    """

    id: UUID
    group_id: str
    name: str
    url: str
    created_at: datetime
    updated_at: datetime
    version: int = 1
    description: str | None = None
    enabled: bool = True
    disabled_reason: str | None = None
    profile: str = "standard"
    asymmetric: bool = False
    signature: Signature | None = None
    body_template: str | None = None
    jwt_enabled: bool = False
    events: tuple[Filter, ...] = ()
    method: str = "POST"
    headers: dict[str, str] = {}
    timeout_seconds: float = 30.0
    retry: Policy = STANDARD
    concurrency: int = 100
    rate_per_second: float | None = None
    ordered: bool = False
    managed_by: str | None = None
    fault: str | None = None
    problems: dict[str, str] = {}

    def wants(self, event: Event) -> bool:
        """Tell whether any of its filters matches the event."""
        return any(wanted.matches(event) for wanted in self.events)

    @property
    def tables(self) -> dict[tuple[str, str], frozenset[str]]:
        """The tables it names, by schema and name, with the operations it wants of each; none while Tidings has disabled it.

        While its owner has paused it they are captured all the same: what comes then can be recovered.
        """
        named: dict[tuple[str, str], frozenset[str]] = {}
        for item in self.events if self.enabled or self.disabled_reason is None else ():
            if isinstance(item, TableFilter) and item.table != "*":
                table = (item.schema or "public", item.table)
                named[table] = named.get(table, frozenset()) | set(item.operations)
        return named


W = TypeVar("W", bound="Subscription")


class Webhook(Subscription, frozen=True, kw_only=True):
    """A subscription with its secrets: all that its requests are made from.

    Attributes:
        secret: As its owner sees it.
        previous_secret: The one before, which verifies until `previous_secret_until` as well.
    """

    secret: str
    previous_secret: str | None = None
    previous_secret_until: datetime | None = None


def with_secret(subscription: Subscription, secret: str) -> Webhook:
    """Return the webhook with another secret, which is the only one that verifies from now on."""
    fields = {name: getattr(subscription, name) for name in Subscription.__struct_fields__}
    return Webhook(**fields, secret=secret)


def with_problems(subscription: W, problems: dict[str, str]) -> W:
    """Return the webhook with what of it cannot be read, and the sentence that tells its owner."""
    fault = fault_of(subscription.id, problems) if problems else None
    return msgspec.structs.replace(subscription, fault=fault, problems=problems)


def fault_of(webhook_id: UUID, problems: dict[str, str]) -> str:
    """Return the sentence that tells why a webhook is set aside, and the remedy.

    Args:
        problems: Of each field that cannot be read, why.
    """
    remedy = f"Write {'it' if len(problems) == 1 else 'them'} anew: PATCH /api/v1/webhooks/{webhook_id}."
    if "profile" in problems:
        remedy = "Run a version of Tidings that knows the profile, or delete the webhook."
    told = f"Set aside, since {' and '.join(problems)} cannot be read. {' '.join(problems.values())}"
    return f"{told[: MAX_FAULT_LENGTH - 1 - len(remedy)]} {remedy}"


def parse_filter(item: Any, position: int, vocabulary: Vocabulary = OPEN) -> Filter:
    """Read one entry of `events`, by the names of a profile.

    `table.orders.updated` and `table.sales.orders.*` are read as the table filters they stand for, so that the
    tables they name are captured.

    Raises:
        InvalidInputError: It is neither a type, a family nor a table filter.
    """
    field = f"events[{position}]"
    if isinstance(item, dict) and "collection" in item:
        return _parse_collection_filter(item, field, vocabulary)
    if isinstance(item, dict):
        return _parse_table_filter(item, field)
    if not isinstance(item, str):
        raise InvalidInputError(field, f'{field} must be an event type such as "order.paid", or {{"table": "orders"}}.')
    if item == "*":
        return type_filter(item, vocabulary, field)
    if not _TYPE.fullmatch(item.removesuffix(".*")) or len(item) > MAX_NAME_LENGTH:
        raise InvalidInputError(
            field,
            f'{field} is {item!r}; write a type such as "order.paid", a family such as "order.*", or "*" for all.',
        )
    if item.startswith("table.") and item != "table.*":
        return _parse_table_type(item, field)
    return type_filter(item, vocabulary, field)


def type_filter(name: str, vocabulary: Vocabulary = OPEN, field: str = "events") -> TypeFilter:
    """Return the filter a name stands for.

    Raises:
        InvalidInputError: The profile has no event of that name.
    """
    return TypeFilter(name, vocabulary.types_named(name, field), vocabulary.operations_named(name))


def _parse_table_type(item: str, field: str) -> TableFilter:
    actions = {"inserted": ("INSERT",), "updated": ("UPDATE",), "deleted": ("DELETE",), "*": OPERATIONS}
    _, *names, action = item.split(".")
    if len(names) not in {1, 2} or action not in actions:
        raise InvalidInputError(
            field,
            f"{field} is {item!r}; write table.<name>.inserted, .updated, .deleted or .*, with the schema before the "
            f'name outside public; for a name with dots write {{"schema": …, "table": …}}.{did_you_mean(action, actions)}',
        )
    schema = names[0] if len(names) == 2 else "public"
    return TableFilter(table=names[-1], schema=schema, operations=actions[action])


def _parse_table_filter(item: dict[str, Any], field: str) -> TableFilter:
    unknown = sorted(set(item) - {"table", "schema", "operations"})
    if unknown:
        raise InvalidInputError(f"{field}.{unknown[0]}", f"{field} has the unknown field {unknown[0]!r}.")
    table, schema = item.get("table"), item.get("schema")
    if not isinstance(table, str) or not table:
        raise InvalidInputError(f"{field}.table", f"{field}.table must be the name of a table.")
    if schema is not None and (not isinstance(schema, str) or not schema):
        raise InvalidInputError(f"{field}.schema", f"{field}.schema must be the name of a schema.")
    operations = item.get("operations", ["*"])
    if not isinstance(operations, list) or not operations:
        raise InvalidInputError(f"{field}.operations", f"{field}.operations must be a list with at least one entry.")
    wanted: set[str] = set()
    for operation in operations:
        name = operation.upper() if isinstance(operation, str) else ""
        if name not in {*OPERATIONS, "*"}:
            raise InvalidInputError(
                f"{field}.operations",
                f"{field}.operations has {operation!r}; write INSERT, UPDATE, DELETE or *."
                f"{did_you_mean(name, OPERATIONS) or ' TRUNCATE is not captured.'}",
            )
        wanted |= set(OPERATIONS) if name == "*" else {name}
    return TableFilter(table=table, schema=schema, operations=tuple(o for o in OPERATIONS if o in wanted))


def _parse_collection_filter(item: dict[str, Any], field: str, vocabulary: Vocabulary) -> CollectionFilter:
    unknown = sorted(set(item) - {"collection", "actions"})
    if unknown:
        raise InvalidInputError(f"{field}.{unknown[0]}", f"{field} has the unknown field {unknown[0]!r}.")
    collection, actions = item["collection"], item.get("actions", ["*"])
    if not isinstance(collection, str) or not collection:
        raise InvalidInputError(f"{field}.collection", f"{field}.collection must be the name of a collection.")
    if not isinstance(actions, list) or not actions:
        raise InvalidInputError(f"{field}.actions", f"{field}.actions must be a list with at least one entry.")
    for action in actions:
        if action not in {*CONTENT_ACTIONS, "*"}:
            near = did_you_mean(str(action), CONTENT_ACTIONS)
            known = ", ".join(CONTENT_ACTIONS)
            raise InvalidInputError(f"{field}.actions", f"{field}.actions has {action!r}; write {known} or *.{near}")
    return collection_filter(collection, actions, vocabulary)


def collection_filter(collection: str, actions: Sequence[str], vocabulary: Vocabulary = OPEN) -> CollectionFilter:
    """Return the filter of known actions on a collection's records."""
    wanted = tuple(name for name in CONTENT_ACTIONS if name in actions or "*" in actions)
    types = {type_ for name in wanted for type_ in vocabulary.told_as(CONTENT_ACTIONS[name])}
    return CollectionFilter(collection, wanted, tuple(sorted(types)))


def check_url(url: str, *, allow_http: bool) -> None:
    """Refuse what cannot be a webhook's URL; whether its address may be called is decided when it is resolved.

    Raises:
        InvalidInputError: With the reason.
    """
    if len(url) > MAX_URL_LENGTH:
        raise InvalidInputError("url", f"url is longer than {MAX_URL_LENGTH} characters.")
    if not url.isascii() or any(c <= " " or c == "\x7f" for c in url):
        raise InvalidInputError("url", "url must be ASCII without blanks; percent-encode paths, punycode host names.")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidInputError("url", f"url is not a URL: {error}.") from error
    if parts.scheme not in {"http", "https"}:
        raise InvalidInputError("url", f"url must begin with https://, not {parts.scheme or 'nothing'!r}.")
    if parts.scheme == "http" and not allow_http:
        raise InvalidInputError("url", "url must begin with https:// (TIDINGS_ALLOW_HTTP=true allows http).")
    if not host:
        raise InvalidInputError("url", "url names no host.")
    if not is_host(host):
        raise InvalidInputError("url", f"url names a host, {host!r}, that is neither a name nor an address.")
    if parts.username is not None or parts.password is not None:
        raise InvalidInputError("url", "url must not carry a user name or password; set an Authorization header.")


def check_headers(headers: dict[str, str]) -> None:
    """Refuse headers that would break or redirect the request.

    Raises:
        InvalidInputError: With the header's name and the reason.
    """
    for name, value in headers.items():
        field = f"headers.{name}"
        if not _HEADER_NAME.fullmatch(name):
            raise InvalidInputError("headers", f"header name {name!r} contains invalid characters.")
        if name.lower() in _RESERVED_HEADERS:
            raise InvalidInputError(field, f"header '{name}' is not allowed to be overridden.")
        if not _HEADER_VALUE.fullmatch(value):
            raise InvalidInputError(field, f"header value of '{name}' contains invalid characters.")
        if len(value.encode()) > MAX_HEADER_VALUE_BYTES:
            raise InvalidInputError(field, f"header '{name}' exceeds maximum length of {MAX_HEADER_VALUE_BYTES} bytes.")


def check_signature(signature: Signature) -> None:
    """Refuse a signature that cannot be sent.

    Raises:
        InvalidInputError: With what to write.
    """
    if signature.format not in SIGNATURE_FORMATS:
        known = ", ".join(f'"{name}"' for name in SIGNATURE_FORMATS)
        raise InvalidInputError("signature.format", f"signature.format is {signature.format!r}; write one of {known}.")
    if not _HEADER_NAME.fullmatch(signature.header) or signature.header.lower() in _RESERVED_HEADERS:
        raise InvalidInputError("signature.header", f"signature.header {signature.header!r} cannot carry a signature.")


def check_settings(webhook: Subscription) -> None:
    """Refuse figures out of bounds and names that do not exist.

    Raises:
        InvalidInputError: With the field and what to write.
    """
    if not 1 <= len(webhook.name) <= MAX_NAME_LENGTH:
        raise InvalidInputError("name", f"name must have 1 to {MAX_NAME_LENGTH} characters.")
    if webhook.method not in METHODS:
        raise InvalidInputError("method", f"method is {webhook.method!r}; write one of {', '.join(METHODS)}.")
    if not 0.1 <= webhook.timeout_seconds <= MAX_TIMEOUT_SECONDS:
        raise InvalidInputError("timeout_seconds", f"timeout_seconds must be 0.1 to {MAX_TIMEOUT_SECONDS}.")
    if not 1 <= webhook.concurrency <= 1000:
        raise InvalidInputError("concurrency", "concurrency must be 1 to 1000.")
    if webhook.rate_per_second is not None and not 0.001 <= webhook.rate_per_second <= 100_000:
        raise InvalidInputError("rate_per_second", "rate_per_second must be 0.001 to 100000, or null for no limit.")
