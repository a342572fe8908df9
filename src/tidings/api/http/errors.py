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
from tidings.store.database import COLLISIONS, UNAVAILABLE, UNSTORABLE, UNSTORABLE_NUMBER

logger = logging.getLogger("tidings.api")

_UNKNOWN = re.compile(r"unknown field `([^`]+)`")
_MISSING = re.compile(r"missing required field `([^`]+)`")
_NO_BODY = "'data'"  # how the framework says that a handler asks for a body and none came
_BEYOND = re.compile(r"year \d+ is out of range")
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
    if error.status == 429:
        headers["Retry-After"] = str(error.details["retry_after_seconds"])
    headers |= error.left
    return Refusal(error.status, {"error": error.message, "code": error.code, **error.details}, headers)


def refusal_of_fault(method: str, path: str, error: Exception) -> Refusal:
    """Return the answer for a fault of ours: logged with its cause, told without it."""
    if (unfit := _unfit(error)) is not None:
        return refusal(unfit)
    if isinstance(error, UNAVAILABLE):
        logger.debug("%s %s: database unavailable: %s", method, path, error)
        return refusal(UnavailableError("The database is unavailable. Try again."))
    if isinstance(error, COLLISIONS):
        logger.info("%s %s was in another transaction's way: %s", method, path, error)
        return refusal(BusyError("Another change was under way at the same moment; nothing was done. Try again."))
    logger.error("%s %s failed", method, path, exc_info=error)
    return refusal(TidingsError("Tidings failed to answer; its log has the cause."))


def _unfit(error: Exception) -> TidingsError | None:
    """Return what was wrong with the request, where that is what a fault comes from."""
    match error:
        case RecursionError():
            return InvalidInputError("body", "The body is nested too deeply to be read.")
        case UnicodeDecodeError():
            return MalformedBodyError("The body is not UTF-8.")
        case UNSTORABLE():
            return InvalidInputError("body", "A text contains U+0000, which PostgreSQL cannot store.")
        case UNSTORABLE_NUMBER() if "out of int" in str(error):
            return InvalidInputError("number", "A number is larger than PostgreSQL can store.")
        case _:
            return None


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
    if message == _NO_BODY:
        return answer(request, InvalidInputError("body", "The body is empty; this call takes JSON."))
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
    """Answer for a fault of ours, or for a time that the framework cannot read and does not say so."""
    if isinstance(error, ValueError) and _BEYOND.fullmatch(str(error)):
        field = next((name for name in ("since", "until") if name in request.query_params), "body")
        return answer(request, InvalidInputError(field, f"{field} names a time beyond the year 9999."))
    return _response(refusal_of_fault(request.method, request.url.path, error))


def _response(said: Refusal) -> Response[Any]:
    return Response(said.body, status_code=said.status, media_type=MediaType.JSON, headers=said.headers)


def _limit_of(request: Request[Any, Any, Any]) -> Any:
    return request.route_handler.resolve_request_max_body_size()
