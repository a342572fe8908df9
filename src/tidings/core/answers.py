"""What was answered to attempts made ahead (`core.ahead`): as it travels by the stream, and as it waits in the outbox."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec

from tidings.core.cargo import ROOM
from tidings.core.event import Event, delivery_id
from tidings.core.outcome import FAILURES, Exchange, GiveUp, Gone, Outcome, Result, RetryAt, Succeeded, Timings, ended_at

FORMAT: Final = 1
DOUBTS: Final = 0  # stands where the number of a flight does: flights of which nobody knows whether they are landed
MAX_BYTES: Final = 512 * 1024  # of a message with answers
MAX_DOUBTED: Final = 10_000  # flights that one message names; more are never landed together
MAX_DOUBTS: Final = 100  # such messages: one for each time that the database went, until all answers are forgotten
MAX_OF_EVENT: Final = 16 * 2**20  # of those to one event in the outbox


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What came of one attempt that was made ahead.

    Attributes:
        webhook_version: That it was made with.
        signer_id: Which keys of the installation signed it, where they did.
    """

    event_id: UUID
    webhook_id: UUID
    started_at: datetime
    exchange: Exchange
    outcome: Outcome
    webhook_version: int | None = None
    signer_id: int | None = None

    @property
    def delivery_id(self) -> UUID:
        """The delivery that it was an attempt of."""
        return delivery_id(self.event_id, self.webhook_id)

    @property
    def ended_at(self) -> datetime:
        """When the receiver had answered, or it was given up."""
        return ended_at(self.started_at, self.exchange)


def answer_of(result: Result) -> Answer | None:
    """Return what came of an attempt; None: none was made."""
    if type(result.outcome) not in _MEANS:
        return None
    return Answer(
        result.delivery.event_id, result.delivery.webhook_id, result.started_at, result.exchange, result.outcome,
        result.webhook_version, result.signer_id,
    )  # fmt: skip


_Text = Annotated[str, msgspec.Meta(max_length=MAX_BYTES)]
_Number = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
_Milliseconds = Annotated[float, msgspec.Meta(ge=0, lt=1e9)]
_YEARS: Final = range(2000, 9000)  # in which something may have happened here, with room for what is added to that


class _Written(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An answer as it travels. Written out: other versions read it, whatever becomes of the structs within."""

    event_id: UUID
    webhook_id: UUID
    started_at: datetime
    status: Annotated[int, msgspec.Meta(ge=100, le=999)] | None
    headers: list[tuple[_Text, _Text]]
    body: bytes
    is_truncated: bool
    failure: str | None
    error: _Text | None
    timings: tuple[
        _Milliseconds | None, _Milliseconds | None, _Milliseconds | None, _Milliseconds | None, _Milliseconds
    ]  # fmt: skip
    means: str
    retry_at: datetime | None
    reason: _Text | None
    webhook_version: _Number | None
    signer_id: _Number | None


class _Message(msgspec.Struct, frozen=True, array_like=True):
    format: int
    flight: UUID
    answers: list[msgspec.Raw]


class _Doubted(msgspec.Struct, frozen=True, array_like=True):
    format: int
    flights: Annotated[list[UUID], msgspec.Meta(max_length=MAX_DOUBTED)]


_encode = msgspec.msgpack.Encoder().encode
_decode_message = msgspec.msgpack.Decoder(_Message).decode
_decode_doubted = msgspec.msgpack.Decoder(_Doubted).decode
_decode_answer = msgspec.msgpack.Decoder(_Written).decode
_SUCCEEDED, _RETRY, _GIVEN_UP, _GONE = "succeeded", "retry", "failed", "gone"
_MEANS: Final = {Succeeded: _SUCCEEDED, RetryAt: _RETRY, GiveUp: _GIVEN_UP, Gone: _GONE}


def messages(flight: UUID, told: Sequence[Answer], limit: int = MAX_BYTES) -> list[bytes]:
    """Return answers to deliveries of a flight as messages of so many bytes at most.

    Of an answer that is larger alone, all is left out that its receiver said but the status.
    """
    limit = min(limit, MAX_BYTES) - ROOM
    found: list[bytes] = []
    batch: list[msgspec.Raw] = []
    size = 0
    for answer in told:
        one = _encode(_written(answer))
        if len(one) > limit:
            one = _encode(_written(bare(answer)))
        if batch and size + len(one) > limit:
            found.append(_encode(_Message(FORMAT, flight, batch)))
            batch, size = [], 0
        batch.append(msgspec.Raw(one))
        size += len(one)
    if batch:
        found.append(_encode(_Message(FORMAT, flight, batch)))
    return found


def doubt(flights: Sequence[UUID]) -> bytes:
    """Return the message that says of flights that nobody knows whether they are landed: the database went meanwhile."""
    return _encode(_Doubted(FORMAT, list(flights[:MAX_DOUBTED])))


def doubted(told: Iterable[bytes]) -> set[UUID]:
    """Return the flights that such messages name. What cannot be read names none."""
    found: set[UUID] = set()
    for data in told:
        with suppress(msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
            message = _decode_doubted(data)
            found.update(message.flights if message.format == FORMAT else ())
    return found


def bare(answer: Answer) -> Answer:
    """Return an answer without what its receiver said but the status."""
    exchange = msgspec.structs.replace(answer.exchange, headers=(), body=b"", is_truncated=True)
    return msgspec.structs.replace(answer, exchange=exchange)


def _written(answer: Answer) -> _Written:
    exchange, outcome, timings = answer.exchange, answer.outcome, answer.exchange.timings
    return _Written(
        answer.event_id, answer.webhook_id, answer.started_at, exchange.status, list(exchange.headers), exchange.body,
        exchange.is_truncated, exchange.failure, exchange.error,
        (timings.dns_ms, timings.connect_ms, timings.tls_ms, timings.first_byte_ms, timings.total_ms), _MEANS[type(outcome)],
        outcome.at if isinstance(outcome, RetryAt) else None,
        outcome.reason if isinstance(outcome, RetryAt | GiveUp | Gone) else None, answer.webhook_version, answer.signer_id,
    )  # fmt: skip


def answers(flight: UUID, told: Iterable[bytes]) -> tuple[dict[UUID, Answer], int]:
    """Return what was answered ahead to deliveries of a flight, by their ids, and how many messages could not be read.

    Of two answers to one delivery the first counts. Those to deliveries of another flight, as of a stream that was made
    anew, are left out.
    """
    found: dict[UUID, Answer] = {}
    faults = 0
    for data in told:
        try:
            message = _decode_message(data)
            if message.format != FORMAT:
                faults += 1
            elif message.flight == flight:
                for answer in [_read(_decode_answer(one)) for one in message.answers]:
                    found.setdefault(answer.delivery_id, answer)
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
            faults += 1
    return found, faults


def by_event(flight: UUID, events: Iterable[Event], found: Mapping[UUID, Answer]) -> dict[UUID, bytes]:
    """Return answers to events of a flight as values for the outbox, where they wait with these to be routed.

    Where they would be very large for one event, of those that are too much all is left out that receivers said but the status.

    Args:
        found: Answers, by their deliveries, and of other flights too.
    """
    if not found:
        return {}
    left = {event.id: MAX_OF_EVENT for event in events}
    of_events: dict[UUID, list[msgspec.Raw]] = {}
    for answer in found.values():
        if answer.event_id in left:
            one = _encode(_written(answer))
            if len(one) > left[answer.event_id]:
                one = _encode(_written(bare(answer)))
            left[answer.event_id] -= len(one)
            of_events.setdefault(answer.event_id, []).append(msgspec.Raw(one))
    return {event_id: _encode(_Message(FORMAT, flight, theirs)) for event_id, theirs in of_events.items()}


def of_outbox(values: Iterable[bytes]) -> dict[UUID, Answer]:
    """Return what waited in the outbox with events; what cannot be read is left out, and its deliveries are made again."""
    found: dict[UUID, Answer] = {}
    for value in values:
        with suppress(msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
            found |= answers(_decode_message(value).flight, [value])[0]
    return found


def _read(one: _Written) -> Answer:
    if not _is_instant(one.started_at) or one.failure not in {None, *FAILURES}:
        raise ValueError("no answer")
    exchange = Exchange(
        one.status, tuple(one.headers), one.body, one.is_truncated, one.failure, one.error, timings=Timings(*one.timings)
    )
    return Answer(one.event_id, one.webhook_id, one.started_at, exchange, _meant(one), one.webhook_version, one.signer_id)


def _meant(one: _Written) -> Outcome:
    reason = one.reason or ""
    match one.means:
        case "succeeded":
            return Succeeded()
        case "failed":
            return GiveUp(reason)
        case "gone":
            return Gone(reason)
        case "retry" if one.retry_at is not None and _is_instant(one.retry_at):
            return RetryAt(one.retry_at, reason)
    raise ValueError("no outcome")


def _is_instant(at: datetime) -> bool:
    return at.tzinfo is not None and at.year in _YEARS
