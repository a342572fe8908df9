"""`client.events`, `deliveries`, `recoveries` and `statistics`, for the asynchronous client."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Unpack
from uuid import uuid4

import msgspec

from tidings.client.async_http import AsyncHttp
from tidings.client.exchange import WALKED, by_last, by_member, given, part
from tidings.client.filters import AllStatisticsFilters, DeliveryFilters, EventFilters, ExplainAsked, Id, Walked
from tidings.client.history_models import (
    Attempt,
    BatchResult,
    Delivery,
    Event,
    Explained,
    Page,
    Published,
    Recovery,
    Statistics,
    WebhookExplained,
)
from tidings.client.inputs import EventInput, RetryInput

# The classes below have a method called `list`, which hides the type of that name.
_Events = list[Event]
_Explained = list[WebhookExplained]
_Deliveries = list[Delivery]
_Attempts = list[Attempt]
_Recoveries = list[Recovery]


class AsyncEvents:
    """`client.events`: what happened, and publishing more of it."""

    def __init__(self, http: AsyncHttp) -> None:
        self._http = http

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
            type: A dotted name, such as `order.paid`.
            subject: What it is about, for people and searches.
            id: Your own id: publishing it again sends nothing again. Made when absent, so that a retry cannot publish twice.
            caused_by: The headers of the delivery that it answers, so that a loop is found.
        """
        body = {"type": type, "data": data, "id": id or str(uuid4())} | given(subject=subject)
        return await self._http.request("POST", "/api/v1/events", Published, body=body, repeatable=True, caused_by=caused_by)

    async def publish_batch(self, events: Iterable[EventInput], *, caused_by: Mapping[str, str] | None = None) -> BatchResult:
        """Publish up to 10,000 events in one call; what cannot be accepted keeps none of the others.

        Args:
            events: Each with `type` and `data`, and perhaps `subject` and `id`; an id is made when absent.
            caused_by: As of `publish`.
        """
        body = b"\n".join(msgspec.json.encode({"id": str(uuid4()), **event}) for event in events)
        return await self._http.request(
            "POST", "/api/v1/events/batch", BatchResult, body=body, repeatable=True, caused_by=caused_by
        )

    async def list(self, **filters: Unpack[EventFilters]) -> _Events:
        """List events, newest first."""
        return (await self.page(**filters)).items

    async def page(self, **filters: Unpack[EventFilters]) -> Page[Event]:
        """List events, with the cursors of the pages around."""
        return await self._http.page("/api/v1/events", _Events, filters)

    def walk(self, **filters: Unpack[EventFilters]) -> AsyncIterator[Event]:
        """Read every event that fits, newest first."""
        return self._http.walk("/api/v1/events", _Events, filters)

    async def get(self, event_id: Id) -> Event:
        """Read an event."""
        return await self._http.request("GET", f"/api/v1/events/{part(event_id)}", Event)

    async def explain(self, event_id: Id, **asked: Unpack[ExplainAsked]) -> Explained:
        """Read for each webhook whether an event goes to it, and why: those it goes to first, then the nearest."""
        return await self._http.request("GET", f"/api/v1/events/{part(event_id)}/explain", Explained, query=asked)

    def walk_explain(self, event_id: Id, **asked: Unpack[ExplainAsked]) -> AsyncIterator[WebhookExplained]:
        """Read for every webhook whether an event goes to it, and why."""
        return self._http.walk(f"/api/v1/events/{part(event_id)}/explain", _Explained, asked, by_member("webhooks"))


class AsyncDeliveries:
    """`client.deliveries`: events on their way to webhooks."""

    def __init__(self, http: AsyncHttp) -> None:
        self._http = http

    async def list(self, **filters: Unpack[DeliveryFilters]) -> _Deliveries:
        """List deliveries, newest first."""
        return (await self.page(**filters)).items

    async def page(self, **filters: Unpack[DeliveryFilters]) -> Page[Delivery]:
        """List deliveries, with the cursors of the pages around."""
        return await self._http.page("/api/v1/deliveries", _Deliveries, filters)

    def walk(self, **filters: Unpack[DeliveryFilters]) -> AsyncIterator[Delivery]:
        """Read every delivery that fits, newest first."""
        return self._http.walk("/api/v1/deliveries", _Deliveries, filters)

    async def get(self, delivery_id: Id) -> Delivery:
        """Read a delivery."""
        return await self._http.request("GET", f"/api/v1/deliveries/{part(delivery_id)}", Delivery)

    async def list_attempts(self, delivery_id: Id) -> _Attempts:
        """List a delivery's attempts, oldest first."""
        return await self._http.request("GET", f"/api/v1/deliveries/{part(delivery_id)}/attempts", _Attempts)

    async def get_attempt(self, delivery_id: Id, number: int) -> Attempt:
        """Read one attempt, with the request as it was sent."""
        return await self._http.request("GET", f"/api/v1/deliveries/{part(delivery_id)}/attempts/{part(number)}", Attempt)

    async def retry(self, delivery_id: Id) -> Delivery:
        """Send a delivery again, with the same id."""
        return await self._http.request("POST", f"/api/v1/deliveries/{part(delivery_id)}/retry", Delivery)

    async def retry_all(self, **asked: Unpack[RetryInput]) -> Recovery:
        """Send many deliveries again, as a job: up to 1,000 by their ids, or all that a search finds."""
        return await self._http.request("POST", "/api/v1/deliveries/retry", Recovery, body=asked)


class AsyncRecoveries:
    """`client.recoveries`: jobs that send many deliveries again."""

    def __init__(self, http: AsyncHttp) -> None:
        self._http = http

    async def list(self, **page: Unpack[Walked]) -> _Recoveries:
        """List recoveries, newest first. `cursor`: the last id of the page before."""
        return await self._http.request("GET", "/api/v1/recoveries", _Recoveries, query=page)

    def walk(self, **page: Unpack[Walked]) -> AsyncIterator[Recovery]:
        """Read every recovery, newest first."""
        return self._http.walk("/api/v1/recoveries", _Recoveries, {"limit": WALKED, **page}, by_last("id"))

    async def get(self, recovery_id: Id) -> Recovery:
        """Read how far a recovery has come."""
        return await self._http.request("GET", f"/api/v1/recoveries/{part(recovery_id)}", Recovery)

    async def cancel(self, recovery_id: Id) -> Recovery:
        """End a recovery early. What it has put into the queue is delivered."""
        return await self._http.request("POST", f"/api/v1/recoveries/{part(recovery_id)}/cancel", Recovery)


class AsyncAttemptStatistics:
    """`client.statistics`: how attempts fared."""

    def __init__(self, http: AsyncHttp) -> None:
        self._http = http

    async def get(self, **asked: Unpack[AllStatisticsFilters]) -> Statistics:
        """Read how attempts fared, of all webhooks or of one; of the last day when nothing is said."""
        return await self._http.request("GET", "/api/v1/statistics", Statistics, query=asked)
