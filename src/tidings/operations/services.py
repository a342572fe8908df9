"""What every handler is given."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec

from tidings.clock import Clock
from tidings.config import Config
from tidings.core.audit import Actor
from tidings.core.event import DEFAULT_GROUP
from tidings.core.outcome import Result
from tidings.operations.across import Across
from tidings.operations.admission import Admission
from tidings.operations.allowance import Allowance
from tidings.operations.readiness import OneAtATime, Readiness
from tidings.operations.sources.refusals import Tally
from tidings.sources.group_commit import Publisher
from tidings.sources.passwords import Passwords
from tidings.store.bell import Bell
from tidings.store.database import Database
from tidings.store.secrets import SecretBox
from tidings.store.settings import Installation
from tidings.store.signing_keys import KeyRing
from tidings.transport.provider import Provider
from tidings.transport.sender import Sender


class Hears(Protocol):
    """Whoever is told of attempts that are on record. It waits for nothing, and nothing of it fails."""

    def attempted(self, results: Sequence[Result]) -> None:
        """Hear of attempts that were recorded together."""


class Services(msgspec.Struct, frozen=True):
    """The parts a request is answered with.

    Attributes:
        wide: The database with our own rights, which sees all groups. Only for what is about no single group, or before it is
            known about which (docs/security.md).
        requests: The database as requests use it: `database` is that, for the group.
        bell: Wakes those who wait for deliveries of listeners.
        allowance: What groups may publish.
        group_id: The group it is about.
        hops: How many deliveries led to this request.
        traceparent: The trace that it belongs to (`core.trace`); None: of none.
        bound_to: The one group that whoever asks may act for; None: any.
        actor: Who asks, for the record of what people do.
        known_groups: Groups that were looked up and were there, and when.
        refusals: Notices that were refused and are not counted yet.
        for_notices: The database, as those may use it who send notices; None: as everybody.
        for_bins: The database, as it may be used for what strangers send to request bins; None: as everybody.
        readiness: What the last look found (`operations.diagnosis`).
        scraped: The reading that all share who ask for figures at the same time (`operations.readings`).
        provider: Where people sign in; None: nobody does but with a key.
        telemetry: Who is told of attempts that clients of listeners made; None: nobody.
        examined: Webhooks whose receivers are being examined, each with its group.
        across: The other homes of the fleet, for what is told of all; None: there are none, or one of them asks.
    """

    config: Config
    wide: Database
    requests: Database
    box: SecretBox
    sender: Sender
    clock: Clock
    installation: Installation
    keys: KeyRing
    publisher: Publisher
    bell: Bell
    admission: Admission
    allowance: Allowance
    group_id: str = DEFAULT_GROUP
    hops: int = 0
    traceparent: str | None = None
    bound_to: str | None = None
    actor: Actor = Actor()
    known_groups: dict[str, datetime] = msgspec.field(default_factory=dict)
    refusals: Tally = msgspec.field(default_factory=Tally)
    for_notices: Database | None = None
    for_bins: Database | None = None
    passwords: Passwords = msgspec.field(default_factory=Passwords)
    readiness: Readiness = msgspec.field(default_factory=Readiness)
    scraped: OneAtATime[Any] = msgspec.field(default_factory=OneAtATime)
    provider: Provider | None = None
    telemetry: Hears | None = None
    examined: dict[UUID, str] = msgspec.field(default_factory=dict)
    across: Across | None = None

    @property
    def are_tables_elsewhere(self) -> bool:
        """Whether tables can be in other databases: this is a home of a fleet."""
        return self.config.home is not None

    @property
    def database(self) -> Database:
        """The database, of which the group's rows alone are seen (`store.request_role`)."""
        return self.requests.acting_for(self.group_id)

    def after(self, hops: int, traceparent: str | None = None) -> "Services":
        """Return the same, for what so many deliveries led to, in a trace."""
        wide, requests = self.wide.after(hops, traceparent), self.requests.after(hops, traceparent)
        return msgspec.structs.replace(self, wide=wide, requests=requests, hops=hops, traceparent=traceparent)
