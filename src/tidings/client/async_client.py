"""The asynchronous client: what can be asked of a server. `tools/make_sync_client.py` makes the synchronous one of it."""

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, Unpack
from uuid import UUID, uuid4

import msgspec

from tidings.client.async_requests import AsyncRequests
from tidings.client.exchange import TEST_TIMEOUT, asked, given
from tidings.client.models import (
    Attempt,
    BatchResult,
    Delivery,
    DeliveryFilters,
    DryRun,
    EventFilters,
    Explained,
    Page,
    Preview,
    Published,
    Recovery,
    RetryFilters,
    Secret,
    Statistics,
    TestResult,
    Webhook,
    WebhookDeliveryFilters,
)

# The resources below have a method called `list`, which hides the type of that name.
WebhookList = list[Webhook]
DeliveryList = list[Delivery]
AttemptList = list[Attempt]
EventList = list[dict[str, Any]]
RecoveryList = list[Recovery]


class AsyncClient(AsyncRequests):
    """A client of one server. Making it sends nothing.

    What can be done twice is tried again when the network or the server is unwell; the rest is tried once.
    """

    @cached_property
    def webhooks(self) -> "AsyncWebhooks":
        """Webhooks: make, change, test, recover, rotate."""
        return AsyncWebhooks(self)

    @cached_property
    def deliveries(self) -> "AsyncDeliveries":
        """Deliveries: what was sent, and sending it again."""
        return AsyncDeliveries(self)

    @cached_property
    def events(self) -> "AsyncEvents":
        """Events: publish, look through, explain."""
        return AsyncEvents(self)

    @cached_property
    def recoveries(self) -> "AsyncRecoveries":
        """Jobs that send many deliveries again."""
        return AsyncRecoveries(self)

    async def statistics(
        self,
        *,
        webhook_id: UUID | str | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        step: str | None = None,
    ) -> Statistics:
        """Read how attempts fared, of all webhooks or of one; of the last day when nothing is said.

        Args:
            step: `minute`, `hour` or `day`.
        """
        query = asked({"webhook_id": webhook_id, "since": since, "until": until, "step": step})
        return await self.request("GET", "/api/v1/statistics", Statistics, query=query)


class AsyncWebhooks:
    """`client.webhooks`."""

    def __init__(self, client: AsyncRequests) -> None:
        self._client = client

    async def create(self, url: str, events: list[Any], **settings: Any) -> Webhook:
        """Create a webhook. The answer has its secret.

        Args:
            events: Event types, families such as `content.*`, `*`, or `{"table": "orders"}`.
            settings: Any other field of a webhook, such as `profile`, `secret`, `headers` or `retry`. Without `profile` the
                server chooses by the shape of the request; `profile_reason` says why.
        """
        return await self._client.request("POST", "/api/v1/webhooks", Webhook, body={"url": url, "events": events, **settings})

    async def list(self, *, limit: int = 50, offset: int = 0) -> WebhookList:
        """List webhooks, newest first."""
        return await self._client.request("GET", "/api/v1/webhooks", WebhookList, query={"limit": limit, "offset": offset})

    async def get(self, webhook_id: UUID | str) -> Webhook:
        """Read a webhook."""
        return await self._client.request("GET", f"/api/v1/webhooks/{webhook_id}", Webhook)

    async def update(self, webhook_id: UUID | str, **changes: Any) -> Webhook:
        """Change what is named; the rest stays."""
        return await self._client.request("PATCH", f"/api/v1/webhooks/{webhook_id}", Webhook, body=changes)

    async def preview(self, webhook_id: UUID | str | None = None, **content: Any) -> Preview:
        """Read the exact request that a webhook would send. Nothing is changed or sent.

        Args:
            webhook_id: None for one that is not saved yet.
            content: Fields of the webhook as they would be; `event_id` for an event of history, or a sample as for `test`.
        """
        path = "/api/v1/webhooks/preview" if webhook_id is None else f"/api/v1/webhooks/{webhook_id}/preview"
        return await self._client.request("POST", path, Preview, body=content, repeatable=True)

    async def delete(self, webhook_id: UUID | str) -> None:
        """Delete a webhook. Its unfinished deliveries are cancelled."""
        await self._client.request("DELETE", f"/api/v1/webhooks/{webhook_id}", dict[str, Any])

    async def deliveries(self, webhook_id: UUID | str, **filters: Unpack[WebhookDeliveryFilters]) -> DeliveryList:
        """List a webhook's deliveries, newest first."""
        return (await self._client.page(f"/api/v1/webhooks/{webhook_id}/deliveries", DeliveryList, filters)).items

    async def test(self, webhook_id: UUID | str, **content: Any) -> TestResult:
        """Send a test event and wait for what comes of it. It is tried once, paused or not.

        Args:
            content: `event`, a type by the names of the webhook's profile, and `data` instead of its example; or `table`,
                `event`, `record` and `old_record` for the change of a row.
        """
        path = f"/api/v1/webhooks/{webhook_id}/test"
        return await self._client.request("POST", path, TestResult, body=content, timeout=TEST_TIMEOUT)

    async def recover(
        self,
        webhook_id: UUID | str,
        *,
        since: datetime | str,
        until: datetime | str | None = None,
        missing: bool = False,
        rate_per_second: float | None = None,
    ) -> Recovery:
        """Send a webhook all again, as a job, that it did not acknowledge of the events of a time.

        Args:
            until: Not included; now when None.
            missing: Also what it would hear now and never had a delivery of: from while it was paused, disabled or not there.
            rate_per_second: How many go into the queue in a second; as fast as the webhook takes them when None.
        """
        body = given(since=since, until=until, missing=missing, rate_per_second=rate_per_second)
        return await self._client.request("POST", f"/api/v1/webhooks/{webhook_id}/recover", Recovery, body=body)

    async def dry_run(
        self,
        webhook_id: UUID | str | None = None,
        *,
        days: int = 7,
        limit: int = 50,
        cursor: UUID | str | None = None,
        **settings: Any,
    ) -> DryRun:
        """Read what a webhook would have been sent of the last days. Nothing is sent or saved.

        Args:
            webhook_id: One that is there, as it is or as `settings` change it; None: one that is not saved.
            settings: As of a creation or a change, such as `events`.
        """
        path = "/api/v1/webhooks/dry-run" if webhook_id is None else f"/api/v1/webhooks/{webhook_id}/dry-run"
        query = asked({"days": days, "limit": limit, "cursor": cursor})
        body = settings if settings or webhook_id is None else None
        return await self._client.request("POST", path, DryRun, body=body, query=query, repeatable=True)

    async def secret(self, webhook_id: UUID | str) -> Secret:
        """Read the secret that verifies this webhook's deliveries."""
        return await self._client.request("GET", f"/api/v1/webhooks/{webhook_id}/secret", Secret)

    async def rotate_secret(
        self, webhook_id: UUID | str, *, secret: str | None = None, overlap_seconds: float | None = None
    ) -> Secret:
        """Give the webhook another secret; the present one verifies beside it until the overlap ends (a day)."""
        body = given(secret=secret, overlap_seconds=overlap_seconds)
        return await self._client.request("POST", f"/api/v1/webhooks/{webhook_id}/secret/rotate", Secret, body=body)


class AsyncDeliveries:
    """`client.deliveries`."""

    def __init__(self, client: AsyncRequests) -> None:
        self._client = client

    async def list(self, **filters: Unpack[DeliveryFilters]) -> DeliveryList:
        """List deliveries, newest first."""
        return (await self.page(**filters)).items

    async def page(self, **filters: Unpack[DeliveryFilters]) -> Page[Delivery]:
        """List deliveries, with the cursors of the pages around."""
        return await self._client.page("/api/v1/deliveries", DeliveryList, filters)

    def walk(self, **filters: Unpack[DeliveryFilters]) -> AsyncIterator[Delivery]:
        """Read every delivery that fits, newest first, page by page."""
        return self._client.walk("/api/v1/deliveries", DeliveryList, filters)

    async def get(self, delivery_id: UUID | str) -> Delivery:
        """Read a delivery."""
        return await self._client.request("GET", f"/api/v1/deliveries/{delivery_id}", Delivery)

    async def attempts(self, delivery_id: UUID | str) -> AttemptList:
        """List a delivery's attempts, oldest first."""
        return await self._client.request("GET", f"/api/v1/deliveries/{delivery_id}/attempts", AttemptList)

    async def retry(self, delivery_id: UUID | str) -> Delivery:
        """Send a delivery again, with the same id."""
        return await self._client.request("POST", f"/api/v1/deliveries/{delivery_id}/retry", Delivery)

    async def retry_all(
        self,
        *,
        ids: Iterable[UUID | str] | None = None,
        rate_per_second: float | None = None,
        **search: Unpack[RetryFilters],
    ) -> Recovery:
        """Send many deliveries again, as a job: up to 1,000 by their ids, or all that a search finds."""
        body = {**search, **given(ids=None if ids is None else [str(id_) for id_ in ids], rate_per_second=rate_per_second)}
        return await self._client.request("POST", "/api/v1/deliveries/retry", Recovery, body=body)


class AsyncRecoveries:
    """`client.recoveries`: jobs that send many deliveries again."""

    def __init__(self, client: AsyncRequests) -> None:
        self._client = client

    async def list(self, *, limit: int = 50, cursor: UUID | str | None = None) -> RecoveryList:
        """List recoveries, newest first. `cursor`: the last id of the page before."""
        query = asked({"limit": limit, "cursor": cursor})
        return await self._client.request("GET", "/api/v1/recoveries", RecoveryList, query=query)

    async def get(self, recovery_id: UUID | str) -> Recovery:
        """Read how far a recovery has come."""
        return await self._client.request("GET", f"/api/v1/recoveries/{recovery_id}", Recovery)

    async def cancel(self, recovery_id: UUID | str) -> Recovery:
        """End a recovery early. What it has put into the queue is delivered."""
        return await self._client.request("POST", f"/api/v1/recoveries/{recovery_id}/cancel", Recovery)


class AsyncEvents:
    """`client.events`."""

    def __init__(self, client: AsyncRequests) -> None:
        self._client = client

    async def publish(
        self,
        type: str,
        data: Any = None,
        *,
        subject: str | None = None,
        id: str | None = None,
        caused_by: Mapping[str, str] | None = None,
    ) -> Published:
        """Publish an event.

        Args:
            id: Your own id: publishing it again sends nothing again. Made when absent, so that a retry cannot publish twice.
            caused_by: The headers of the delivery that it answers, so that a loop is found.
        """
        body = {"type": type, "data": data, "id": id or str(uuid4())} | given(subject=subject)
        return await self._client.request("POST", "/api/v1/events", Published, body=body, repeatable=True, caused_by=caused_by)

    async def publish_batch(
        self, events: Iterable[Mapping[str, Any]], *, caused_by: Mapping[str, str] | None = None
    ) -> BatchResult:
        """Publish up to 10,000 events in one call; what cannot be accepted keeps none of the others.

        Args:
            events: Each with `type` and `data`, and perhaps `subject` and `id`; an id is made when absent.
            caused_by: As of `publish`.
        """
        body = b"\n".join(msgspec.json.encode({"id": str(uuid4()), **event}) for event in events)
        return await self._client.request(
            "POST", "/api/v1/events/batch", BatchResult, body=body, repeatable=True, caused_by=caused_by
        )

    async def list(self, **filters: Unpack[EventFilters]) -> EventList:
        """List events, newest first."""
        return (await self.page(**filters)).items

    async def page(self, **filters: Unpack[EventFilters]) -> Page[dict[str, Any]]:
        """List events, with the cursors of the pages around."""
        return await self._client.page("/api/v1/events", EventList, filters)

    def walk(self, **filters: Unpack[EventFilters]) -> AsyncIterator[dict[str, Any]]:
        """Read every event that fits, newest first, page by page."""
        return self._client.walk("/api/v1/events", EventList, filters)

    async def get(self, event_id: UUID | str) -> dict[str, Any]:
        """Read an event."""
        return await self._client.request("GET", f"/api/v1/events/{event_id}", dict[str, Any])

    async def explain(
        self, event_id: UUID | str, *, webhook_id: UUID | str | None = None, limit: int = 20, cursor: str | None = None
    ) -> Explained:
        """Read for each webhook whether an event goes to it, and why: those it goes to first, then the nearest.

        Args:
            webhook_id: For this one alone.
        """
        query = asked({"webhook_id": webhook_id, "limit": limit, "cursor": cursor})
        return await self._client.request("GET", f"/api/v1/events/{event_id}/explain", Explained, query=query)
