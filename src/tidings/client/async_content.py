"""`client.collections` and `client.records`, for the asynchronous client."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Unpack

from tidings.client.async_http import AsyncHttp
from tidings.client.exchange import WALKED, by_number, by_offset, given, part
from tidings.client.filters import Paged, RecordFilters
from tidings.client.inputs import CollectionInput
from tidings.client.source_models import Collection, RecordPage, Session

# The classes below have a method called `list`, which hides the type of that name.
_Collections = list[Collection]
_Records = list[dict[str, Any]]
_Record = dict[str, Any]

_ROOT = "/api/v1/collections"


class AsyncCollections:
    """`client.collections`: content with a schema, whose changes are events."""

    def __init__(self, http: AsyncHttp) -> None:
        self._http = http

    async def create(self, **collection: Unpack[CollectionInput]) -> Collection:
        """Create a collection."""
        return await self._http.request("POST", _ROOT, Collection, body=collection)

    async def list(self, **page: Unpack[Paged]) -> _Collections:
        """List collections, in order of their names."""
        return await self._http.request("GET", _ROOT, _Collections, query=page)

    def walk(self, **page: Unpack[Paged]) -> AsyncIterator[Collection]:
        """Read every collection, in order of their names."""
        return self._http.walk(_ROOT, _Collections, {"limit": WALKED, **page}, by_offset)

    async def get(self, collection: str) -> Collection:
        """Read a collection."""
        return await self._http.request("GET", f"{_ROOT}/{part(collection)}", Collection)

    async def update(self, collection: str, **changes: Unpack[CollectionInput]) -> Collection:
        """Change what is named; the rest stays. A change of the schema that would lose data is refused, with what to do."""
        return await self._http.request("PATCH", f"{_ROOT}/{part(collection)}", Collection, body=changes)

    async def delete(self, collection: str, *, confirm: str) -> None:
        """Delete a collection with all its records and triggers.

        Args:
            confirm: Its name again, since nothing brings it back.
        """
        await self._http.request("DELETE", f"{_ROOT}/{part(collection)}", object, query={"confirm": confirm})

    async def authenticate(
        self, collection: str, *, password: str, email: str | None = None, identity: str | None = None
    ) -> Session:
        """Tell whether somebody has an e-mail address and its password, in a collection of type `auth`.

        Args:
            identity: The same as `email`, in the words of other systems.

        Raises:
            ApiError: Nobody has, or no server answered.
        """
        body = given(password=password, email=email, identity=identity)
        return await self._http.request("POST", f"{_ROOT}/{part(collection)}/auth", Session, body=body, repeatable=True)


class AsyncRecords:
    """`client.records`: what is in collections."""

    def __init__(self, http: AsyncHttp) -> None:
        self._http = http

    async def create(self, collection: str, record: Mapping[str, Any]) -> _Record:
        """Create a record."""
        return await self._http.request("POST", _of(collection), _Record, body=record)

    async def create_many(self, collection: str, records: Iterable[Mapping[str, Any]]) -> _Records:
        """Create several records: all or none. Each is an event of its own."""
        return await self._http.request("POST", _of(collection), _Records, body=[*records])

    async def list(self, collection: str, **filters: Unpack[RecordFilters]) -> RecordPage:
        """List records."""
        return await self._http.request("GET", _of(collection), RecordPage, query=filters)

    def walk(self, collection: str, **filters: Unpack[RecordFilters]) -> AsyncIterator[_Record]:
        """Read every record that fits."""
        return self._http.walk(_of(collection), _Records, {"perPage": WALKED, **filters}, by_number)

    async def get(self, collection: str, record_id: str) -> _Record:
        """Read a record."""
        return await self._http.request("GET", f"{_of(collection)}/{part(record_id)}", _Record)

    async def update(self, collection: str, record_id: str, changes: Mapping[str, Any]) -> _Record:
        """Change what is named of a record; the rest stays."""
        return await self._http.request("PATCH", f"{_of(collection)}/{part(record_id)}", _Record, body=changes)

    async def update_many(self, collection: str, records: Iterable[Mapping[str, Any]]) -> _Records:
        """Change several records, each with its `id` and what changes of it: all or none. Each is an event of its own."""
        return await self._http.request("PATCH", _of(collection), _Records, body=[*records])

    async def delete(self, collection: str, record_id: str) -> None:
        """Delete a record."""
        await self._http.request("DELETE", f"{_of(collection)}/{part(record_id)}", object)

    async def delete_many(self, collection: str, record_ids: Iterable[str]) -> None:
        """Delete several records: all or none. Each is an event of its own."""
        await self._http.request("DELETE", _of(collection), object, body={"ids": [*record_ids]})


def _of(collection: str) -> str:
    return f"{_ROOT}/{part(collection)}/records"
