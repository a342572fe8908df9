"""`POST /api/v1/events`, past the framework: routing, dependencies and responses cost several times what publishing does.

What is usual is answered here, by the function that the route in `events.py` calls. Everything else goes to the framework as
if nobody had looked at it: other routes, parameters, a body that is too large, has no length, or is no event. So there is one
place that says what is wrong with a request. What is wrong with its key is said by what the framework's guard asks as well.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from tidings.api.http.access import VOUCHED, key_in, services_for
from tidings.api.http.errors import Refusal, refusal, refusal_of_fault
from tidings.api.http.scopes import needed
from tidings.api.http.sending import send_json
from tidings.api.routes.events import NewEvent, publish_one
from tidings.core.api_key import ApiKey, check_scope
from tidings.core.errors import TidingsError
from tidings.operations.history import events
from tidings.operations.services import Services
from tidings.sources.publish import Published

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PATH = "/api/v1/events"
MAX_LENGTH_DIGITS = 15  # of Content-Length; Python refuses to read thousands of them

_NEED = needed("POST", PATH)

_decode = msgspec.json.Decoder(NewEvent).decode


class PublishingFirst:
    """The application, with the route that is called most in front of it."""

    def __init__(self, app: Any, services: Services) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        # Of a header that comes twice the first counts, as in the framework.
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}
        if scope.get("query_string") or not _is_within(headers, self._services.config.max_body_bytes):
            await self._app(scope, receive, send)
            return
        key = await self._admitted(scope, headers)
        if not isinstance(key, ApiKey):
            await _send(send, key, {})
            return
        body = await _read(receive)
        if body is None:
            return  # the caller went away
        try:
            said = _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            await self._app(scope, _said_again(body), send)
            return
        await _send(send, *await self._publish(headers, key, body, said))

    async def _admitted(self, scope: Message, headers: dict[str, str]) -> ApiKey | Refusal:
        """Return the key of a request, or why it does not publish. Mostly the key is at hand, and nobody is asked."""
        client, admission, now = scope.get("client"), self._services.admission, self._services.clock.now()
        presented, address = key_in(headers), client[0] if client else ""
        try:
            key: ApiKey = (
                scope.get(VOUCHED)
                or admission.at_hand(presented, address, now)
                or await admission.admit(presented, address, now)
            )
            check_scope(key, _NEED.scopes, is_for_all_groups=_NEED.is_for_all_groups)
        except TidingsError as error:
            return refusal(error)
        except Exception as error:  # noqa: BLE001 - as below
            return refusal_of_fault("POST", PATH, error)
        return key

    async def _publish(
        self, headers: dict[str, str], key: ApiKey, body: bytes, said: NewEvent
    ) -> tuple[Published | Refusal, dict[str, str]]:
        """Publish an event, and return what to answer, with what is left of the group's limits."""
        try:
            services = await services_for(self._services, headers, key)
            return await publish_one(services, body, said), events.headers(services)
        except TidingsError as error:
            return refusal(error), {}
        except Exception as error:  # noqa: BLE001 - logged and answered as the framework does
            return refusal_of_fault("POST", PATH, error), {}


def _is_within(headers: dict[str, str], limit: int) -> bool:
    length = headers.get("content-length", "")
    return length.isdecimal() and len(length) <= MAX_LENGTH_DIGITS and int(length) <= limit


async def _read(receive: Receive) -> bytes | None:
    """Return the body, or None when the caller goes away before its end. The server sees to it that it has its length."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _said_again(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _send(send: Send, answer: Published | Refusal, left: dict[str, str]) -> None:
    await send_json(send, *((202, answer, left) if isinstance(answer, Published) else answer))
