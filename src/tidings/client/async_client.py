"""The asynchronous client. `python tools/make_sync_client.py` makes the `sync_*.py` of the `async_*.py`."""

from dataclasses import replace
from typing import Any

import httpx

from tidings.client.async_administration import (
    AsyncAudit,
    AsyncEgress,
    AsyncGroups,
    AsyncGroupsLimits,
    AsyncInstallation,
    AsyncKeys,
    AsyncPortalLinks,
    AsyncSetAside,
    AsyncSigningKeys,
)
from tidings.client.async_bins import AsyncBins
from tidings.client.async_content import AsyncCollections, AsyncRecords
from tidings.client.async_history import AsyncAttemptStatistics, AsyncDeliveries, AsyncEvents, AsyncRecoveries
from tidings.client.async_http import AsyncHttp
from tidings.client.async_listening import AsyncListeners
from tidings.client.async_members import AsyncMembers, AsyncSessions
from tidings.client.async_privacy import AsyncErasures, AsyncRedaction
from tidings.client.async_sources import AsyncBackfills, AsyncEventTypes, AsyncIntegrations, AsyncJobs, AsyncTables
from tidings.client.async_webhooks import AsyncWebhooks
from tidings.client.options import DEFAULT_TIMEOUT, RETRIES, Options


class AsyncClient:
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
        transport: httpx.AsyncBaseTransport | None = None,
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
        self._set_up(AsyncHttp(httpx.AsyncClient(transport=transport), options))

    def _set_up(self, http: AsyncHttp) -> None:
        self._http = http
        self.webhooks = AsyncWebhooks(http)
        self.deliveries = AsyncDeliveries(http)
        self.events = AsyncEvents(http)
        self.listeners = AsyncListeners(http)
        self.recoveries = AsyncRecoveries(http)
        self.statistics = AsyncAttemptStatistics(http)
        self.event_types = AsyncEventTypes(http)
        self.redaction = AsyncRedaction(http)
        self.erasures = AsyncErasures(http)
        self.tables = AsyncTables(http)
        self.backfills = AsyncBackfills(http)
        self.collections = AsyncCollections(http)
        self.records = AsyncRecords(http)
        self.jobs = AsyncJobs(http)
        self.integrations = AsyncIntegrations(http)
        self.bins = AsyncBins(http)
        self.groups = AsyncGroups(http)
        self.limits = AsyncGroupsLimits(http)
        self.keys = AsyncKeys(http)
        self.members = AsyncMembers(http)
        self.sessions = AsyncSessions(http)
        self.portal_links = AsyncPortalLinks(http)
        self.signing_keys = AsyncSigningKeys(http)
        self.egress = AsyncEgress(http)
        self.set_aside = AsyncSetAside(http)
        self.audit = AsyncAudit(http)
        self.diagnosis = AsyncInstallation(http)

    def with_options(self, **options: Any) -> "AsyncClient":
        """Return a client with other options, on the connections of this one: closing either closes both.

        Args:
            options: `api_key`, `group`, `home`, `timeout` and `retries`; what is not named stays.

        Raises:
            ValueError: `timeout` or `retries` is none.
            TypeError: There is no such option.
        """
        made = object.__new__(type(self))
        made._set_up(AsyncHttp(self._http.http, replace(self._http.options, **options)))
        return made

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close its connections."""
        await self._http.http.aclose()
