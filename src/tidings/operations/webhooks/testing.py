"""Tests of a webhook: an event of any type, to it alone, past breaker, order, rate and pause; and what came of it."""

import asyncio
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from tidings.core.audit import Action
from tidings.core.errors import ConflictError
from tidings.core.event import TEST_TYPE, delivery_id
from tidings.core.webhook import Subscription
from tidings.operations import audit
from tidings.operations.lookups import found
from tidings.operations.services import Services
from tidings.operations.webhooks.previews import sample_of
from tidings.operations.webhooks.samples import Sample
from tidings.store import outbox, search, webhooks, workers

POLL_INTERVAL = 0.05  # seconds between looks at a test's delivery
MARGIN_SECONDS = 1.0  # beyond the webhook's own timeout, for a worker to take it up and write down what came of it


class Ending(StrEnum):
    """What came of a test."""

    ANSWERED = "answered"  # the receiver answered, whatever it said
    REFUSED = "refused"  # no answer came: no such host, no connection, no TLS, an address that may not be called, no HTTP
    TIMED_OUT = "timed_out"  # the receiver did not answer within the webhook's timeout
    NO_WORKER = "no_worker"  # no worker runs; the test goes out when one does
    WAITING = "waiting"  # a worker runs and has not written down an attempt yet


class Tested(msgspec.Struct, frozen=True):
    """What came of a test delivery.

    Attributes:
        success: Whether the receiver acknowledged it; None while there is no attempt on record.
        total_ms: How long the exchange took.
        profile: The webhook's.
    """

    outcome: Ending
    success: bool | None
    event_id: UUID
    delivery_id: UUID
    response_status: int | None = None
    response_body: str | None = None
    error: str | None = None
    total_ms: float | None = None
    profile: str = ""


async def send(services: Services, webhook_id: UUID, sample: Sample) -> Tested:
    """Send a test event to a webhook, paused or not, and wait for what comes of it. It is tried once.

    It waits no longer than the webhook's timeout and a second, and not at all while no worker runs.

    Raises:
        ConflictError: The webhook is set aside, or a listener.
        InvalidInputError: With the field of the sample and the reason.
        NotFoundError: There is no such webhook.
    """
    now = services.clock.now()
    async with services.database.transaction() as connection:
        webhook = found(await webhooks.get_webhook(connection, services.group_id, webhook_id), webhook_id)
        if webhook.fault is not None:
            raise ConflictError(webhook.fault)
        if webhook.is_listener:
            raise ConflictError("A listener is sent no tests. Publish an event that it hears: tidings trigger TYPE.")
        event = await sample_of(services, connection, webhook, sample, now, webhook_id=webhook_id, external_id=TEST_TYPE)
        await outbox.publish(connection, [event])
        told = {"type": event.type, "delivery_id": delivery_id(event.id, webhook_id)}
        await audit.note(services, connection, Action.WEBHOOK_TESTED, webhook_id, webhook.name, after=told)
    async with services.database.connection() as connection:
        if not await workers.are_any(connection):
            return Tested(Ending.NO_WORKER, None, event.id, delivery_id(event.id, webhook_id), profile=webhook.profile)
    return await _result(services, webhook, event.id)


async def _result(services: Services, webhook: Subscription, event_id: UUID) -> Tested:
    delivery = delivery_id(event_id, webhook.id)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + webhook.timeout_seconds + MARGIN_SECONDS
    while loop.time() < deadline:
        async with services.database.connection() as connection:
            attempts = await search.attempts(connection, delivery)
        if attempts:
            return msgspec.structs.replace(_tested(attempts[0], event_id, delivery), profile=webhook.profile)
        await asyncio.sleep(POLL_INTERVAL)
    async with services.database.connection() as connection:
        is_worker = await workers.are_any(connection)
    return Tested(Ending.WAITING if is_worker else Ending.NO_WORKER, None, event_id, delivery, profile=webhook.profile)


def _tested(made: Any, event_id: UUID, delivery: UUID) -> Tested:
    status, failure = made["response_status"], made["failure"]
    success = failure is None and 200 <= (status or 0) < 300
    body, total_ms = made["response_body"], made["total_ms"]
    return Tested(ending_of(status, failure), success, event_id, delivery, status, body, made["error"], total_ms)


def ending_of(status: int | None, failure: str | None) -> Ending:
    """Return what an attempt came to.

    Args:
        status: The HTTP status of the answer.
        failure: Why there was none, or none that could be read.
    """
    if failure == "timeout":
        return Ending.TIMED_OUT
    return Ending.ANSWERED if status is not None else Ending.REFUSED
