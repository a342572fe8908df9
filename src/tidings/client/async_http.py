"""JSON over HTTP for the asynchronous client: what can be done twice is tried again, the rest is tried once."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeVar

import httpx

from tidings.client.errors import ApiError
from tidings.client.exchange import (
    Turn,
    answer_of,
    asked,
    by_cursor,
    content_of,
    is_done_already,
    is_worth_retrying,
    page_of,
    pause_before,
    trace_of,
    unreachable,
)
from tidings.client.history_models import Page
from tidings.client.options import Options

T = TypeVar("T")


class AsyncHttp:
    """Sends requests of one server, one key and one group. Clients made of another by `with_options` share its connections."""

    def __init__(self, http: httpx.AsyncClient, options: Options) -> None:
        self.http = http
        self.options = options

    async def request(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        repeatable: bool | None = None,
        timeout: float | None = None,
        caused_by: Mapping[str, str] | None = None,
    ) -> T:
        """Make a request and return its answer as a type.

        Args:
            body: What is sent as JSON; bytes are sent as they are.
            repeatable: Doing it twice is the same as once; by its method when None.
            timeout: Seconds it takes at least by its nature; the client's own timeout where that is longer.
            caused_by: The headers of the delivery that led to it, so that a loop is found.

        Raises:
            ApiError: The server refused, or none answered.
        """
        response = await self.send(
            method, path, body=body, query=query, repeatable=repeatable, timeout=timeout, caused_by=caused_by
        )
        return answer_of(response, kind)

    async def page(self, path: str, kind: type[list[T]], query: Mapping[str, Any]) -> Page[T]:
        """Read a page of a list, with where to go on.

        Raises:
            ApiError: The server refused, or none answered.
        """
        return page_of(await self.send("GET", path, query=query), kind)

    async def walk(
        self,
        path: str,
        kind: type[list[T]],
        query: Mapping[str, Any],
        turn: Turn = by_cursor,
        *,
        method: str = "GET",
        body: Any = None,
    ) -> AsyncIterator[T]:
        """Read a list to its end, page by page.

        Args:
            turn: How this list says where its next page is.

        Raises:
            ApiError: The server refused, or none answered.
        """
        left: Mapping[str, Any] | None = query
        while left is not None:
            response = await self.send(method, path, body=body, query=left, repeatable=True)
            items, left = turn(response, kind, left)
            for item in items:
                yield item

    async def send(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        repeatable: bool | None = None,
        timeout: float | None = None,
        caused_by: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Make a request, again while that is allowed and may help; return the answer, whatever it says.

        Raises:
            ApiError: No server answered.
        """
        options = self.options
        tries = options.retries + 1 if (method != "POST" if repeatable is None else repeatable) else 1
        content = content_of(body)
        headers = options.headers | trace_of(caused_by) | ({} if body is None else {"Content-Type": "application/json"})
        limit = max(options.timeout, timeout or 0.0)
        for left in reversed(range(tries)):
            response = None
            try:
                response = await self.http.request(
                    method, options.url + path, content=content, headers=headers, params=asked(query or {}), timeout=limit
                )
                if left == 0 or not is_worth_retrying(response):
                    return is_done_already(method, response) if left < tries - 1 else response
            except httpx.TransportError as error:
                if left == 0:
                    raise unreachable(options.url, error) from error
            await asyncio.sleep(pause_before(tries - 1 - left, response))
        raise ApiError("retries must not be negative.", status=0, code="INVALID_INPUT", field="retries")
