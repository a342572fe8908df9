"""Receive in FastAPI, or anything else that routes to Starlette's requests."""

from collections.abc import Callable

from fastapi import Request, Response

from tidings.receiving.answers import MAX_BODY_BYTES, TOO_LARGE, Answer
from tidings.receiving.async_receiver import AsyncReceiver, Handler

Endpoint = Callable[[Request], "object"]


def webhook(receiver: AsyncReceiver) -> Callable[[Handler], Endpoint]:
    """Make a route's function of one that takes an event.

    @app.post("/webhooks")
    @webhook(receiver)
    async def receive(event: Received) -> None: ...
    """

    def endpoint_of(handler: Handler) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            body = await _body_of(request)
            if body is None:
                return _response(TOO_LARGE)
            return _response(await receiver.handle(body, request.headers, handler, request))

        endpoint.__name__ = getattr(handler, "__name__", "receive")
        endpoint.__doc__ = handler.__doc__
        return endpoint

    return endpoint_of


async def _body_of(request: Request) -> bytes | None:
    """Return the body; None: it is too large, and the rest is not read."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None
    return bytes(body)


def _response(answer: Answer) -> Response:
    return Response(answer.text, answer.status, answer.headers)
