"""Settings: who is signed in."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency

from tidings.core.errors import InvalidInputError
from tidings.operations import sessions
from tidings.portal.access import Visit, form_of
from tidings.portal.answers import go, show
from tidings.portal.views.lists import Column, Row, Table
from tidings.portal.views.small import Notice, When, when
from tidings.portal.views.text import Shown, visible
from tidings.store.sessions import Session


class SessionRow(msgspec.Struct, frozen=True):
    """A browser that is signed in."""

    browser: Shown
    address: Shown
    began: When
    seen: When
    ends: When
    is_this: bool


def sessions_table(found: list[Session], this: UUID, now: datetime) -> Table:
    """Return the browsers that are signed in, as a table."""
    rows = tuple(
        Row(
            str(one.id),
            "",
            one.browser or "a browser",
            SessionRow(
                visible(one.browser or "–", limit=120),
                visible(one.address),
                when(one.created_at, now),
                when(one.seen_at, now),
                when(one.ends_at, now),
                one.id == this,
            ),
        )
        for one in found
    )
    columns = (
        Column("Browser", "wide"),
        Column("Address", is_minor=True),
        Column("Signed in"),
        Column("Last seen"),
        Column("Ends", is_minor=True),
        Column("End", "action"),
    )
    return Table("sessions", "Browsers that are signed in", columns, rows)


@get("/settings", opt={"query": ()})
async def settings(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the settings."""
    found, now = await sessions.list_sessions(visit.services), visit.services.clock.now()
    return show(request, "settings/page.html", sessions_table(found, visit.session.id, now), title="Settings")


@post("/settings/sessions/end")
async def end_session(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """End the session with the id of the form, or all others.

    Raises:
        InvalidInputError: The id is none.
    """
    asked = (await form_of(request)).get("id", "")
    if asked == "others":
        await sessions.end_others(visit.services, visit.session.id)
        said = Notice("good", "All other sessions have ended.")
    else:
        try:
            ended = await sessions.end(visit.services, UUID(asked))
        except ValueError as error:
            raise InvalidInputError("id", "id is not a session's. Choose one of the list.") from error
        said = Notice("good", "The session has ended.") if ended else Notice("info", "That session was over already.")
    return go(request, "/settings", said=said)


router = Router("/", route_handlers=[settings, end_session])
