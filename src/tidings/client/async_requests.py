"""Requests to one server, asynchronously: tried again where that is safe, and answers read as types."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from tidings.client.errors import ApiError
from tidings.client.exchange import (
    DEFAULT_TIMEOUT,
    RETRIES,
    answer_of,
    asked,
    is_worth_retrying,
    page_of,
    pause_before,
    trace_of,
    unreachable,
)
from tidings.client.models import Page

T = TypeVar("T")


class AsyncRequests:
    """Makes requests of one server.

    What can be done twice is tried again when the network or the server is unwell; the rest is tried once.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        retries: int = RETRIES,
        group: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Make a client. That sends nothing.

        Args:
            url: Where the server is, such as `https://tidings.example.com`.
            timeout: Seconds one try may take.
            retries: How often to try again.
            group: Whose webhooks and events it is about; `default` when None.
            transport: Instead of the network, for tests.
        """
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        if group is not None:
            headers["X-Tidings-Group"] = quote(group)
        self._url = url.rstrip("/")
        self._retries = retries
        self._http = httpx.AsyncClient(base_url=self._url, headers=headers, timeout=timeout, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def request(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        body: Any = None,
        query: dict[str, Any] | None = None,
        repeatable: bool | None = None,
        timeout: float | None = None,
        caused_by: Mapping[str, str] | None = None,
    ) -> T:
        """Make a request and return its answer as a type.

        Args:
            body: What is sent as JSON; bytes are sent as they are.
            repeatable: Doing it twice is the same as once; by its method when None.
            caused_by: The headers of the delivery that led to it, so that a loop is found.

        Raises:
            ApiError: The server refused, or none answered.
        """
        response = await self._send(
            method, path, body=body, query=query, repeatable=repeatable, timeout=timeout, caused_by=caused_by
        )
        return answer_of(response, kind)

    async def page(self, path: str, kind: type[list[T]], filters: Mapping[str, Any]) -> Page[T]:
        """Read a page of a list, with where to go on.

        Raises:
            ApiError: The server refused, or none answered.
        """
        return page_of(await self._send("GET", path, query=asked(filters)), kind)

    async def walk(self, path: str, kind: type[list[T]], filters: Mapping[str, Any]) -> AsyncIterator[T]:
        """Read a list to its end, page by page.

        Raises:
            ApiError: The server refused, or none answered.
        """
        query = dict(filters)
        while True:
            page = await self.page(path, kind, query)
            for item in page.items:
                yield item
            if page.next is None:
                return
            query = {name: value for name, value in query.items() if name != "offset"} | {"cursor": page.next}

    async def _send(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: dict[str, Any] | None = None,
        repeatable: bool | None = None,
        timeout: float | None = None,
        caused_by: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        may_repeat = method != "POST" if repeatable is None else repeatable
        content = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        headers = trace_of(caused_by) | ({} if body is None else {"Content-Type": "application/json"})
        options: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
        for retry in range(self._retries + 1):
            is_last = retry == self._retries or not may_repeat
            response = None
            try:
                response = await self._http.request(
                    method, path, content=content, headers=headers, params=query or {}, **options
                )
                if is_last or not is_worth_retrying(response):
                    break
            except httpx.TransportError as error:
                if is_last:
                    raise unreachable(self._url, error) from error
            await asyncio.sleep(pause_before(retry, response))
        if response is None:
            raise ApiError("retries must not be negative.", status=0, code="INVALID_INPUT")
        return response
