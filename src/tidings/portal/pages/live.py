"""The stream of events that a page is kept up to date with."""

from typing import Any
from uuid import UUID

from litestar import Request, Router, get
from litestar.di import NamedDependency
from litestar.response import Stream as Streaming

from tidings.core.errors import InvalidInputError
from tidings.core.question import states_named, words_of
from tidings.portal.access import LOOK, Visit
from tidings.portal.answers import environment
from tidings.portal.streams import Stream, Wants, Watch
from tidings.portal.views.frame import local_path

_KNOWN = ("of", "after", "status", "webhook_id", "bin_id", "came", "loosely", "back")


@get("/live", opt={"query": _KNOWN, "customer": LOOK}, media_type="text/event-stream")
async def live(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Streaming:
    """Tell what happens: `changed` when anything did, and `new` with how many rows a list has not shown yet.

    Raises:
        BusyError: There are too many streams.
        InvalidInputError: A parameter means nothing.
    """
    asked = request.query_params
    back = local_path(asked.get("back", ""), "/deliveries")
    is_loose = bool(asked.get("loosely"))

    def tell(number: int, is_more: bool) -> str:
        said = "something" if is_loose else f"{'>' if is_more else ''}{number}"
        return environment.get_template("live/new.html").render(said=said, href=back).strip()

    watch: Watch = request.app.state.watch
    stream = Stream(visit.services, visit.session.id, wants(dict(asked.items())), tell, is_customer=visit.is_customer)
    watch.add(stream)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Streaming(watch.follow(stream), media_type="text/event-stream", headers=headers)


def wants(asked: dict[str, str]) -> Wants:
    """Return which deliveries a page wants to be told of.

    Raises:
        InvalidInputError: A parameter means nothing.
    """
    if asked.get("of") == "delivery":
        return Wants(pace=1, is_behind=True)
    if asked.get("of") == "bin":
        came = asked.get("came", "")
        number = int(came) if came.isascii() and came.isdecimal() and len(came) < 18 else 0
        return Wants(bin_id=_id("bin_id", asked) or UUID(int=0), came=number)
    if asked.get("of") != "deliveries":
        return Wants()
    status = asked.get("status", "")
    states = states_named(words_of("status", [status])) if status else ()
    webhook_id = _id("webhook_id", asked)
    return Wants(_id("after", asked) or UUID(int=0), frozenset(str(one) for one in states), webhook_id)


def _id(field: str, asked: dict[str, str]) -> UUID | None:
    text = asked.get(field, "")
    try:
        return UUID(text) if text else None
    except ValueError as error:
        raise InvalidInputError(field, f"{field} is no id.") from error


router = Router("/", route_handlers=[live])
