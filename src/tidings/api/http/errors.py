"""Errors as answers: `{"error": "<sentence>", "code": "<SNAKE>", …}`."""

import logging
import re
from typing import Any, NamedTuple

from litestar import MediaType, Request, Response
from litestar.exceptions import (
    ClientException,
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)
from litestar.exceptions.http_exceptions import RequestEntityTooLarge

from tidings.core.errors import (
    BodyTooLargeError,
    BusyError,
    InvalidInputError,
    MalformedBodyError,
    NotFoundError,
    TidingsError,
    UnavailableError,
)
from tidings.store.database import COLLISIONS, UNAVAILABLE, UNSTORABLE

logger = logging.getLogger("tidings.api")

_UNKNOWN = re.compile(r"unknown field `([^`]+)`")
_MISSING = re.compile(r"missing required field `([^`]+)`")
_PLACE = re.compile(r" - at `\$\.?([^`]*)`")


class Refusal(NamedTuple):
    """An error as an answer."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str]


def refusal(error: TidingsError) -> Refusal:
    """Return the answer for an error raised on purpose."""
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    if error.status == 503:
        headers["Retry-After"] = "2"
    return Refusal(error.status, {"error": error.message, "code": error.code, **error.details}, headers)


def refusal_of_fault(method: str, path: str, error: Exception) -> Refusal:
    """Return the answer for a fault of ours: logged with its cause, told without it."""
    if isinstance(error, RecursionError):
        return refusal(InvalidInputError("body", "The body is nested too deeply to be read."))
    if isinstance(error, UnicodeDecodeError):
        return refusal(MalformedBodyError("The body is not UTF-8."))
    if isinstance(error, UNSTORABLE):
        return refusal(InvalidInputError("body", "A text contains U+0000, which PostgreSQL cannot store."))
    if isinstance(error, UNAVAILABLE):
        logger.debug("%s %s: database unavailable: %s", method, path, error)
        return refusal(UnavailableError("The database is unavailable. Try again."))
    if isinstance(error, COLLISIONS):
        logger.info("%s %s was in another transaction's way: %s", method, path, error)
        return refusal(BusyError("Another change was under way at the same moment; nothing was done. Try again."))
    logger.error("%s %s failed", method, path, exc_info=error)
    return refusal(TidingsError("Tidings failed to answer; its log has the cause."))


def answer(request: Request[Any, Any, Any], error: TidingsError) -> Response[Any]:
    """Answer with an error raised on purpose."""
    return _response(refusal(error))


def answer_invalid(request: Request[Any, Any, Any], error: ValidationException) -> Response[Any]:
    """Answer with what is wrong with a body or a parameter, and which field it is."""
    if any(
        isinstance(item, dict) and (item.get("key"), item.get("source")) == ("webhook_id", "path") for item in error.extra or ()
    ):
        # Seed 004's clients are told so with 400; what is wrong with a body or a query is a 422.
        return Response({"error": "Invalid webhook ID", "code": "INVALID_ID", "field": "webhook_id"}, status_code=400)
    found: Any = error.extra[0] if isinstance(error.extra, list) and error.extra else {"message": error.detail}
    message = str(found.get("message", error.detail))
    if name := _UNKNOWN.search(message) or _MISSING.search(message):
        field = name[1]
    elif place := _PLACE.search(message):
        field = place[1]
    else:
        field = str(found.get("key", "")) or "body"
    return answer(request, InvalidInputError(field, _PLACE.sub("", message).rstrip(".") + "."))


def answer_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """Answer with what the framework found: no such route, a body that is not JSON or too large."""
    match error:
        case RequestEntityTooLarge():
            return answer(
                request, BodyTooLargeError(f"The body is larger than the {_limit_of(request)} bytes this call takes.")
            )
        case NotFoundException():
            return answer(request, NotFoundError(f"There is no {request.url.path}."))
        case MethodNotAllowedException():
            body = {"error": f"{request.url.path} does not take {request.method}.", "code": "METHOD_NOT_ALLOWED"}
            return Response(body, status_code=405, headers=error.headers or {})
        case ClientException() if error.status_code == 400:
            return answer(request, MalformedBodyError("The body is not JSON."))
        case _:
            return Response({"error": str(error.detail), "code": "HTTP_ERROR"}, status_code=error.status_code)


def answer_broken(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Answer for a fault of ours."""
    return _response(refusal_of_fault(request.method, request.url.path, error))


def _response(said: Refusal) -> Response[Any]:
    return Response(said.body, status_code=said.status, media_type=MediaType.JSON, headers=said.headers)


def _limit_of(request: Request[Any, Any, Any]) -> Any:
    return request.route_handler.request_max_body_size
