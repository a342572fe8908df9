"""`/api/v1/listeners`: deliveries for clients that ask for them, on machines that nobody can call (`tidings listen`)."""

from uuid import UUID

import msgspec
from litestar import Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from tidings.operations.listening import leasing, listeners, results
from tidings.operations.listening.leasing import TakeAsked, Taken
from tidings.operations.listening.listeners import Listener, ListenerAsked
from tidings.operations.listening.results import Recorded, ResultsAsked
from tidings.operations.services import Services


class Skipped(msgspec.Struct, frozen=True):
    """How many deliveries that waited were cancelled."""

    cancelled: int


@post("/", status_code=200)
async def open_listener(services: NamedDependency[Services], data: JSONBody[ListenerAsked]) -> Listener:
    """Make or find a listener by its name. It hears `events`, or what the webhook hears, from now on.

    Clients of one listener share its deliveries; listeners of different names each get all. Its deliveries stand in history as
    those of the webhook of its id. One that nobody has asked for in three days is deleted.
    """
    return await listeners.open_listener(services, data)


@get("/")
async def list_listeners(services: NamedDependency[Services]) -> list[Listener]:
    """List the group's listeners, by name."""
    return await listeners.list_listeners(services)


@get("/{listener_id:uuid}")
async def get_listener(services: NamedDependency[Services], listener_id: FromPath[UUID]) -> Listener:
    """Read a listener."""
    return await listeners.read(services, listener_id)


@delete("/{listener_id:uuid}", status_code=204)
async def delete_listener(services: NamedDependency[Services], listener_id: FromPath[UUID]) -> None:
    """Delete a listener. What waits for it is cancelled; its history stays until retention ends."""
    await listeners.remove(services, listener_id)


@post("/{listener_id:uuid}/skip", status_code=200)
async def skip_waiting(services: NamedDependency[Services], listener_id: FromPath[UUID]) -> Skipped:
    """Cancel what waits for a listener. One that was held, because its receiver asked to be left alone, is so no longer."""
    return Skipped(await listeners.skip(services, listener_id))


@post("/{listener_id:uuid}/take", status_code=200)
async def take_deliveries(services: NamedDependency[Services], listener_id: FromPath[UUID], data: JSONBody[TakeAsked]) -> Taken:
    """Lease deliveries to a client, ready to be sent; when there are none yet, wait for up to `wait_seconds` (10 at most).

    A client makes up its `session`, and names with each request what it holds: that renews its leases. One that is silent for
    30 seconds loses them, and the deliveries come again. At most 64 in one answer, some 4 MiB, and 512 held.
    """
    return await leasing.take(services, listener_id, data)


@post("/{listener_id:uuid}/results", status_code=200)
async def record_results(
    services: NamedDependency[Services], listener_id: FromPath[UUID], data: JSONBody[ResultsAsked]
) -> Recorded:
    """Tell what came of leased deliveries, up to 128 at once. Those whose leases ended are refused, and come again."""
    return await results.record(services, listener_id, data)


router = Router(
    "/api/v1/listeners",
    route_handlers=[
        open_listener,
        list_listeners,
        get_listener,
        delete_listener,
        skip_waiting,
        take_deliveries,
        record_results,
    ],
    tags=["Listeners"],
)
