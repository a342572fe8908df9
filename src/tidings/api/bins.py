"""`/bin/<id>` and whatever is below it, past the framework: any method, any header, any body within bounds.

What it answers stands at the address of the portal and may be anything, HTML too. So browsers are told to run none of it. And
what browsers send along opens that portal: of cookies the names are kept, whoever may see what came to a bin.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final
from uuid import UUID

import msgspec
from litestar import asgi
from litestar.config.app import AppConfig
from litestar.plugins import InitPlugin

from tidings.api.http.errors import Refusal, refusal, refusal_of_fault
from tidings.core.bin import KEPT_PATH, READ_BYTES, Caught
from tidings.core.errors import ForbiddenError, NotFoundError, TidingsError
from tidings.core.shares import share_out
from tidings.operations.bin_intake import Given, Intake
from tidings.operations.services import Services
from tidings.transport.descriptors import descriptor_limit

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PATH: Final = "/bin"
_ID_DIGITS: Final = 36
_COOKIE_VALUE: Final = re.compile(r"=[^;]*")
# What a browser asks for as a part of a page (Sec-Fetch-Dest): pages of the portal run what stands at their own address.
_PARTS: Final = frozenset(
    (b"script", b"style", b"xslt", b"worker", b"sharedworker", b"serviceworker", b"audioworklet", b"paintworklet")
)
_INERT: Final = [
    (b"content-security-policy", b"sandbox; default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]


class Bins(InitPlugin):
    """Puts the bins beside the API's routes."""

    def __init__(self) -> None:
        self._intake: tuple[Services, Intake] | None = None
        self._stopping = asyncio.Event()

    def close(self) -> None:
        """Answer at once what is put off, so that the server can stop."""
        self._stopping.set()

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add the route."""

        @asgi(PATH, is_mount=True, copy_scope=True)
        async def receive_request(scope: Any, receive: Any, send: Any) -> None:
            await self._answer(scope, receive, send)

        app_config.route_handlers = [*app_config.route_handlers, receive_request]
        return app_config

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        services: Services = scope["litestar_app"].state.services if "litestar_app" in scope else scope["app"].state.services
        if self._intake is None or self._intake[0] is not services:
            self._intake = services, Intake(services, max_held=share_out(descriptor_limit()).held)
        intake = self._intake[1]
        try:
            bin_id = _id_of(scope)
            _refuse_parts(scope)
            intake.admit(bin_id)
            read = await _read(receive, min(READ_BYTES, services.config.max_body_bytes))
            if read is None:
                return  # whoever sent it went away in the middle
            given = await intake.take(bin_id, _caught(scope, services, *read))
        except TidingsError as error:
            await _refuse(scope, send, refusal(error))
            return
        except Exception as error:  # noqa: BLE001 - logged and answered as the framework does
            await _refuse(scope, send, refusal_of_fault(scope["method"], PATH, error))
            return
        try:
            if given.delay_seconds:
                await self._wait(receive, given.delay_seconds)
        finally:
            intake.release(given)
        await _send(scope, send, given)

    async def _wait(self, receive: Receive, seconds: float) -> None:
        """Wait for a time, unless whoever waits for the answer goes away, or the server stops."""
        gone = asyncio.ensure_future(receive())
        stops = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait([gone, stops], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            stops.cancel()


def _id_of(scope: Message) -> UUID:
    """Return the id that a path names.

    Raises:
        NotFoundError: It names none.
    """
    text = _raw_path(scope).removeprefix(f"{PATH}/").partition("/")[0]
    try:
        if len(text) == _ID_DIGITS:
            return UUID(text)
    except ValueError:
        pass
    raise NotFoundError("There is no bin here.")


def _refuse_parts(scope: Message) -> None:
    """Refuse a page that would run what a bin answers.

    Raises:
        ForbiddenError: A browser says that this is for one.
    """
    if any(name == b"sec-fetch-dest" and value in _PARTS for name, value in scope["headers"]):
        raise ForbiddenError("A bin answers no page that would have a script or a style of it.")


def _raw_path(scope: Message) -> str:
    return bytes(scope.get("raw_path") or scope["path"].encode()).decode("latin-1").partition("?")[0]


def _caught(scope: Message, services: Services, body: bytes, is_whole: bool) -> Caught:
    path, query = _raw_path(scope), scope.get("query_string", b"").decode("latin-1")
    client = scope.get("client")
    return Caught(
        method=_text(scope["method"])[:40],
        path=_text(f"{path}?{query}" if query else path)[:KEPT_PATH],
        headers=tuple(_header(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]),
        body=body,
        is_whole=is_whole,
        address=_text(client[0] if client else "")[:100],
        received_at=services.clock.now(),
    )


def _header(name: str, value: str) -> tuple[str, str]:
    """Return a header as it is kept. A browser that is signed in to the portal follows a link to a bin with its session."""
    return _text(name), _text(_COOKIE_VALUE.sub("=***", value) if name.lower() == "cookie" else value)


def _text(text: str) -> str:
    """Return a text as PostgreSQL can keep it."""
    return text.replace("\x00", "\ufffd")


async def _read(receive: Receive, most: int) -> tuple[bytes, bool] | None:
    """Return a body as far as it is read, and whether that is all; None: it did not come to its end."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        part = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if size > most:
            return b"".join(parts)[:most], False
        if not message.get("more_body", False):
            return b"".join(parts), True


async def _send(scope: Message, send: Send, given: Given) -> None:
    await _respond(scope, send, given.status, [(b"content-type", given.content_type.encode())], given.body)


async def _refuse(scope: Message, send: Send, said: Refusal) -> None:
    headers = {"content-type": "application/json"} | said.headers
    lines = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await _respond(scope, send, said.status, lines, msgspec.json.encode(said.body))


async def _respond(scope: Message, send: Send, status: int, lines: list[tuple[bytes, bytes]], body: bytes) -> None:
    length = [] if status in {204, 304} else [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*lines, *length, *_INERT]})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body, "more_body": False})
