"""One delivery: why it stands where it stands, and every attempt as it was."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from tidings.core.customers import Access
from tidings.core.delivery import State as Stage
from tidings.core.retry import Delays, Policy
from tidings.operations.history.attempts import Attempt
from tidings.operations.history.deliveries import Delivery
from tidings.portal.views.curl import curl
from tidings.portal.views.customers import veiled
from tidings.portal.views.deliveries import PATH, record_of, webhook_name
from tidings.portal.views.documents import MAX_DOCUMENT, Comparison, Document, Headers, comparison, document, headers
from tidings.portal.views.figures import Timing, timing
from tidings.portal.views.lists import link
from tidings.portal.views.may import ALL, May
from tidings.portal.views.small import Id, State, Url, When, ident, state, url, when
from tidings.portal.views.text import Shown, count, duration, visible

MAX_TRIES = 120  # attempts in the line; a policy has at most 101, and each sending again begins anew


class Try(msgspec.Struct, frozen=True):
    """An attempt in the line of tries. `gap`: how long after the one before."""

    number: int
    at: When
    gap: str
    answer: str
    tone: str
    icon: str
    href: str
    is_here: bool


class AttemptView(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt in full.

    Attributes:
        method, url, request_headers, request_body: As they were sent; None where nothing was, and `unsent` says why.
        said: What came of it, as a sentence.
    """

    number: int
    at: When
    answer: str
    tone: str
    said: Shown
    timing: Timing | None
    method: str = ""
    url: Url | None = None
    request_headers: Headers | None = None
    request_body: Document | None = None
    unsent: str = ""
    curl: str = ""
    response_headers: Headers | None = None
    response_body: Document | None = None


class RecordView(msgspec.Struct, frozen=True):
    """What the event is about: the record beside the one before, or what there is of the two."""

    pair: Comparison | None
    record: Document | None
    old_record: Document | None
    note: str = ""


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """The page."""

    id: Id
    path: str
    state: State
    type: Shown
    told_as: Shown | None
    webhook: Shown
    webhook_href: str
    url: Url | None
    event: Id
    explain: str
    record_name: Shown
    happened: When
    finished: When | None
    why: str
    next: When | None
    tries: tuple[Try, ...]
    more_tries: int
    attempt: AttemptView | None
    record: RecordView
    can_retry: bool
    is_test: bool
    live: str
    same_record: str


def delivery_view(
    one: Delivery,
    attempts: Sequence[Attempt],
    now: datetime,
    *,
    number: int | None = None,
    access: Access | None = None,
    may: May = ALL,
) -> DeliveryView:
    """Return the page of a delivery.

    Args:
        number: The attempt that is shown in full; None: the last.
        access: What the customer may do who looks, to whom the pages of events are shut; None: an operator looks.
        may: What whoever looks may ask for.
    """
    chosen = next((made for made in attempts if made.number == number), attempts[-1] if attempts else None)
    is_open = one.state in {Stage.PENDING, Stage.RETRYING, Stage.SENDING}
    event, is_customer = one.event, access is not None
    of_record = {"table": event.table_name or "", "record_id": record_of(one).partition(" ")[2]}
    return DeliveryView(
        id=ident(one.id),
        path=f"{PATH}/{one.id}",
        state=state(one.state),
        type=visible(event.type, limit=120),
        told_as=visible(one.told_as, limit=80) if one.told_as != event.type else None,
        webhook=webhook_name(one),
        webhook_href="" if one.webhook is None else f"/webhooks/{one.webhook_id}",
        url=None if one.webhook is None else url(one.webhook.url),
        event=ident(event.id, None if is_customer else f"/events/{event.id}"),
        explain=f"/events/{event.id}/explain",
        record_name=visible(record_of(one), limit=80),
        happened=when(event.occurred_at, now),
        finished=None if one.finished_at is None else when(one.finished_at, now),
        why=why(one),
        next=when(one.next_retry_at, now) if is_open and one.next_retry_at is not None else None,
        tries=_tries(one, attempts[-MAX_TRIES:], chosen, now),
        more_tries=max(0, len(attempts) - MAX_TRIES),
        attempt=None if chosen is None else _attempt(one, chosen, now, is_customer=is_customer),
        record=record_view(
            event.record,
            event.old_record,
            f"/events/{event.id}" if not is_customer and may.open(f"/events/{event.id}/record") else "",
        ),
        can_retry=one.webhook is not None and one.state is not Stage.SENDING,
        is_test=one.is_test,
        live=link("/live", {"of": "delivery"}) if is_open else "",
        same_record=link(PATH, of_record) if all(of_record.values()) else "",
    )


# Why ------------------------------------------------------------------------------------------------------------------------


def why(one: Delivery) -> str:
    """Return why a delivery stands where it stands, and what comes next, in a sentence or two."""
    error = visible(one.error or "", limit=240).plain.rstrip(".")
    last = f"{error}. " if error else ""
    made = count(one.attempt_count, "attempt")
    match one.state:
        case Stage.SUCCEEDED:
            at = "at the first attempt" if one.attempt_count <= 1 else f"at attempt {one.attempt_count}"
            return f"The receiver acknowledged it with HTTP {one.response_status or '2xx'} {at}{_after(one)}."
        case Stage.FAILED:
            return f"{last}{_given_up(one, made)}"
        case Stage.RETRYING:
            left = None if one.webhook is None else allowed(one.webhook.retry) - one.attempt_count
            more = "" if left is None or left < 1 else f" The policy allows {count(left, 'more attempt')}."
            return f"{last}{made} so far; it is tried again by itself.{more}"
        case Stage.PENDING:
            return f"It waits for its first attempt.{_closed(one)}"
        case Stage.SENDING:
            return f"Attempt {one.attempt_count} is under way."
        case Stage.CANCELLED:
            return f"{last}Its webhook was deleted before a receiver acknowledged it, so it is not sent."


def _after(one: Delivery) -> str:
    if one.finished_at is None:
        return ""
    return f", {duration(max(0.0, (one.finished_at - one.event.occurred_at).total_seconds()) * 1000)} after the event"


def _given_up(one: Delivery, made: str) -> str:
    if one.response_status == 410:
        return "That means the endpoint is gone for good, so the webhook was disabled and nothing is tried again by itself."
    if one.webhook is None:
        return f"It was given up after {made}."
    number = allowed(one.webhook.retry)
    if one.attempt_count < number:
        return f"It was given up after {made}, before the policy's {number} were used."
    return f"It was given up after {made}; the policy allows {number}."


def _closed(one: Delivery) -> str:
    if one.webhook is None or one.webhook.enabled:
        return ""
    reason = visible(one.webhook.disabled_reason or "", limit=200).plain
    return f" Its webhook is disabled: {reason}" if reason else " Its webhook is paused; it goes out once that is enabled."


def allowed(policy: Policy) -> int:
    """Return how many attempts a policy allows."""
    return len(policy.delays) + 1 if isinstance(policy, Delays) else policy.tries


# Attempts -------------------------------------------------------------------------------------------------------------------


def _answer(made: Attempt) -> tuple[str, str, str]:
    """Return what came of an attempt in a word, its tone and its sign."""
    if made.response_status is not None and made.failure is None:
        is_good = 200 <= made.response_status < 300
        return str(made.response_status), "good" if is_good else "bad", "check" if is_good else "x"
    if made.failure is not None:
        return made.failure.replace("_", " "), "bad", "x"
    return "no result", "quiet", "circle-question-mark"


def _tries(one: Delivery, attempts: Sequence[Attempt], chosen: Attempt | None, now: datetime) -> tuple[Try, ...]:
    found, before = [], None
    for made in attempts:
        gap = "" if before is None else f"+{duration((made.started_at - before).total_seconds() * 1000)}"
        href = f"{PATH}/{one.id}?attempt={made.number}"
        found.append(Try(made.number, when(made.started_at, now), gap, *_answer(made), href, made is chosen))
        before = made.started_at
    return tuple(found)


def _attempt(one: Delivery, made: Attempt, now: datetime, *, is_customer: bool) -> AttemptView:
    answer, tone, _ = _answer(made)
    files = f"{PATH}/{one.id}/attempts/{made.number}"
    view = AttemptView(
        number=made.number,
        at=when(made.started_at, now),
        answer=answer,
        tone=tone,
        said=visible(made.error or "", limit=300),
        timing=None if made.total_ms is None else _timing(made, made.total_ms),
        unsent=_unsent(made),
    )
    if made.request is not None:
        sent = made.request
        if is_customer:
            profile = one.webhook.profile if one.webhook is not None else None
            sent = msgspec.structs.replace(sent, headers=veiled(sent.headers, profile))
        view = msgspec.structs.replace(
            view,
            method=visible(sent.method, limit=20).plain,
            url=url(sent.url),
            request_headers=headers(sent.headers),
            request_body=document(sent.body or "", download=f"{files}/request") if sent.body is not None else None,
            curl=curl(sent),
            unsent="" if sent.body is not None else "The body is left out here: those of the other attempts take all the room.",
        )
    if made.response_status is None:
        return view
    body = made.response_body
    shown = None if body is None else document(body, download=f"{files}/response")
    if shown is not None and made.is_truncated:
        shown = msgspec.structs.replace(shown, note="The receiver sent more; the first 64\u2009kB are kept.")
    return msgspec.structs.replace(view, response_headers=headers(made.response_headers), response_body=shown)


def _timing(made: Attempt, total_ms: float) -> Timing:
    return timing(
        dns_ms=made.dns_ms, connect_ms=made.connect_ms, tls_ms=made.tls_ms, first_byte_ms=made.first_byte_ms, total_ms=total_ms
    )


def _unsent(made: Attempt) -> str:
    if made.failure in {"dns", "connect", "tls", "address_refused", "token", "proxy"}:
        return "No request was sent: there was no connection to send it on."
    if made.failure == "render":
        return "No request was sent: none could be made of the event."
    return "What was sent is not known any more."


# Records --------------------------------------------------------------------------------------------------------------------


def record_view(record: str | None, old_record: str | None, path: str) -> RecordView:
    """Return what an event is about.

    Args:
        path: Of its event, below which both can be downloaded; empty: neither can.
    """
    new, old = _members(record), _members(old_record)
    whole = None if record is None else document(record, download=path and f"{path}/record")
    if new is not None and old is not None:
        return RecordView(comparison(old, new), whole, None)
    before = None if old_record is None else document(old_record, download=path and f"{path}/old-record")
    return RecordView(None, whole, before, "" if whole or before else "The event has no payload.")


def _members(text: str | None) -> Mapping[str, Any] | None:
    if text is None or len(text) > MAX_DOCUMENT:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
