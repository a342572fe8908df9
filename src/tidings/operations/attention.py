"""What somebody should see to: webhooks that fail, what is set aside or not captured, keys and certificates that end."""

from datetime import datetime
from uuid import UUID

import msgspec

from tidings.core.api_key import ENDING_SOON
from tidings.core.health import LOOP_TOLD, Health
from tidings.core.pressure import Trouble
from tidings.operations import fleet
from tidings.operations.services import Services
from tidings.operations.sources import captures
from tidings.store import api_keys, certificates, faults, health, loops, queue, webhooks, workers
from tidings.store.request_role import as_owner

MANY = 1000  # set-aside things of a kind are counted up to so many
MAX_LISTED = 10  # of each kind


class Failing(msgspec.Struct, frozen=True):
    """A webhook that fails or rests."""

    id: UUID
    name: str
    url: str
    health: Health


class Stopped(msgspec.Struct, frozen=True):
    """A webhook that was set aside or disabled, and not by its owner; or whose deliveries were stopped."""

    id: UUID
    name: str
    url: str
    since: datetime
    reason: str
    is_set_aside: bool


class Ending(msgspec.Struct, frozen=True):
    """A key that ends soon."""

    id: UUID
    name: str
    ends_at: datetime


class Attention(msgspec.Struct, frozen=True):
    """What somebody should see to.

    Attributes:
        looping: Webhooks that had deliveries stopped within a day, because they led to themselves.
        set_aside: How many events, deliveries and settings of all groups are set aside, by kind; `MANY` of each at most.
            Nothing for whoever may act for one group alone: what others have is neither theirs to know nor to see to.
        uncaptured: Tables that webhooks of any group name and that carry no trigger of ours, or whose settings do not fit
            them any more; nothing for the same people.
        workers: How many are alive.
        certificates: Webhooks with a certificate that ends soon or has ended, and that are not among the failing ones.
        ending: Keys that end within `ENDING_SOON`, of all groups or of the one that whoever asks may act for.
        lag_seconds: For how long the lane of any group that has been due longest has waited.
        has_webhooks: The group has any.
        fleet: What is wrong with the fleet that this installation is a home of; nothing for whoever may act for one group.
    """

    failing: list[Failing]
    looping: list[Stopped]
    set_aside: dict[str, int]
    stopped: list[Stopped]
    uncaptured: list[str]
    uncaptured_count: int
    workers: int
    lag_seconds: float
    has_webhooks: bool
    ending: list[Ending]
    certificates: list[Failing]
    fleet: list[Trouble] = []


async def read(services: Services) -> Attention:
    """Return what somebody should see to, those that are ill for longest first."""
    now = services.clock.now()
    asked = api_keys.Asked(services.bound_to, expires_before=now + ENDING_SOON)
    is_of_all = services.bound_to is None
    async with services.database.snapshot() as connection:
        async with as_owner(connection):  # of all groups, or found among them
            ids = await health.warned(connection, services.group_id, MAX_LISTED)
            missing = await captures.uncaptured(connection, are_elsewhere=services.are_tables_elsewhere) if is_of_all else []
            aside = await faults.counts(connection, limit=MANY) if is_of_all else {}
            lag = await queue.lag_seconds(connection)
            alive = await workers.alive(connection)
            watched = await fleet.read_over(connection, services) if is_of_all else None
            ending = await api_keys.list_keys(connection, asked, now, limit=MAX_LISTED, offset=0)
        expiring = await certificates.ending(connection, services.group_id, now, MAX_LISTED)
        both = list(dict.fromkeys((*ids, *expiring)))
        states = await health.read(connection, services.group_id, both, now)
        names = await health.described(connection, both)
        looping = await loops.looping(connection, services.group_id, now - LOOP_TOLD, MAX_LISTED)
        stopped = await webhooks.troubled(connection, services.group_id, MAX_LISTED)
        some = await webhooks.list_webhooks(connection, services.group_id, limit=1)
    told = {
        id_: Failing(id_, names[id_][1], names[id_][2], states[id_].health) for id_ in both if id_ in names and id_ in states
    }
    return Attention(
        [told[id_] for id_ in ids if id_ in told],
        [
            Stopped(row["id"], row["name"], row["url"], row["looped_at"], row["loop_reason"], is_set_aside=False)
            for row in looping
        ],
        {kind: number for kind, number in aside.items() if number},
        [
            Stopped(row["id"], row["name"], row["url"], row["updated_at"], row["reason"], is_set_aside=row["enabled"])
            for row in stopped
        ],
        [f"{schema}.{table}" for schema, table in missing[:MAX_LISTED]],
        len(missing),
        alive,
        lag,
        bool(some),
        [Ending(one.key.id, one.key.name, one.key.expires_at) for one in ending if one.key.expires_at is not None],
        [told[id_] for id_ in expiring if id_ in told and id_ not in ids],
        watched.troubles[:MAX_LISTED] if watched else [],
    )
