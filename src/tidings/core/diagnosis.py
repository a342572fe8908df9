"""What is wrong with an installation, in sentences with their remedies."""

from collections.abc import Sequence
from datetime import date, datetime

import msgspec

from tidings.core.api_key import ENDING_SOON
from tidings.core.home import COPY

MAX_ROUTING_LAG = 300.0  # seconds that the oldest event may wait to be routed
MAX_LANE_LAG = 300.0  # seconds that the lane that is due longest may wait
MAX_CLOCK_GAP = 5.0  # seconds between this machine's clock and PostgreSQL's
FEW_CONNECTIONS = 10  # left to anybody
MANY_NOTIFICATIONS = 0.25  # of PostgreSQL's queue of them; usually it is empty
LITTLE_DISK = 2**30  # bytes, under the embedded PostgreSQL


class Problem(msgspec.Struct, frozen=True):
    """Something that is wrong.

    Attributes:
        name: A stable word for programs.
        sentence: What is wrong, and what to do about it.
        is_fatal: Nothing is delivered because of it.
    """

    name: str
    sentence: str
    is_fatal: bool = False


class Vitals(msgspec.Struct, frozen=True):
    """What one look at the database finds.

    Attributes:
        schema_number: Of the last migration; None: the schema is not there.
        routing_lag: For how many seconds the oldest event has waited to be routed.
        connections_left: Of PostgreSQL, for anybody.
        last_day: The last day that history has partitions for.
        at: PostgreSQL's clock.
        role: That we work as.
        notifications: How full PostgreSQL's queue of notifications is, from 0 to 1.
        ending_keys: How many keys end within `ENDING_SOON`.
        ending_certificates: How many webhooks have a certificate that ends within `CERTIFICATE_SOON`.
        ended_certificates: How many have one that has ended.
        not_owned: How many tables and sequences of ours belong to another role.
        is_copy: The installation was made in another database, and this one was not adopted.
        oldest_program: The last migration of the oldest program that can run on the schema; None: it does not say.
        source: What the database is called in a fleet where it is a source, so that no worker runs here; "": it is none.
    """

    is_read_only: bool
    schema_number: int | None
    at: datetime
    connections_left: int
    workers: int = 0
    source: str = ""
    routing_lag: float = 0.0
    lane_lag: float = 0.0
    last_day: date | None = None
    set_aside: int = 0
    failing: int = 0
    stopped: int = 0
    held_backfills: int = 0
    notifications: float = 0.0
    role: str = ""
    not_owned: int = 0
    ending_keys: int = 0
    is_copy: bool = False
    oldest_program: int | None = None
    ending_certificates: int = 0
    ended_certificates: int = 0


class Examined(msgspec.Struct, frozen=True):
    """What an examination found, what stops deliveries first, and what it looked at: it goes no further than it comes."""

    problems: list[Problem]
    looked_at: list[str]


class Way(msgspec.Struct, frozen=True):
    """What came of opening a connection to a host that webhooks name. `failure`: as of an exchange; None: it was opened."""

    host: str
    failure: str | None
    error: str


TOGETHER = Problem(
    "groups",
    "Queries of requests run with all rights of the database's role (TIDINGS_REQUEST_ROLE is none): nothing but our own SQL "
    "keeps groups apart. Take that setting away.",
)


def fits(vitals: Vitals, known_schema: int) -> bool:
    """Whether a program can work with the schema: it is its own, or a newer one that says so."""
    if vitals.schema_number is None or vitals.schema_number <= known_schema:
        return vitals.schema_number == known_schema
    return vitals.oldest_program is not None and vitals.oldest_program <= known_schema


def unready(vitals: Vitals, known_schema: int) -> list[Problem]:
    """Return why nothing could be delivered now, though the database answers."""
    found = []
    if vitals.is_read_only:
        found.append(
            Problem(
                "read_only",
                "PostgreSQL is read-only: a standby, or default_transaction_read_only is on. Promote it, or use the primary; "
                "work goes on by itself once it may write.",
                is_fatal=True,
            )
        )
    if vitals.schema_number is None or vitals.schema_number < known_schema:
        state = "is missing" if vitals.schema_number is None else f"is at migration {vitals.schema_number} of {known_schema}"
        found.append(Problem("schema", f"Schema tidings {state}. Run `tidings migrate`.", is_fatal=True))
        return found
    if not fits(vitals, known_schema):
        found.append(
            Problem(
                "schema",
                f"Schema tidings was made by a newer Tidings (migration {vitals.schema_number}; this one knows "
                f"{known_schema}). Run that version here too.",
                is_fatal=True,
            )
        )
    if vitals.is_copy:
        found.append(Problem("copy", COPY, is_fatal=True))
    elif vitals.source:  # what was committed is packed by a relay and delivered elsewhere
        if vitals.routing_lag > MAX_ROUTING_LAG:
            found.append(
                Problem(
                    "routing",
                    f"What is committed here has waited {vitals.routing_lag:.0f} s to be sent to its home. See that tidings "
                    "relay runs here; tidings stream status says what it waits for.",
                    is_fatal=True,
                )
            )
    elif not vitals.workers:
        found.append(
            Problem(
                "workers",
                "No worker is alive, so nothing is delivered. Start `tidings serve` or `tidings worker`.",
                is_fatal=True,
            )
        )
    elif vitals.routing_lag > MAX_ROUTING_LAG:
        found.append(
            Problem(
                "routing",
                f"The oldest event has waited {vitals.routing_lag:.0f} s to be routed. Workers do not keep up, or a long "
                "transaction is in their way: start more workers, and see pg_stat_activity for what runs long.",
                is_fatal=True,
            )
        )
    return found


_NOTIFICATIONS = (
    "PostgreSQL's queue of notifications is {:.0%} full; when it is full, neither changes of captured tables nor events can be "
    "committed. A session that listens has read none for long, mostly since its transaction is open: find it in "
    "pg_stat_activity by xact_start, and end it."
)


def unwell(vitals: Vitals, *, machine_time: datetime, disk_left: int | None, uncaptured: int) -> list[Problem]:
    """Return what else somebody should see to.

    Args:
        machine_time: This machine's clock, as PostgreSQL's was read.
        disk_left: Bytes left under the embedded PostgreSQL; None without one.
        uncaptured: How many tables webhooks name that carry no trigger of ours, or whose settings do not fit them.
    """
    found = []

    def tell(name: str, sentence: str) -> None:
        found.append(Problem(name, sentence))

    gap = (machine_time - vitals.at).total_seconds()
    if abs(gap) > MAX_CLOCK_GAP:
        way = "ahead of" if gap > 0 else "behind"
        tell("clock", f"This machine's clock is {abs(gap):.0f} s {way} PostgreSQL's, which decides. Set both by NTP.")
    if vitals.connections_left < FEW_CONNECTIONS:
        tell(
            "connections",
            f"PostgreSQL has {max(0, vitals.connections_left)} connections left. Close some of others, or raise its "
            "max_connections; a worker uses up to 13.",
        )
    if vitals.notifications > MANY_NOTIFICATIONS:
        tell("notifications", _NOTIFICATIONS.format(vitals.notifications))
    if disk_left is not None and disk_left < LITTLE_DISK:
        tell(
            "disk",
            f"The disk under the embedded PostgreSQL has {disk_left // 2**20} MB left. Free some space, or set "
            "TIDINGS_RETENTION_DAYS lower.",
        )
    if vitals.not_owned:
        tell(
            "rights",
            f"{_many(vitals.not_owned, 'relation')} of schema tidings belong to another role than {vitals.role}, which can "
            "neither migrate them nor make their partitions. Connect as their owner, or have a superuser run: "
            f"REASSIGN OWNED BY <the other> TO {vitals.role}.",
        )
    if vitals.last_day is not None and vitals.last_day <= vitals.at.date():
        tell(
            "partitions",
            "History has no partitions beyond today: no worker has kept house for days. Start one, and see its log.",
        )
    if vitals.lane_lag > MAX_LANE_LAG:
        tell("queue", f"Deliveries that are due have waited {vitals.lane_lag:.0f} s. Start more workers.")
    if vitals.set_aside:
        tell(
            "set_aside",
            f"{_many(vitals.set_aside, 'event')} could not be routed and were set aside. "
            "Where they are listed as set aside, each says why.",
        )
    return [*found, *_in_trouble(vitals, uncaptured)]


def _in_trouble(vitals: Vitals, uncaptured: int) -> list[Problem]:
    found = []
    if vitals.stopped:
        said = "cannot be read and wait. What is wrong is the fault of each."
        found.append(Problem("stopped", f"{_many(vitals.stopped, 'webhook')} {said}"))
    if vitals.failing:
        said = "have been failing for long. The health of each says why."
        found.append(Problem("failing", f"{_many(vitals.failing, 'webhook')} {said}"))
    if vitals.held_backfills:
        said = "cannot go on, and try again. The list of backfills says why, and so does what is set aside."
        found.append(Problem("backfills", f"{_many(vitals.held_backfills, 'backfill')} {said}"))
    if vitals.ending_keys:
        found.append(Problem("keys", _ending(vitals.ending_keys)))
    found += _certificates(vitals)
    if uncaptured:
        said = "that webhooks name are not captured. The state of each table says why."
        found.append(Problem("uncaptured", f"{_many(uncaptured, 'table')} {said}"))
    return found


def _certificates(vitals: Vitals) -> list[Problem]:
    """Return what is said of certificates that webhooks show, or believe their receivers by."""
    found = []
    remedy = "Give them other ones; the health of each says which."
    for count, ends in ((vitals.ended_certificates, "has ended"), (vitals.ending_certificates, "ends soon")):
        if count:
            found.append(Problem("certificates", f"A certificate {ends} of {_many(count, 'webhook')}. {remedy}"))
    return found


def _ending(keys: int) -> str:
    ending = "1 key ends" if keys == 1 else f"{keys} keys end"
    return (
        f"{ending} within {ENDING_SOON.days} days, and whoever uses them is refused then. Rotate them with another end; "
        "the list of keys says which."
    )


def cut_off(ways: Sequence[Way]) -> list[Problem]:
    """Return what is wrong with this machine's way out, as hosts that webhooks name show it."""
    failed = [way for way in ways if way.failure not in {None, "address_refused"}]
    if not failed:
        return []
    if len(failed) == len(ways) > 1:
        if all(way.error.startswith(("No answer from DNS", "The host")) for way in failed):
            sentence = (
                f"None of {len(ways)} hosts that webhooks name is found. {failed[0].error} Look at the resolver of this "
                "machine: /etc/resolv.conf, and whether port 53 is let out."
            )
            return [Problem("dns", sentence)]
        sentence = (
            f"None of {len(ways)} hosts that webhooks name can be reached from here. {failed[0].error} Look at the firewall, "
            "the route of this machine, and at the proxy if it goes out by one (TIDINGS_PROXY)."
        )
        return [Problem("egress", sentence)]
    named = ", ".join(way.host for way in failed)
    return [
        Problem(
            "unreached",
            f"Of {_many(len(ways), 'host')} that webhooks name {named} cannot be reached from here. "
            "Ask why: tidings doctor webhook ID.",
        )
    ]


def _many(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
