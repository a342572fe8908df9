"""One delivery: what became of it, each attempt as it was, and sending it again."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidings.core.errors import ConflictError, NotFoundError
from tidings.operations.history import attempts, deliveries
from tidings.portal.access import LOOK, MANAGE, Visit, count_call
from tidings.portal.answers import go, show
from tidings.portal.views.deliveries import PATH
from tidings.portal.views.delivery import delivery_view
from tidings.portal.views.small import Notice

CRUMBS = [("Webhook Delivery", PATH)]


@get(f"{PATH}/{{delivery_id:uuid}}", opt={"query": ("attempt",), "customer": LOOK})
async def show_delivery(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], delivery_id: FromPath[UUID]
) -> Response[Any]:
    """Show a delivery, with one of its attempts in full: the last, or the one asked for."""
    one = await deliveries.read(visit.services, delivery_id)
    made = await attempts.list_attempts(visit.services, delivery_id)
    asked = request.query_params.get("attempt", "")
    number = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 6 else None
    access = visit.session.access if visit.is_customer else None
    view = delivery_view(one, made, visit.services.clock.now(), number=number, access=access, may=visit.may)
    return show(request, "delivery/page.html", view, title=f"Delivery {view.id.short}", crumbs=CRUMBS, on_record=delivery_id)


@post(f"{PATH}/{{delivery_id:uuid}}/retry", opt={"customer": MANAGE})
async def retry(request: Request[Any, Any, Any], visit: NamedDependency[Visit], delivery_id: FromPath[UUID]) -> Response[Any]:
    """Send it again."""
    count_call(request, visit)
    try:
        await deliveries.retry(visit.services, delivery_id)
        said = Notice("good", "It goes out again, with the same id.")
    except ConflictError as error:
        said = Notice("bad", error.message)
    return go(request, f"{PATH}/{delivery_id}", said=said)


@get(f"{PATH}/{{delivery_id:uuid}}/attempts/{{number:int}}/{{part:str}}", opt={"query": (), "customer": LOOK})
async def download(
    visit: NamedDependency[Visit], delivery_id: FromPath[UUID], number: FromPath[int], part: FromPath[str]
) -> Response[bytes]:
    """Answer with a body as it was sent or as it came, as a file and nothing else.

    Raises:
        NotFoundError: There is no such attempt, or it had no such body.
    """
    made = await attempts.read_attempt(visit.services, delivery_id, number)
    bodies = {"request": made.request.body if made.request else None, "response": made.response_body}
    body = bodies.get(part)
    if body is None:
        raise NotFoundError(f"Attempt {number} has no body of a {part[:40]} that is kept.")
    return attachment(body, f"delivery-{delivery_id}-{number}-{part}")


def attachment(body: str, name: str) -> Response[bytes]:
    """Return a text as a file that no browser opens by itself."""
    return Response(
        body.encode("utf-8", "replace"),
        media_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{name}.txt"', "Cache-Control": "no-store"},
    )


router = Router("/", route_handlers=[show_delivery, retry, download])
