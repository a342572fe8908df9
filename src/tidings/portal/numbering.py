"""Lists that are read page by page: which page is asked for, and the way to those around it."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from litestar import Request

from tidings.portal.views.lists import Pager, link

MAX_PAGE = 1000  # one who goes further than that is better served by a search
T = TypeVar("T")


def page_number(request: Request[Any, Any, Any]) -> int:
    """Return the number of the page that is asked for, from 1; what is no number is the first."""
    asked = request.query_params.get("page", "1")
    return min(MAX_PAGE, max(1, int(asked))) if asked.isdecimal() and asked.isascii() and len(asked) < 6 else 1


def cut(
    found: Sequence[T], path: str, number: int, size: int, *, asked: Mapping[str, str] | None = None
) -> tuple[tuple[T, ...], Pager]:
    """Return a page of what was found, and the way to those around it.

    Args:
        found: One more than fit on a page, when there are more.
        asked: What else the address holds.
    """
    kept = dict(asked or {})
    before = link(path, {**kept, "page": str(number - 1) if number > 2 else ""}) if number > 1 else ""
    after = link(path, {**kept, "page": str(number + 1)}) if len(found) > size and number < MAX_PAGE else ""
    said = f"Page {number}" if before or after else ""
    return tuple(found[:size]), Pager(before, after, said)
