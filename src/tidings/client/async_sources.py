"""`client.event_types`, `tables`, `backfills`, `jobs` and `integrations`, for the asynchronous client."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Unpack

from tidings.client.async_http import AsyncHttp
from tidings.client.exchange import WALKED, answer_of, by_number, by_offset, part
from tidings.client.filters import Id, Numbered, ObjectFilters, Paged
from tidings.client.inputs import EventTypeInput, IntegrationInput, JobInput, TableInput
from tidings.client.source_models import (
    Backfill,
    EventType,
    Integration,
    IntegrationObject,
    Job,
    JobPage,
    Run,
    SyncResult,
    Table,
)

# The classes below have a method called `list`, which hides the type of that name.
_EventTypes = list[EventType]
_Tables = list[Table]
_Backfills = list[Backfill]
_Jobs = list[Job]
_Runs = list[Run]
_Integrations = list[Integration]
_Objects = list[IntegrationObject]


class AsyncEventTypes:
    """`client.event_types`: what events say, described."""

    def __init__(self, http: AsyncHttp) -> None:
        self._http = http

    async def list(self) -> _EventTypes:
        """List the event types that are described, ours among them."""
        return await self._http.request("GET", "/api/v1/event-types", _EventTypes)

    async def get(self, name: str) -> EventType:
        """Read an event type."""
        return await self._http.request("GET", f"/api/v1/event-types/{part(name)}", EventType)

    async def put(self, name: str, **said: Unpack[EventTypeInput]) -> EventType:
        """Describe an event type. What is published from then on must satisfy its schema."""
        return await self._http.request("PUT", f"/api/v1/event-types/{part(name)}", EventType, body=said)

    async def delete(self, name: str) -> None:
        """Delete the description of an event type."""
        await self._http.request("DELETE", f"/api/v1/event-types/{part(name)}", object)


class AsyncTables:
    """`client.tables`: how the rows of tables become events."""

    def __init__(self, http: AsyncHttp) -> None:
        self._http = http

    async def list(self) -> _Tables:
        """List the tables that are captured, or have settings."""
        return await self._http.request("GET", "/api/v1/tables", _Tables)

    async def get(self, table: str) -> Table:
        """Read how a table is captured: `orders`, or `sales.orders` outside `public`."""
        return await self._http.request("GET", f"/api/v1/tables/{part(table)}", Table)

    async def put(self, table: str, **settings: Unpack[TableInput]) -> Table:
        """Say how a table is captured. Changes committed after this answer are told so; none is lost meanwhile."""
        return await self._http.request("PUT", f"/api/v1/tables/{part(table)}", Table, body=settings)

    async def delete(self, table: str) -> Table | None:
        """Capture the table as any other again: whole rows, into group `default`. `warnings` say who hears less of it.

        Returns:
            How it is captured now; None when an earlier try of this call had done it, whose answer was lost.
        """
        response = await self._http.send("DELETE", f"/api/v1/tables/{part(table)}")
        return None if response.status_code == 204 else answer_of(response, Table)

    async def backfill(self, table: str, *, webhook_id: Id) -> Backfill:
        """Send a table's present rows to a webhook as insertions, and go on with their changes, without gap or overlap."""
        body = {"webhook_id": webhook_id}
        return await self._http.request("POST", f"/api/v1/tables/{part(table)}/backfill", Backfill, body=body)


class AsyncBackfills:
    """`client.backfills`: jobs that send the present rows of tables."""

    def __init__(self, http: AsyncHttp) -> None:
        self._http = http

    async def list(self, **page: Unpack[Paged]) -> _Backfills:
        """List backfills, newest first."""
        return await self._http.request("GET", "/api/v1/backfills", _Backfills, query=page)

    def walk(self, **page: Unpack[Paged]) -> AsyncIterator[Backfill]:
        """Read every backfill, newest first."""
        return self._http.walk("/api/v1/backfills", _Backfills, {"limit": WALKED, **page}, by_offset)

    async def get(self, backfill_id: Id) -> Backfill:
        """Read how far a backfill has come."""
        return await self._http.request("GET", f"/api/v1/backfills/{part(backfill_id)}", Backfill)

    async def cancel(self, backfill_id: Id) -> Backfill:
        """End a backfill early. What it has written is delivered."""
        return await self._http.request("POST", f"/api/v1/backfills/{part(backfill_id)}/cancel", Backfill)


class AsyncJobs:
    """`client.jobs`: what happens by a schedule."""

    def __init__(self, http: AsyncHttp) -> None:
        self._http = http

    async def create(self, **job: Unpack[JobInput]) -> Job:
        """Create a job. From this answer on each of its ticks happens once."""
        return await self._http.request("POST", "/api/v1/cron", Job, body=job)

    async def list(self, **page: Unpack[Numbered]) -> JobPage:
        """List jobs, in order of their names."""
        return await self._http.request("GET", "/api/v1/cron", JobPage, query=page)

    def walk(self, **page: Unpack[Numbered]) -> AsyncIterator[Job]:
        """Read every job, in order of their names."""
        return self._http.walk("/api/v1/cron", _Jobs, {"perPage": WALKED, **page}, by_number)

    async def get(self, job_id: Id) -> Job:
        """Read a job."""
        return await self._http.request("GET", f"/api/v1/cron/{part(job_id)}", Job)

    async def update(self, job_id: Id, **changes: Unpack[JobInput]) -> Job:
        """Change what is named; the rest stays. A changed schedule counts from now."""
        return await self._http.request("PATCH", f"/api/v1/cron/{part(job_id)}", Job, body=changes)

    async def delete(self, job_id: Id) -> None:
        """Delete a job. What it has sent stays in history; what is not sent yet is cancelled."""
        await self._http.request("DELETE", f"/api/v1/cron/{part(job_id)}", object)

    async def run(self, job_id: Id) -> Job:
        """Fire an http job now, out of turn. Its schedule stays as it is."""
        return await self._http.request("POST", f"/api/v1/cron/{part(job_id)}/run", Job)

    async def list_runs(self, job_id: Id, **page: Unpack[Numbered]) -> _Runs:
        """List the ticks of a job that fired, newest first."""
        return await self._http.request("GET", f"/api/v1/cron/{part(job_id)}/runs", _Runs, query=page)

    def walk_runs(self, job_id: Id, **page: Unpack[Numbered]) -> AsyncIterator[Run]:
        """Read every tick of a job that fired, newest first."""
        return self._http.walk(f"/api/v1/cron/{part(job_id)}/runs", _Runs, {"perPage": WALKED, **page}, by_number)


class AsyncIntegrations:
    """`client.integrations`: other systems that send notices."""

    def __init__(self, http: AsyncHttp) -> None:
        self._http = http

    async def create(self, **integration: Unpack[IntegrationInput]) -> Integration:
        """Create an integration. Give its `url` and its secret to the system that is to send there."""
        return await self._http.request("POST", "/api/v1/integrations", Integration, body=integration)

    async def list(self, **page: Unpack[Paged]) -> _Integrations:
        """List integrations, in order of their names."""
        return await self._http.request("GET", "/api/v1/integrations", _Integrations, query=page)

    def walk(self, **page: Unpack[Paged]) -> AsyncIterator[Integration]:
        """Read every integration, in order of their names."""
        return self._http.walk("/api/v1/integrations", _Integrations, {"limit": WALKED, **page}, by_offset)

    async def get(self, name: str) -> Integration:
        """Read an integration."""
        return await self._http.request("GET", f"/api/v1/integrations/{part(name)}", Integration)

    async def update(self, integration: str, **changes: Unpack[IntegrationInput]) -> Integration:
        """Change the secret or the settings; `enabled=False` disconnects it, and its notices are refused."""
        return await self._http.request("PATCH", f"/api/v1/integrations/{part(integration)}", Integration, body=changes)

    async def delete(self, name: str) -> None:
        """Delete an integration, with what is known of its objects. Events that were made stay."""
        await self._http.request("DELETE", f"/api/v1/integrations/{part(name)}", object)

    async def list_objects(self, name: str, **filters: Unpack[ObjectFilters]) -> _Objects:
        """List an integration's objects as they were told last."""
        return await self._http.request("GET", f"/api/v1/integrations/{part(name)}/objects", _Objects, query=filters)

    def walk_objects(self, name: str, **filters: Unpack[ObjectFilters]) -> AsyncIterator[IntegrationObject]:
        """Read every object of an integration as it was told last."""
        path = f"/api/v1/integrations/{part(name)}/objects"
        return self._http.walk(path, _Objects, {"limit": WALKED, **filters}, by_offset)

    async def sync(self, name: str, *, objects: Iterable[Mapping[str, Any]], complete: bool = False) -> SyncResult:
        """Bring an integration's objects up to date with those of the other system: each that differs is an event.

        Args:
            objects: Each with `type`, `id` and `data`.
            complete: These are all: what is not among them was deleted.
        """
        body = {"objects": [*objects], "complete": complete}
        path = f"/api/v1/integrations/{part(name)}/sync"
        return await self._http.request("POST", path, SyncResult, body=body, repeatable=True)
