"""What a client decides about a request and its answer; the clients themselves only send and wait."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

import httpx
import msgspec

from tidings.client.errors import ApiError
from tidings.client.models import Page

T = TypeVar("T")

DEFAULT_TIMEOUT = 30.0  # seconds
TEST_TIMEOUT = 330.0  # a test waits for the receiver, whose own limit may be five minutes
RETRIES = 2
FIRST_PAUSE = 0.2  # seconds, doubled each time
MAX_PAUSE = 30.0

_RETRY_STATUSES = frozenset({429, 502, 503, 504})


def given(**fields: Any) -> dict[str, Any]:
    """Return what was said, without what was left out."""
    return {name: value for name, value in fields.items() if value is not None}


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


def answer_of(response: httpx.Response, kind: type[T]) -> T:
    """Return the answer.

    Raises:
        ApiError: The server refused.
    """
    if response.is_success:
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


def unreachable(url: str, error: httpx.TransportError) -> ApiError:
    """Return the error for a server that did not answer."""
    is_timeout = isinstance(error, httpx.TimeoutException)
    what = "did not answer in time" if is_timeout else "cannot be reached"
    return ApiError(f"{url} {what} ({error}).", status=0, code="TIMEOUT" if is_timeout else "UNREACHABLE")


def trace_of(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Return what of a delivery's headers is handed on, by which Tidings finds loops."""
    baggage = next((value for name, value in (headers or {}).items() if name.lower() == "baggage"), None)
    return {} if baggage is None else {"baggage": baggage}
