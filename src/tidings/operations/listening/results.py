"""What came of deliveries that clients of listeners had: judged and written as a worker's results are."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from random import Random
from typing import Final
from uuid import UUID

import msgspec

from tidings.core.delivery import Delivery
from tidings.core.errors import InvalidInputError
from tidings.core.listening import MAX_BODY_CHARACTERS, MAX_RESULTS
from tidings.core.outcome import Context, Exchange, GiveUp, Gone, Result, RetryAt, Timings, decide, final_state
from tidings.core.retry import Chance
from tidings.core.scrubbing import kept_result
from tidings.core.webhook import Subscription
from tidings.operations.listening.keeping import keepings
from tidings.operations.listening.listeners import listened
from tidings.operations.services import Services
from tidings.store import history, limits, listening, live, queue, statistics
from tidings.store.database import Connection
from tidings.store.listening import Landed
from tidings.store.live import Announced
from tidings.store.queue import Retry
from tidings.store.storage import answered
from tidings.store.tallies import add_up

FAILURES: Final = ("timeout", "dns", "connect", "tls", "reset", "protocol", "too_large", "stopped")
MAX_ERROR: Final = 500  # characters
MAX_HEADERS: Final = 64
MAX_HEADER: Final = 4096  # characters of a header's value
MAX_TOTAL_MS: Final = 3_600_000.0


class AttemptTold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What came of a delivery: an answer, by its `response_status`, or a `failure`, with a sentence in `error`.

    `version`: of the delivery as it was leased. `response_body`: the first 16,384 characters of the answer's.
    """

    lease: int
    version: int
    response_status: int | None = None
    response_headers: list[tuple[str, str]] = []
    response_body: str = ""
    is_truncated: bool = False
    failure: str | None = None
    error: str | None = None
    total_ms: float = 0.0


class ResultsAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Results of a client. Each is taken once; `session` is the one the deliveries were leased to."""

    session: UUID
    results: list[AttemptTold]


class Recorded(msgspec.Struct, frozen=True):
    """Which results were written, by their leases, and which were refused: those leases had ended, so they come again."""

    recorded: list[int]
    refused: list[int]


class Told(msgspec.Struct, frozen=True):
    """What came of a delivery, checked."""

    exchange: Exchange
    version: int


async def record(services: Services, listener_id: UUID, asked: ResultsAsked) -> Recorded:
    """Write what came of deliveries: those whose leases hold.

    Raises:
        InvalidInputError: With the field and the reason.
        NotFoundError: There is no such listener.
    """
    if len(asked.results) > MAX_RESULTS:
        raise InvalidInputError("results", f"results has {len(asked.results)} entries; send at most {MAX_RESULTS} at once.")
    told: dict[int, Told] = {}
    for place, each in enumerate(asked.results):
        told.setdefault(each.lease, _checked(each, f"results[{place}]"))
    async with services.wide.transaction() as connection:
        webhook = await listened(services, connection, listener_id)
        written = await write(services, connection, webhook, asked.session, told) if told else {}
        attempts = await _in_traces(services, connection, webhook, list(written.values()))
    if services.telemetry is not None:
        services.telemetry.attempted(attempts)
    return Recorded(sorted(written), sorted(told.keys() - written.keys()))


async def _in_traces(
    services: Services, connection: Connection, webhook: Subscription, results: Sequence[Result]
) -> list[Result]:
    """Return results with what is told of each, where somebody is told."""
    if services.telemetry is None or not results:
        return []
    found = await listening.traced(connection, {result.delivery.event_id for result in results})
    known = [(result, found[result.delivery.event_id]) for result in results if result.delivery.event_id in found]
    return [
        msgspec.structs.replace(result, context=Context(type_, webhook.method, "", traceparent))
        for result, (type_, traceparent) in known
    ]


async def write(
    services: Services,
    connection: Connection,
    webhook: Subscription,
    session: UUID,
    told: Mapping[int, Told],
    rng: Chance = Random(),  # noqa: B008 - one for all
) -> dict[int, Result]:
    """Write results of a client in a transaction, in the order in which a recorder locks; return those whose leases held.

    What a lane's state turns to is not told to anybody: who listens sees it.
    """
    landed = await listening.land(connection, session, webhook.id, told.keys())
    if not landed:
        return {}
    now = services.clock.now()
    places = await listening.places(connection, {each.event_id for each in landed.values()}) if webhook.ordered else {}
    signer_id = services.keys.current.signer_id if webhook.asymmetric or webhook.jwt_enabled else None
    keeping = await keepings(services, connection, webhook, [each.event_id for each in landed.values()])
    results = [
        kept_result(
            _result(webhook, told[lease], each, places.get(each.event_id, now), now, rng, signer_id), keeping.get(each.event_id)
        )
        for lease, each in landed.items()
    ]
    ended = [result for result in results if final_state(result.outcome) is not None]
    retried = [result for result in results if isinstance(result.outcome, RetryAt)]
    ended_at = services.clock.not_after(next(iter(landed.values())).at)
    if ended:
        await history.add_deliveries(connection, ended, ended_at)
    if retried:
        await history.add_attempts(connection, retried, ended_at)
    if await live.is_heard(connection):  # this transaction rings as well, and is one of few
        told_of = [Announced(webhook.group_id, result.delivery.id, result.delivery.attempt_number) for result in results]
        await live.announce(connection, told_of, is_gap=False)
    sums = add_up(results, now)
    await statistics.add(connection, now.replace(second=0, microsecond=0), sums.statistics, sums.counters)
    await limits.add(connection, answered(results))
    await queue.settle_lanes(connection, sums.lanes, now)
    if retried:
        await queue.wait_again(connection, [_retry(result) for result in retried], now, 0)
    if retried or webhook.ordered:
        await listening.ring(connection, [webhook.id])
    return dict(zip(landed, results, strict=True))


def _checked(told: AttemptTold, field: str) -> Told:
    if not 0 <= told.lease < 2**63:
        raise InvalidInputError(f"{field}.lease", f"{field}.lease is no lease that was given.")
    if (told.response_status is None) == (told.failure is None):
        raise InvalidInputError(f"{field}.response_status", f"{field} must have a response_status or a failure, and not both.")
    if told.response_status is not None and not 100 <= told.response_status <= 999:
        raise InvalidInputError(f"{field}.response_status", f"{field}.response_status must be an HTTP status.")
    if told.failure is not None and told.failure not in FAILURES:
        raise InvalidInputError(f"{field}.failure", f"{field}.failure must be one of {', '.join(FAILURES)}.")
    if not 0 <= told.total_ms <= MAX_TOTAL_MS:
        raise InvalidInputError(f"{field}.total_ms", f"{field}.total_ms must be 0 to {MAX_TOTAL_MS:.0f}.")
    if not 1 <= told.version < 2**31:
        raise InvalidInputError(f"{field}.version", f"{field}.version must be the delivery's.")
    if len(told.response_headers) > MAX_HEADERS or any(
        len(name) + len(value) > MAX_HEADER for name, value in told.response_headers
    ):
        raise InvalidInputError(
            f"{field}.response_headers",
            f"{field}.response_headers must be at most {MAX_HEADERS}, of {MAX_HEADER:,} characters each.",
        )
    error = (told.error or told.failure or "").replace("\x00", "\ufffd")[:MAX_ERROR]
    exchange = Exchange(
        told.response_status,
        tuple((name.lower(), value) for name, value in told.response_headers),
        told.response_body[:MAX_BODY_CHARACTERS].encode("utf-8", "replace"),
        told.is_truncated or len(told.response_body) > MAX_BODY_CHARACTERS,
        told.failure,
        None if told.failure is None else error,
        timings=Timings(total_ms=told.total_ms),
    )
    return Told(exchange, told.version)


def _result(
    webhook: Subscription, told: Told, landed: Landed, place: datetime, now: datetime, rng: Chance, signer_id: int | None
) -> Result:
    outcome = decide(told.exchange, landed.number, webhook.retry, now, rng)
    if isinstance(outcome, Gone):  # a receiver on a laptop that says 410 has not gone: somebody works on it
        outcome = GiveUp(outcome.reason)
    ids = (landed.delivery_id, landed.event_id, webhook.id, webhook.group_id)
    delivery = Delivery(*ids, landed.number, place, landed.id)
    return Result(delivery, landed.leased_at, told.exchange, outcome, min(told.version, webhook.version), signer_id)


def _retry(result: Result) -> Retry:
    assert isinstance(result.outcome, RetryAt)  # noqa: S101 - they were chosen by it
    return Retry(
        result.delivery, result.delivery.attempt_number, result.outcome.at, result.exchange.status, result.outcome.reason
    )
