"""Receive in Flask."""

from collections.abc import Callable
from functools import wraps

from flask import Response, request

from tidings.receiving.answers import MAX_BODY_BYTES, TOO_LARGE, Answer
from tidings.receiving.sync_receiver import Handler, Receiver

View = Callable[[], Response]


def webhook(receiver: Receiver) -> Callable[[Handler], View]:
    """Make a view of a function that takes an event.

    @app.post("/webhooks")
    @webhook(receiver)
    def receive(event: Received) -> None: ...
    """

    def view_of(handler: Handler) -> View:
        @wraps(handler)
        def view() -> Response:
            body = request.stream.read(MAX_BODY_BYTES + 1)
            if len(body) > MAX_BODY_BYTES:
                return _response(TOO_LARGE)
            return _response(receiver.handle(body, dict(request.headers), handler, request))

        return view

    return view_of


def _response(answer: Answer) -> Response:
    return Response(answer.text, answer.status, answer.headers)
