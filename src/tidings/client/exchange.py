"""What a client decides about a request and its answer; the clients themselves only send and wait."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from tidings.client.errors import ApiError
from tidings.client.history_models import Page

T = TypeVar("T")

DIAGNOSIS_TIMEOUT = 400.0  # seconds; such a wait, and those for further answers
TEST_TIMEOUT = 330.0  # seconds; a test waits for the receiver, whose own limit may be five minutes
WALKED = 100  # how many entries a walk asks for at once, unless told
FIRST_PAUSE = 0.2  # seconds, doubled each time
MAX_PAUSE = 30.0

_RETRY_STATUSES = frozenset({429, 502, 503, 504})


class Turn(Protocol):
    """How a list says where its next page is."""

    def __call__(
        self, response: httpx.Response, kind: type[list[T]], query: Mapping[str, Any], /
    ) -> tuple[list[T], Mapping[str, Any] | None]:
        """Return a page's entries, and what to ask for the next one; None: it was the last."""


def part(value: object) -> str:
    """Return an id or name as one part of a path."""
    return quote(str(value), safe="")


def given(**fields: Any) -> dict[str, Any]:
    """Return what was said, without what was left out."""
    return {name: value for name, value in fields.items() if value is not None}


def content_of(body: Any) -> bytes | None:
    """Return a body as it travels."""
    return body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)


def asked(filters: Mapping[str, Any]) -> dict[str, Any]:
    """Return filters as a query carries them."""
    return {name: _word(value) for name, value in filters.items() if value is not None}


def _word(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case bool():
            return str(value).lower()
        case list() | tuple():
            return [_word(item) for item in value]
        case _:
            return str(value)


def pause_before(retry: int, response: httpx.Response | None) -> float:
    """Return the seconds to wait before a retry, counted from 0."""
    asked = response.headers.get("retry-after", "") if response is not None else ""
    return min(MAX_PAUSE, float(asked)) if asked.isdigit() else FIRST_PAUSE * 2**retry


def is_worth_retrying(response: httpx.Response) -> bool:
    """Tell whether the same request may fare better in a moment."""
    return response.status_code in _RETRY_STATUSES


def is_done_already(method: str, response: httpx.Response) -> httpx.Response:
    """Return the answer to a repeated try: where a deletion finds nothing, the try that got no answer did it."""
    if method == "DELETE" and response.status_code == 404:
        return httpx.Response(204, request=response.request)
    return response


def answer_of(response: httpx.Response, kind: type[T]) -> T:
    """Return the answer.

    Raises:
        ApiError: The server refused.
    """
    if response.is_success:
        if response.headers.get("content-type", "").startswith("application/x-ndjson"):
            return msgspec.json.decode(b"[" + b",".join(response.content.splitlines()) + b"]", type=kind)
        return msgspec.json.decode(response.content or b"null", type=kind)
    try:
        said = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        said = None  # a proxy's page, not ours
    fields = said if isinstance(said, dict) else {}
    raise ApiError(
        str(fields.get("error") or f"The server answered HTTP {response.status_code}."),
        status=response.status_code,
        code=str(fields.get("code") or "HTTP_ERROR"),
        field=fields.get("field"),
        details=said,
    )


def page_of(response: httpx.Response, kind: type[list[T]]) -> Page[T]:
    """Return the answer with what its headers tell.

    Raises:
        ApiError: The server refused.
    """
    items, headers = answer_of(response, kind), response.headers
    searched_to = headers.get("tidings-searched-to")
    return Page(
        items,
        headers.get("tidings-next"),
        headers.get("tidings-prev"),
        None if searched_to is None else msgspec.convert(searched_to, datetime),
        headers.get("tidings-count"),
    )


def by_cursor(
    response: httpx.Response, kind: type[list[T]], query: Mapping[str, Any]
) -> tuple[list[T], Mapping[str, Any] | None]:
    """Go on where the header `Tidings-Next` says."""
    page = page_of(response, kind)
    return page.items, None if page.next is None else _without(query, "offset") | {"cursor": page.next}


def by_place(
    response: httpx.Response, kind: type[list[T]], query: Mapping[str, Any]
) -> tuple[list[T], Mapping[str, Any] | None]:
    """Go on behind the place that the header `Tidings-Next` says."""
    page = page_of(response, kind)
    return page.items, None if page.next is None else {**query, "after": page.next}


def by_last(field: str, name: str = "cursor") -> Turn:
    """Go on after the last entry of a page, which a field of it identifies."""

    def turn(
        response: httpx.Response, kind: type[list[T]], query: Mapping[str, Any]
    ) -> tuple[list[T], Mapping[str, Any] | None]:
        items = answer_of(response, kind)
        if len(items) < query.get("limit", WALKED):
            return items, None
        return items, _without(query, "offset") | {name: getattr(items[-1], field)}

    return turn


def by_offset(
    response: httpx.Response, kind: type[list[T]], query: Mapping[str, Any]
) -> tuple[list[T], Mapping[str, Any] | None]:
    """Go on after as many entries as were read."""
    items = answer_of(response, kind)
    is_last = len(items) < query.get("limit", WALKED)
    return items, None if is_last else {**query, "offset": query.get("offset", 0) + len(items)}


def by_number(
    response: httpx.Response, kind: type[list[T]], query: Mapping[str, Any]
) -> tuple[list[T], Mapping[str, Any] | None]:
    """Go on with the next page's number. The entries are the answer, or its `items`."""
    said = answer_of(response, Any)
    items = msgspec.convert(said["items"] if isinstance(said, dict) else said, kind)
    is_last = len(items) < query.get("perPage", WALKED)
    return items, None if is_last else {**query, "page": query.get("page", 1) + 1}


def by_member(name: str) -> Turn:
    """Go on where the answer's `cursor` says; its entries are a member of it."""

    def turn(
        response: httpx.Response, kind: type[list[T]], query: Mapping[str, Any]
    ) -> tuple[list[T], Mapping[str, Any] | None]:
        said = answer_of(response, dict[str, Any])
        cursor = said.get("cursor")
        return msgspec.convert(said[name], kind), None if cursor is None else {**query, "cursor": cursor}

    return turn


def _without(query: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in query.items() if key != name}


def unreachable(url: str, error: httpx.TransportError) -> ApiError:
    """Return the error for a server that did not answer."""
    is_timeout = isinstance(error, httpx.TimeoutException)
    what = "did not answer in time" if is_timeout else "cannot be reached"
    why = str(error) or type(error).__name__
    return ApiError(f"{url} {what} ({why}).", status=0, code="TIMEOUT" if is_timeout else "UNREACHABLE")


def trace_of(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Return what of a delivery's headers is handed on: by `baggage` loops are found, `traceparent` says whose trace it is."""
    return {name.lower(): value for name, value in (headers or {}).items() if name.lower() in {"baggage", "traceparent"}}
