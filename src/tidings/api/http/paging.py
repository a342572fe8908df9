"""The parameters of every list, and how an answer tells where the pages around it are."""

from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from litestar import Request, Response
from litestar.params import QueryParameter

from tidings.core.errors import InvalidInputError
from tidings.core.search import id_time
from tidings.operations.everywhere import Page
from tidings.operations.history.search import Paging, Result

MAX_PAGE = 1000
MAX_OFFSET = 10_000
_OF_PLACES = frozenset({"cursor", "offset", "page"})

T = TypeVar("T")

Limit = Annotated[int, QueryParameter(ge=1, le=MAX_PAGE, description="How many at most.")]
Offset = Annotated[
    int, QueryParameter(ge=0, le=MAX_OFFSET, description="How many of the newest to leave out; a cursor is faster.")
]
CursorText = Annotated[
    str | None,
    QueryParameter(description="From `Tidings-Next` or `Tidings-Prev` of this query, or the last id of the page before."),
]
Count = Annotated[
    bool, QueryParameter(description="Tell how many there are in `Tidings-Count`: exact up to 10,000, else `>10000`.")
]


def paging(limit: Limit = 50, offset: Offset = 0, cursor: CursorText = None, count: Count = False) -> Paging:
    """Read the parameters that every search takes.

    Raises:
        InvalidInputError: The cursor is empty, or both an offset and a cursor are given.
    """
    if cursor == "":
        raise InvalidInputError("cursor", "cursor is empty; leave it out to begin with the newest.")
    if cursor and offset:
        raise InvalidInputError("offset", "offset does not go with a cursor, which knows its place; leave one out.")
    return Paging(limit, offset, cursor, count)


def with_pages(request: Request[Any, Any, Any], result: Result, body: T) -> Response[T]:
    """Return an answer with headers that tell where to go on, how far was looked, and how many there are."""
    links: list[str] = []
    headers: dict[str, str] = {}
    for rel, cursor in (("next", result.page.older), ("prev", result.page.newer)):
        if cursor is not None:
            text = result.seal.text(cursor)
            headers[f"Tidings-{rel.capitalize()}"] = text
            links.append(f'<{_url_with(request, text)}>; rel="{rel}"')
    if links:
        headers["Link"] = ", ".join(links)
    if result.page.searched_to is not None:
        headers["Tidings-Searched-To"] = instant(id_time(result.page.searched_to))
    if result.count is not None:
        headers["Tidings-Count"] = result.count
    return Response(body, headers=headers)


def with_all_homes(request: Request[Any, Any, Any], page: Page[Any], body: T) -> Response[T]:
    """Return a page of all homes, with headers that tell where it goes on, and which homes did not answer."""
    headers: dict[str, str] = {}
    if page.cursor is not None:
        headers = {"Tidings-Next": page.cursor, "Link": f'<{_url_with(request, page.cursor)}>; rel="next"'}
    if page.away:
        headers["Tidings-Homes-Away"] = ", ".join(page.away)
    return Response(body, headers=headers)


def _url_with(request: Request[Any, Any, Any], cursor: str) -> str:
    kept = [
        (name, value)
        for name, value in request.query_params.multi_items()
        if name not in {"before", "cursor", "offset", "page"}
    ]
    return f"{request.url.path}?{urlencode([*kept, ('cursor', cursor)])}"


def instant(at: datetime) -> str:
    """Return a time as answers write it: ISO 8601 with milliseconds and `Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")[:23] + "Z"
