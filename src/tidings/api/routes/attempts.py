"""`/api/v1/attempts/stream`: attempts as they happen."""

from functools import partial
from typing import Annotated, Any

from litestar import Request, Router, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.response import Stream

from tidings.api.http.access import is_still_admitted
from tidings.api.http.questions import Status, WebhookId
from tidings.api.tails import Tail, Tails
from tidings.operations.history import following
from tidings.operations.services import Services

Types = Annotated[
    list[str] | None,
    QueryParameter(name="type", description="Only these types or families, by our names, with commas: `order.*`."),
]


@get("/stream", media_type="text/event-stream")
async def stream_attempts(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    webhook_id: WebhookId = None,
    type_: Types = None,
    status: Status = None,
) -> Stream:
    """Follow attempts as server-sent events, from now on. `attempt` is a delivery that was tried just now: `{"id",
    "webhook_id", "event_id", "event", "status", "attempts", "number", "created_at"}`, where `number` is the first attempt that
    it tells of and `attempts` the last. `missed` tells how many were left out because this stream is read too slowly, and
    `gap` that attempts of before may be missing, as at its beginning. 503 when too many streams are open.

    Raises:
        BusyError: There are too many streams.
        InvalidInputError: There is no such state.
    """
    tails: Tails = request.app.state.tails
    tail = Tail(services, following.wanted(webhook_id, type_, status), partial(is_still_admitted, request))
    tails.add(tail)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Stream(tails.follow(tail), media_type="text/event-stream", headers=headers)


router = Router("/api/v1/attempts", route_handlers=[stream_attempts], tags=["Deliveries"])
