"""`client.bins`, for the asynchronous client."""

from collections.abc import AsyncIterator
from typing import Unpack

from tidings.client.async_http import AsyncHttp
from tidings.client.examined_models import Bin, CaughtRequest
from tidings.client.exchange import WALKED, by_last, by_offset, part
from tidings.client.filters import BinRequestFilters, Id, Paged
from tidings.client.inputs import BinInput

# The class below has a method called `list`, which hides the type of that name.
_Bins = list[Bin]
_Requests = list[CaughtRequest]


class AsyncBins:
    """`client.bins`: addresses that take any request, keep it for a day and answer as told."""

    def __init__(self, http: AsyncHttp) -> None:
        self._http = http

    async def create(self, **said: Unpack[BinInput]) -> Bin:
        """Make a bin. Its `url`, which nobody can guess, takes any request."""
        return await self._http.request("POST", "/api/v1/bins", Bin, body=said)

    async def list(self, **page: Unpack[Paged]) -> _Bins:
        """List bins, newest first."""
        return await self._http.request("GET", "/api/v1/bins", _Bins, query=page)

    def walk(self, **page: Unpack[Paged]) -> AsyncIterator[Bin]:
        """Read every bin, newest first."""
        return self._http.walk("/api/v1/bins", _Bins, {"limit": WALKED, **page}, by_offset)

    async def get(self, bin_id: Id) -> Bin:
        """Read a bin."""
        return await self._http.request("GET", f"/api/v1/bins/{part(bin_id)}", Bin)

    async def update(self, bin_id: Id, **changes: Unpack[BinInput]) -> Bin:
        """Change what a bin answers, or what it verifies with."""
        return await self._http.request("PATCH", f"/api/v1/bins/{part(bin_id)}", Bin, body=changes)

    async def delete(self, bin_id: Id) -> None:
        """Delete a bin with all that came to it."""
        await self._http.request("DELETE", f"/api/v1/bins/{part(bin_id)}", object)

    async def list_requests(self, bin_id: Id, **filters: Unpack[BinRequestFilters]) -> _Requests:
        """List what came to a bin, newest first; with `after` what came later than that, oldest first."""
        return await self._http.request("GET", f"/api/v1/bins/{part(bin_id)}/requests", _Requests, query=filters)

    def walk_requests(self, bin_id: Id, **filters: Unpack[BinRequestFilters]) -> AsyncIterator[CaughtRequest]:
        """Read all that came to a bin, newest first; with `after` what came later than that, oldest first."""
        turn = by_last("number", "after" if "after" in filters else "before")
        return self._http.walk(f"/api/v1/bins/{part(bin_id)}/requests", _Requests, {"limit": WALKED, **filters}, turn)

    async def get_request(self, bin_id: Id, number: int) -> CaughtRequest:
        """Read one request, with whether its signature was as expected, and if not, why."""
        return await self._http.request("GET", f"/api/v1/bins/{part(bin_id)}/requests/{part(number)}", CaughtRequest)

    async def clear(self, bin_id: Id) -> None:
        """Take away all that came to a bin."""
        await self._http.request("DELETE", f"/api/v1/bins/{part(bin_id)}/requests", object)
