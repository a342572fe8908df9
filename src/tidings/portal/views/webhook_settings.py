"""What a webhook is, as lines to read and as text to compare."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from tidings.core.credentials import HIDDEN as CREDENTIAL_HIDDEN
from tidings.core.webhook import Subscription
from tidings.operations.webhooks.changes import WebhookChange
from tidings.portal.views.customers import HIDDEN
from tidings.portal.views.documents import Diff, diff
from tidings.portal.views.text import Shown, number, visible
from tidings.portal.views.webhook_entries import policy_words
from tidings.portal.views.webhook_form import PROFILE_LABELS
from tidings.portal.views.webhooks import filter_words, manager_of
from tidings.store.webhook_rows import filter_to_json

MAX_EVENTS_SHOWN = 50
NOT_FOR_CUSTOMERS = frozenset({"credentials"})  # what they are told nothing of in a webhook's versions


def settings_lines(webhook: Subscription, *, is_customer: bool = False) -> tuple[tuple[str, tuple[Shown, ...]], ...]:
    """Return what a webhook is, each with its lines; what is as always is left out.

    Args:
        is_customer: Who looks is told no values of headers.
    """
    events = [filter_words(wanted) for wanted in webhook.events[:MAX_EVENTS_SHOWN]]
    if len(webhook.events) > MAX_EVENTS_SHOWN:
        events.append(f"and {number(len(webhook.events) - MAX_EVENTS_SHOWN)} more")
    said: list[tuple[str, list[str]]] = [
        ("Description", [webhook.description or ""]),
        ("Profile", [PROFILE_LABELS.get(webhook.profile, webhook.profile)]),
        ("Events", events or ["the ticks of its job" if manager_of(webhook) == "job" else "nothing"]),
        ("Headers", [f"{name}: {HIDDEN if is_customer else value}" for name, value in webhook.headers.items()]),
        ("Method", [webhook.method] if webhook.method != "POST" else []),
        ("Body", [webhook.body_template or ""]),
        ("Signature", [f"{webhook.signature.header}, {webhook.signature.format}"] if webhook.signature else []),
        ("Signed as well", ["ed25519, for receivers without the secret"] if webhook.asymmetric else []),
        ("Token", ["Authorization: Bearer, signed by this installation"] if webhook.jwt_enabled else []),
        ("Tries again", [policy_words(webhook.retry)]),
        ("Timeout", [f"{webhook.timeout_seconds:g} s"]),
        ("At once", [f"{number(webhook.concurrency)} requests"]),
        ("Per second", [f"at most {webhook.rate_per_second:g}"] if webhook.rate_per_second is not None else []),
        ("Order", ["one after the other"] if webhook.ordered else []),
    ]
    return tuple(
        (label, shown) for label, lines in said if (shown := tuple(visible(line, limit=400) for line in lines if line))
    )


def change_diff(before: Subscription, after: Subscription, change: WebhookChange, *, is_customer: bool = False) -> Diff:
    """Return what a change changes of a webhook, before it is saved."""
    news = {"secret": "(another; the present one verifies for a day)"} if change.secret not in {UNSET, None} else {}
    if is_customer:
        before, after = (msgspec.structs.replace(one, headers=dict.fromkeys(one.headers, HIDDEN)) for one in (before, after))
        return diff(_text(before), _text(after, news))
    is_anew = isinstance(change.auth, dict)
    return diff(_text(before, _credentials(before)), _text(after, _credentials(after, is_anew=is_anew) | news))


def _credentials(webhook: Subscription, *, is_anew: bool = False) -> dict[str, Any]:
    """Return what is shown of a webhook's credentials.

    Args:
        is_anew: As whom it shows itself was written anew: the secret of it may be another one, though nothing shows it.
    """
    told, said = webhook.credentials_shown, "(written anew)" if is_anew else CREDENTIAL_HIDDEN
    auth = told.auth and {name: said if value == CREDENTIAL_HIDDEN else value for name, value in told.auth.items()}
    return {
        "auth": auth,
        "client_certificate": msgspec.to_builtins(told.client_certificate),
        "ca_certificates": msgspec.to_builtins(told.ca_certificates),
    }


def _text(webhook: Subscription, more: Mapping[str, Any] | None = None) -> str:
    said = {
        "name": webhook.name,
        "description": webhook.description,
        "url": webhook.url,
        "profile": webhook.profile,
        "events": [filter_to_json(wanted) for wanted in webhook.events],
        "headers": webhook.headers,
        "retry": msgspec.to_builtins(webhook.retry),
        "timeout_seconds": webhook.timeout_seconds,
        "concurrency": webhook.concurrency,
        "rate_per_second": webhook.rate_per_second,
        "ordered": webhook.ordered,
        "method": webhook.method,
        "body_template": webhook.body_template,
        "signature": None if webhook.signature is None else msgspec.to_builtins(webhook.signature),
        "asymmetric": webhook.asymmetric,
        "jwt_enabled": webhook.jwt_enabled,
    } | dict(more or {})
    # An entry in a line each: an event or a delay that changes is one line of the difference.
    return json.dumps(said, indent=2, ensure_ascii=False)


def version_diff(changes: Mapping[str, tuple[Any, Any]], *, is_customer: bool = False) -> Diff:
    """Return what changed between two versions; to a customer without the values of headers, and nothing of credentials."""
    if is_customer:
        changes = {name: pair for name, pair in changes.items() if name not in NOT_FOR_CUSTOMERS}
    if is_customer and "headers" in changes:
        names = tuple(dict.fromkeys(headers or {}, HIDDEN) for headers in changes["headers"])
        changes = {**changes, "headers": (names[0], names[1])}
    before, after = ({name: pair[at] for name, pair in changes.items()} for at in (0, 1))
    return diff(*(json.dumps(said, indent=2, ensure_ascii=False, default=str) for said in (before, after)))
