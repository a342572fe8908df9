"""Why a webhook's receiver refuses what it is sent: signed probes to it, and what their answers say.

The requests go out from here and not by the queue: they are no deliveries, so no lane, breaker, rate or statistics hears of
them. Which are sent and what they mean is decided in `core.probes` and `core.receiver_faults`.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tidings.core.audit import Action
from tidings.core.errors import BusyError, ConflictError, RenderError
from tidings.core.event import TEST_TYPE, Event, delivery_id
from tidings.core.outcome import Exchange
from tidings.core.probes import FOLLOWING_SECONDS, Answer, Facts, Kind, Probe, next_probe
from tidings.core.receiver_faults import Verdict, verdict_of
from tidings.core.signature import InstanceKeys
from tidings.core.webhook import Webhook
from tidings.operations import audit
from tidings.operations.lookups import found
from tidings.operations.services import Services
from tidings.operations.webhooks.samples import SAMPLE
from tidings.operations.webhooks.secret_forms import made_secret
from tidings.profiles import PROFILES
from tidings.profiles.probing import Probing, Stranger
from tidings.sources.publish import new_event
from tidings.store import webhook_versions, webhooks
from tidings.transport.tokens import send_authorized

MAX_AT_ONCE = 16  # receivers that one process examines
MAX_OF_GROUP = 4  # of those: the customers of one keep nobody else waiting
VERSIONS_LOOKED_AT = 20  # of a webhook, for the secret that it had before


class Diagnosis(msgspec.Struct, frozen=True):
    """What was found out about a webhook's receiver, and by what."""

    verdict: Verdict
    answers: list[Answer]


async def diagnose(services: Services, webhook_id: UUID) -> Diagnosis:
    """Find out why a webhook's receiver takes or refuses deliveries, by at most `MAX_PROBES` requests to it.

    It takes at most the webhook's timeout and `MAX_SECONDS`, and a last answer. Some requests are signed wrongly on purpose.

    Raises:
        BusyError: As many receivers are examined as may be.
        ConflictError: The webhook cannot be read or is a listener, or its receiver is being examined.
        NotFoundError: There is no such webhook.
    """
    async with services.database.snapshot() as connection:
        webhook = found(await webhooks.open_webhook(connection, services.box, services.group_id, webhook_id), webhook_id)
        if webhook.is_listener:
            raise ConflictError("A listener has no receiver that is called. `tidings listen` shows what its own answers.")
        now = services.clock.now()
        old_secret = await webhook_versions.secret_before(connection, services.box, webhook, now, limit=VERSIONS_LOOKED_AT)
    if webhook_id in services.examined:
        raise ConflictError("The receiver of this webhook is being examined. Wait until that is over.")
    if len(services.examined) >= MAX_AT_ONCE:
        raise BusyError(f"{MAX_AT_ONCE} receivers are being examined. Try again in a minute.")
    if list(services.examined.values()).count(services.group_id) >= MAX_OF_GROUP:
        raise BusyError(f"{MAX_OF_GROUP} receivers of this group are being examined. Try again in a minute.")
    services.examined[webhook_id] = services.group_id
    try:
        async with services.database.transaction() as connection:  # before anything goes out: no history has these requests
            await audit.note(services, connection, Action.WEBHOOK_DIAGNOSED, webhook_id, webhook.name)
        return await _examine(services, webhook, old_secret)
    except RenderError as error:
        raise ConflictError(f"The test event cannot be written as this webhook wants it: {error.message}") from error
    finally:
        services.examined.pop(webhook_id, None)


async def _examine(services: Services, webhook: Webhook, old_secret: str | None) -> Diagnosis:
    keys = services.keys.current
    probing = Probing(webhook, keys, _stranger(webhook, keys), old_secret)
    event = _test_event(services, webhook)
    facts = probing.facts(event, delivery_id(event.id, webhook.id), _seconds(services))
    time = asyncio.get_running_loop().time
    began, answers = time(), list[Answer]()
    while (probe := next_probe(facts, answers, time() - began)) is not None:
        answers.append(await _ask(services, webhook, probing, facts, probe))
    return Diagnosis(verdict_of(facts, answers), answers)


async def _ask(services: Services, webhook: Webhook, probing: Probing, facts: Facts, probe: Probe) -> Answer:
    event = _test_event(services, webhook)
    write = partial(probing.write, probe, event, delivery_id(event.id, webhook.id), _seconds(services))
    # The first opens a connection of its own: what is wrong with name, way and certificate shows on no other.
    is_first = probe.kind is Kind.PRESENT
    limit = facts.timeout_seconds if is_first else min(facts.timeout_seconds, FOLLOWING_SECONDS)
    exchange = await _send(services, probing, write, limit, is_fresh=is_first)
    if exchange.is_stale_connection:
        exchange = await _send(services, probing, write, limit, is_fresh=True)
    return Answer(probe, exchange, services.clock.now())


async def _send(
    services: Services, probing: Probing, write: Callable[[str], bytes], limit: float, *, is_fresh: bool
) -> Exchange:
    if probing.client is None:
        data = write(probing.authorization)
        return await services.sender.send(probing.target, data, timeout_seconds=limit, is_fresh=is_fresh, echo=probing.echo)
    write("")  # what cannot be written is told now, and not in the middle
    return await send_authorized(
        services.sender, probing.target, probing.client, write, timeout_seconds=limit, is_fresh=is_fresh
    )


def _test_event(services: Services, webhook: Webhook) -> Event:
    now = services.clock.now()
    return new_event(services.group_id, "publish", TEST_TYPE, SAMPLE, now, webhook_id=webhook.id, external_id=TEST_TYPE)


def _stranger(webhook: Webhook, keys: InstanceKeys) -> Stranger:
    made: Callable[[], Ed25519PrivateKey] = Ed25519PrivateKey.generate
    others = msgspec.structs.replace(
        keys,
        webhooks=msgspec.structs.replace(keys.webhooks, private=made()),
        tokens=msgspec.structs.replace(keys.tokens, private=made()),
    )
    return Stranger(made_secret(PROFILES[webhook.profile]), others)


def _seconds(services: Services) -> int:
    return int(services.clock.now().timestamp())
