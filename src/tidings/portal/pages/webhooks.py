"""The list of webhooks."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get
from litestar.di import NamedDependency

from tidings.core.errors import InvalidInputError
from tidings.operations.webhooks import listing
from tidings.portal.access import LOOK, Visit
from tidings.portal.answers import show
from tidings.portal.views.webhooks import PATH, webhooks_view


@get("/webhooks", opt={"query": ("q", "cursor"), "customer": LOOK})
async def show_webhooks(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the group's webhooks, each with how it fares."""
    words = request.query_params.get("q", "")[: listing.MAX_WORDS].strip()
    after = request.query_params.get("cursor", "")
    found = await listing.find(visit.services, words, after=_place(after))
    view = webhooks_view(found, words, after, visit.services.clock.now(), may_make=visit.may.open(f"{PATH}/new"))
    return show(request, "webhooks/page.html", view, title="Webhooks")


def _place(cursor: str) -> UUID | None:
    """Return where a page begins.

    Raises:
        InvalidInputError: The address was made up.
    """
    try:
        return UUID(cursor) if cursor else None
    except ValueError as error:
        raise InvalidInputError("cursor", "cursor is no page of this list. Begin with the first page.") from error


router = Router("/", route_handlers=[show_webhooks])
