"""Receive in Django."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpResponse
from django.views.decorators.csrf import csrf_exempt

from tidings.receiving.answers import MAX_BODY_BYTES, TOO_LARGE, Answer
from tidings.receiving.sync_receiver import Handler, Receiver

View = Callable[[Any], Any]


def webhook(receiver: Receiver) -> Callable[[Handler], View]:
    """Make a view of a function that takes an event. A form's token is not asked for: a delivery has a signature.

    @webhook(receiver)
    def receive(event: Received) -> None: ...

    urlpatterns = [path("webhooks", receive)]
    """

    def view_of(handler: Handler) -> View:
        @wraps(handler)
        def view(request: Any) -> Any:
            body = request.read(MAX_BODY_BYTES + 1)  # not request.body, which has a limit of Django's own
            if len(body) > MAX_BODY_BYTES:
                return _response(TOO_LARGE)
            return _response(receiver.handle(body, request.headers, handler, request))

        exempt: View = csrf_exempt(view)
        return exempt

    return view_of


def _response(answer: Answer) -> Any:
    return HttpResponse(answer.text, status=answer.status, headers=answer.headers)
