"""The form of a webhook: what was typed, and what it asks for. What was typed stays, right or wrong.

A form that changes a webhook asks for what differs from the form that was shown, and for nothing else: what it cannot show, or
shows otherwise than it is stored, is not touched (`change_of`).
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec

from tidings.core.errors import InvalidInputError
from tidings.core.filters import CollectionFilter, Filter, TableFilter
from tidings.core.retry import Delays
from tidings.core.webhook import Subscription
from tidings.operations.webhooks.changes import WebhookChange
from tidings.portal.views import webhook_credentials
from tidings.portal.views.webhook_credentials import EnteredCredentials
from tidings.portal.views.webhook_entries import (
    boxes_read,
    collection_value,
    delay,
    delay_read,
    delays_read,
    figure,
    headers_read,
    names_read,
    table_value,
)
from tidings.profiles import PROFILES

Fields = Mapping[str, Sequence[str]]

MAX_TEXT = 20_000  # characters of one field that are read
MAX_CHOSEN = 5_000  # entries of a field of many: each of a webhook's filters has up to five boxes

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


class Entered(EnteredCredentials, frozen=True, kw_only=True):
    """A form as it was typed.

    Attributes:
        profile: Empty: by what is entered.
        names: Types and families that are ticked; `*` stands for all.
        more: Further names, one a line, or entries of `events` as JSON.
        tables: `["INSERT", "public", "orders"]` as JSON, one for each box that is ticked.
        collections: `["create", "posts"]`, likewise.
        retry: `profile`, `custom` (by `delays`), or `growing` (by `base`, `factor`, `longest` and `tries`).
        signature_format: Empty: as the profile signs.
    """

    name: str = ""
    description: str = ""
    url: str = ""
    profile: str = ""
    names: tuple[str, ...] = ()
    more: str = ""
    tables: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()
    headers: str = ""
    retry: str = "profile"
    delays: str = ""
    base: str = ""
    factor: str = ""
    longest: str = ""
    tries: str = ""
    jitter: str = ""
    timeout: str = ""
    concurrency: str = ""
    rate: str = ""
    ordered: bool = False
    method: str = "POST"
    template: str = ""
    signature_format: str = ""
    signature_header: str = ""
    asymmetric: bool = False
    jwt: bool = False
    secret: str = ""
    version: str = ""


EVENTS = ("names", "more", "tables", "collections")
OF_CUSTOMERS = ("name", "description", "url", *EVENTS, "version")  # what they have a say in
MANY = frozenset({"names", "tables", "collections"})
TICKS = frozenset({"ordered", "asymmetric", "jwt"}) | webhook_credentials.TICKS
# Whose lines are kept; browsers take line breaks out of the others.
AREAS = frozenset({"more", "headers", "template"}) | webhook_credentials.AREAS


def entered(fields: Fields) -> Entered:
    """Return what was typed into a form; a field that is missing is empty."""
    values: dict[str, Any] = {}
    for name in Entered.__struct_fields__:
        given = fields.get(name, ())
        if name in MANY:
            values[name] = tuple(value[:MAX_TEXT] for value in given[:MAX_CHOSEN])
        elif name in TICKS:
            values[name] = bool(given)
        else:
            values[name] = (given[0] if given else "").replace("\r\n", "\n")[: webhook_credentials.LENGTHS.get(name, MAX_TEXT)]
    values["retry"] = values["retry"] or "profile"
    values["method"] = values["method"] or "POST"
    values["auth_sends"] = values["auth_sends"] or Entered().auth_sends
    return Entered(**values)


def of_customer(form: Entered, profile: str) -> Entered:
    """Return a form without what customers have no say in, as if nobody had touched it. Their profile is chosen for them."""
    return Entered(profile=profile, **{name: getattr(form, name) for name in OF_CUSTOMERS})


def shown_to_customer(webhook: Subscription, kept: Collection[Filter]) -> Entered:
    """Return the form that says what a webhook is, as far as a customer has a say in it.

    Args:
        kept: Entries of its events that they have none in.
    """
    theirs = tuple(one for one in webhook.events if one not in kept)
    return of_customer(entered_of(msgspec.structs.replace(webhook, events=theirs)), webhook.profile)


def names_nothing(form: Entered) -> bool:
    """Whether a form asks for no event at all."""
    return not (form.names or form.more.strip() or form.tables or form.collections)


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
    signature = webhook.signature
    return Entered(
        name=webhook.name,
        description=webhook.description or "",
        url=webhook.url,
        profile=webhook.profile,
        names=tuple(names),
        tables=tuple(tables),
        collections=tuple(collections),
        headers="\n".join(f"{name}: {value}" for name, value in webhook.headers.items()),
        timeout=figure(webhook.timeout_seconds),
        concurrency=str(webhook.concurrency),
        rate="" if webhook.rate_per_second is None else figure(webhook.rate_per_second),
        ordered=webhook.ordered,
        method=webhook.method,
        template=webhook.body_template or "",
        signature_format="" if signature is None else signature.format,
        signature_header="" if signature is None else signature.header,
        asymmetric=webhook.asymmetric,
        jwt=webhook.jwt_enabled,
        version=str(webhook.version),
        **(webhook_credentials.entered_of(webhook) | _retry_fields(webhook)),
    )


def _retry_fields(webhook: Subscription) -> dict[str, str]:
    profile, retry = PROFILES.get(webhook.profile), webhook.retry
    if profile is not None and retry == profile.retry:
        return {"retry": "profile"}
    said = {"jitter": figure(retry.jitter)}
    if isinstance(retry, Delays):
        return said | {"retry": "custom", "delays": ", ".join(delay(seconds) for seconds in retry.delays)}
    figures = {
        "base": delay(retry.base),
        "factor": figure(retry.factor),
        "longest": delay(retry.max),
        "tries": str(retry.tries),
    }
    return said | figures | {"retry": "growing"}


# What it asks for ----------------------------------------------------------------------------------------------------------


def change_of(
    form: Entered, was: Entered | None = None, anew: Collection[str] = (), *, may_choose_none: bool = False
) -> tuple[WebhookChange, dict[str, str]]:
    """Return what a form asks for, and of each field that cannot be read, why.

    Args:
        was: The form of the webhook as it is. What stands there alike is left out; None: nothing is there yet.
        anew: Fields of the webhook that are asked for all the same, since nobody can read what is stored.
        may_choose_none: No event need be chosen: there are others that this form does not show.
    """
    given: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for fields, asked, reader in _READERS:
        if was is None or asked in anew or any(_differs(form, was, field) for field in fields):
            try:
                given |= reader(form)
            except InvalidInputError as error:
                errors[error.field] = error.message
    if may_choose_none and names_nothing(form) and errors.pop("events", None) is not None:
        given["events"] = []
    return WebhookChange(**given), errors


def _differs(form: Entered, was: Entered, field: str) -> bool:
    one, other = getattr(form, field), getattr(was, field)
    if field in MANY:
        return set(one) != {value[:MAX_TEXT] for value in other[:MAX_CHOSEN]}  # boxes come in the order of the page
    return bool(one != (other if field in TICKS else sent_back(field, other)))


def sent_back(field: str, text: str) -> str:
    """Return the text of a field as a browser sends it back when nobody has touched it, and as it is read then."""
    if field in AREAS:
        return re.sub("\r\n|\r", "\n", text)[:MAX_TEXT]
    return re.sub("[\r\n]", "", text)[:MAX_TEXT]


def _events(form: Entered) -> dict[str, Any]:
    events: list[Any] = [*form.names, *names_read(form.more)]
    events += [*boxes_read(form.tables, "table", "operations"), *boxes_read(form.collections, "collection", "actions")]
    if not events:
        raise InvalidInputError("events", "Nothing is chosen. Tick what it shall hear of.")
    return {"events": events}


def _retry(form: Entered) -> dict[str, Any]:
    if form.retry == "custom":
        return {"retry": {"delays": delays_read(form.delays)} | _number(form, "jitter", float, "0.1", "jitter")}
    if form.retry == "growing":
        said: dict[str, Any] = {"base": delay_read(form.base or "5 s", "base")}
        said |= _number(form, "factor", float, "2", "factor") | _number(form, "tries", int, "10", "tries")
        said |= {"max": delay_read(form.longest, "longest")} if form.longest.strip() else {}
        return {"retry": said | _number(form, "jitter", float, "0.1", "jitter")}
    profile = PROFILES.get(form.profile)
    return {} if profile is None else {"retry": msgspec.to_builtins(profile.retry)}


def _number(form: Entered, field: str, kind: Callable[[str], Any], example: str, name: str) -> dict[str, Any]:
    text = getattr(form, field).strip()
    if not text:
        return {}
    try:
        return {name: kind(text)}
    except ValueError as error:
        raise InvalidInputError(field, f"{text[:40]!r} is no number; write one such as {example}.") from error


def _signature(form: Entered) -> dict[str, Any]:
    header = form.signature_header.strip()
    if not form.signature_format:
        if header:
            raise InvalidInputError("signature_format", "Choose how the signature is written, or leave its header empty.")
        return {"signature": None}
    if not header:
        raise InvalidInputError("signature_header", "Name the header that carries it, such as X-Signature.")
    return {"signature": {"header": header, "format": form.signature_format}}


# Fields of the form that are read together, the field of the webhook that they say, and how they are read.
_READERS: tuple[tuple[tuple[str, ...], str, Callable[[Entered], dict[str, Any]]], ...] = (
    (("name",), "name", lambda form: {"name": form.name.strip()} if form.name.strip() else {}),
    (("description",), "description", lambda form: {"description": form.description.strip() or None}),
    (("url",), "url", lambda form: {"url": form.url.strip()}),
    (("profile",), "profile", lambda form: {"profile": form.profile} if form.profile else {}),
    (EVENTS, "events", _events),
    (("headers",), "headers", lambda form: {"headers": headers_read(form.headers)}),
    (("retry", "delays", "base", "factor", "longest", "tries", "jitter"), "retry", _retry),
    (("timeout",), "timeout_seconds", lambda form: _number(form, "timeout", float, "30", "timeout_seconds")),
    (("concurrency",), "concurrency", lambda form: _number(form, "concurrency", int, "10", "concurrency")),
    (("rate",), "rate_per_second",
     lambda form: {"rate_per_second": None} | _number(form, "rate", float, "5", "rate_per_second")),
    (("ordered",), "ordered", lambda form: {"ordered": form.ordered}),
    (("method",), "method", lambda form: {"method": form.method}),
    (("template",), "body_template", lambda form: {"body_template": form.template.strip() or None}),
    (("signature_format", "signature_header"), "signature", _signature),
    (("asymmetric",), "asymmetric", lambda form: {"asymmetric": form.asymmetric}),
    (("jwt",), "jwt_enabled", lambda form: {"jwt_enabled": form.jwt}),
    (webhook_credentials.OF_AUTH, "auth", webhook_credentials.auth),
    (webhook_credentials.OF_CERTIFICATE, "client_certificate", webhook_credentials.certificate),
    (webhook_credentials.OF_AUTHORITIES, "ca_certificates", webhook_credentials.authorities),
    (("secret",), "secret", lambda form: {"secret": form.secret.strip()} if form.secret.strip() else {}),
)  # fmt: skip


# Whose field an error is ---------------------------------------------------------------------------------------------------

_FIELDS = {
    "timeout_seconds": "timeout",
    "rate_per_second": "rate",
    "retry": "retry",
    "retry.delays": "delays",
    "retry.base": "base",
    "retry.factor": "factor",
    "retry.max": "longest",
    "retry.tries": "tries",
    "retry.jitter": "jitter",
    "body_template": "template",
    "jwt_enabled": "jwt",
    "signature": "signature_header",
    "signature.format": "signature_format",
} | webhook_credentials.ERRORS


def field_of(error: InvalidInputError) -> str:
    """Return the field of the form that an error of what it asks for belongs to; empty: to none."""
    root = re.split(r"[.\[]", error.field)[0]
    field = _FIELDS.get(error.field) or _FIELDS.get(root, root)
    return field if field in {*Entered.__struct_fields__, "events"} else ""
