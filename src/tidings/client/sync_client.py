# Made of `async_client.py` by `python tools/make_sync_client.py`.
"""The synchronous client. `python tools/make_sync_client.py` makes the `sync_*.py` of the `sync_*.py`."""

from dataclasses import replace
from typing import Any

import httpx

from tidings.client.options import DEFAULT_TIMEOUT, RETRIES, Options
from tidings.client.sync_administration import (
    Audit,
    Egress,
    Groups,
    GroupsLimits,
    Installation,
    Keys,
    PortalLinks,
    SetAside,
    SigningKeys,
)
from tidings.client.sync_bins import Bins
from tidings.client.sync_content import Collections, Records
from tidings.client.sync_history import AttemptStatistics, Deliveries, Events, Recoveries
from tidings.client.sync_http import Http
from tidings.client.sync_listening import Listeners
from tidings.client.sync_members import Members, Sessions
from tidings.client.sync_privacy import Erasures, Redaction
from tidings.client.sync_sources import Backfills, EventTypes, Integrations, Jobs, Tables
from tidings.client.sync_webhooks import Webhooks


class Client:
    """A client of one server. Making it sends nothing.

    What can be done twice is tried again when the network or the server is unwell; the rest is tried once.

    Attributes:
        webhooks: Who is told of what, and where.
        deliveries: Events on their way to webhooks.
        events: What happened, and publishing more of it.
        listeners: Who is given deliveries when they ask.
        recoveries: Jobs that send many deliveries again.
        redaction: What of events and of answers is not kept.
        erasures: What is kept of somebody, taken out of all places.
        statistics: How attempts fared.
        event_types: What events say, described.
        tables: How the rows of tables become events.
        backfills: Jobs that send the present rows of tables.
        collections: Content with a schema.
        records: What is in collections.
        jobs: What happens by a schedule.
        integrations: Other systems that send notices.
        bins: Addresses that take any request, for trying.
        groups: Customers or tenants.
        limits: What groups may have and do, and what is used of it.
        keys: What opens the API.
        portal_links: What shows customers their own webhooks.
        signing_keys: What signs `v1a` signatures and tokens.
        set_aside: What could be neither routed nor delivered, and settings that cannot be read.
        audit: Who did what.
        diagnosis: What is wrong with the installation.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        group: str | None = None,
        home: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        retries: int = RETRIES,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Make a client.

        Args:
            url: Where the server is, such as `https://tidings.example.com`.
            api_key: The key of a person or program.
            group: Whose webhooks and events it is about; `default` when None.
            home: The home of a fleet that answers, for what is about an installation; whichever is reached when None.
            timeout: Seconds one try may take.
            retries: How often to try again.
            transport: Instead of the network, for tests.

        Raises:
            ValueError: `timeout` or `retries` is none.
        """
        options = Options(url.rstrip("/"), api_key, group, timeout, retries, home)
        self._set_up(Http(httpx.Client(transport=transport), options))

    def _set_up(self, http: Http) -> None:
        self._http = http
        self.webhooks = Webhooks(http)
        self.deliveries = Deliveries(http)
        self.events = Events(http)
        self.listeners = Listeners(http)
        self.recoveries = Recoveries(http)
        self.statistics = AttemptStatistics(http)
        self.event_types = EventTypes(http)
        self.redaction = Redaction(http)
        self.erasures = Erasures(http)
        self.tables = Tables(http)
        self.backfills = Backfills(http)
        self.collections = Collections(http)
        self.records = Records(http)
        self.jobs = Jobs(http)
        self.integrations = Integrations(http)
        self.bins = Bins(http)
        self.groups = Groups(http)
        self.limits = GroupsLimits(http)
        self.keys = Keys(http)
        self.members = Members(http)
        self.sessions = Sessions(http)
        self.portal_links = PortalLinks(http)
        self.signing_keys = SigningKeys(http)
        self.egress = Egress(http)
        self.set_aside = SetAside(http)
        self.audit = Audit(http)
        self.diagnosis = Installation(http)

    def with_options(self, **options: Any) -> "Client":
        """Return a client with other options, on the connections of this one: closing either closes both.

        Args:
            options: `api_key`, `group`, `home`, `timeout` and `retries`; what is not named stays.

        Raises:
            ValueError: `timeout` or `retries` is none.
            TypeError: There is no such option.
        """
        made = object.__new__(type(self))
        made._set_up(Http(self._http.http, replace(self._http.options, **options)))
        return made

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.http.close()
