"""A webhook: what its owner asked for, checked where it is made."""

import re
from datetime import datetime
from typing import TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from tidings.core.credentials import NOTHING, NOTHING_SHOWN, Credentials, Shown
from tidings.core.errors import InvalidInputError
from tidings.core.event import Event
from tidings.core.filters import Filter, TableFilter
from tidings.core.narrowing import Narrowing
from tidings.core.retry import STANDARD, Policy
from tidings.core.target import Way, is_host

MAX_NAME_LENGTH = 200
MAX_URL_LENGTH = 2048
MAX_HEADER_VALUE_BYTES = 8192  # seed 004's system draws the line here
MAX_TIMEOUT_SECONDS = 300
MAX_FAULT_LENGTH = 1000
LISTENER = "listener:"  # what a listener is managed by begins so; statements know it too

_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, section 5.6.2, token
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
METHODS = ("POST", "PUT", "PATCH", "DELETE", "GET")

# Hop-by-hop fields (RFC 9110, section 7.6.1) and those that the sender itself must get right.
_RESERVED_HEADERS = frozenset({
    "connection", "content-length", "expect", "host", "keep-alive", "proxy-authenticate", "proxy-authorization",
    "te", "trailer", "trailers", "transfer-encoding", "upgrade",
})  # fmt: skip


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
        managed_by: `collection:<id>`, `cron:<id>` or `listener:<name>`, where it is changed; None: by its owner.
        disabled_reason: Why Tidings disabled it; None when its owner did, or it is enabled.
        credentials_shown: What may be known of its credentials.
        narrowing: What its group may not call; no part of its versions.
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
    narrowing: Narrowing | None = None
    credentials_shown: Shown = NOTHING_SHOWN
    fault: str | None = None
    problems: dict[str, str] = {}

    @property
    def is_listener(self) -> bool:
        """Whether its deliveries are leased to a client that asks for them, and never sent by workers."""
        return self.managed_by is not None and self.managed_by.startswith(LISTENER)

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
        credentials: By which its receiver lets it in.
    """

    secret: str
    previous_secret: str | None = None
    previous_secret_until: datetime | None = None
    credentials: Credentials = NOTHING

    @property
    def way(self) -> Way | None:
        """What its connections depend on beside its URL; None: nothing."""
        identity = self.credentials.identity
        return None if self.narrowing is None and identity is None else Way(self.narrowing, identity)


def with_secret(subscription: Subscription, secret: str) -> Webhook:
    """Return the webhook with another secret, which is the only one that verifies from now on."""
    fields = {name: getattr(subscription, name) for name in Subscription.__struct_fields__}
    credentials = subscription.credentials if isinstance(subscription, Webhook) else NOTHING
    return Webhook(**fields, secret=secret, credentials=credentials)


def with_problems(subscription: W, problems: dict[str, str]) -> W:
    """Return the webhook with what of it cannot be read, and the sentence that tells its owner."""
    fault = fault_of(subscription.id, problems) if problems else None
    return msgspec.structs.replace(subscription, fault=fault, problems=problems)


def fault_of(webhook_id: UUID, problems: dict[str, str]) -> str:
    """Return the sentence that tells why a webhook is set aside, and the remedy.

    Args:
        problems: Of each field that cannot be read, why.
    """
    remedy = f"Change webhook {webhook_id} and write {'it' if len(problems) == 1 else 'them'} anew."
    if "profile" in problems:
        remedy = "Run a version of Tidings that knows the profile, or delete the webhook."
    if "egress" in problems:  # which is its group's
        remedy = "Write anew what its group may call."
    told = f"Set aside, since {' and '.join(problems)} cannot be read. {' '.join(problems.values())}"
    return f"{told[: MAX_FAULT_LENGTH - 1 - len(remedy)]} {remedy}"


def check_url(url: str) -> None:
    """Refuse what cannot be a webhook's URL; whether it may be called is decided by `core.egress`.

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
        not_that = f", not with {parts.scheme}:" if parts.scheme else ""
        raise InvalidInputError("url", f"url must begin with https://{not_that}.")
    if not host:
        raise InvalidInputError("url", "url names no host.")
    if not is_host(host):
        raise InvalidInputError("url", f"url names a host, {host!r}, that is neither a name nor an address.")
    if parts.username is not None or parts.password is not None:
        raise InvalidInputError("url", "url must not carry a user name or password; set auth instead.")


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
