"""Every error Tidings raises on purpose. Each message is a sentence that names the thing and the remedy."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any


class TidingsError(Exception):
    """Something Tidings was asked for could not be done.

    Attributes:
        code: Stable name for programs, in the API's answers and in `--json` output.
        status: The HTTP status the API answers with.
        details: Further members of the API's answer, such as the field at fault.
        left: Fields of its head that tell what is left of limits, where one was reached (`core.limits.headers`).
    """

    code = "INTERNAL_ERROR"
    status = 500
    left: Mapping[str, str] = MappingProxyType({})

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class InvalidInputError(TidingsError):
    """A field the caller sent cannot be accepted."""

    code = "INVALID_INPUT"
    status = 422

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message, field=field)
        self.field = field


class ValuesLostError(InvalidInputError):
    """A change of a collection would lose values that records have.

    Attributes:
        name: Of the field that has them.
        loss: What would be lost, as a sentence; the message adds what a program can do about it.
        is_allowed: Whether whoever asks may say that they may go.
    """

    def __init__(self, name: str, loss: str, remedy: str, *, is_allowed: bool) -> None:
        super().__init__(f"schema.{name}", f"{loss} {remedy}")
        self.name = name
        self.loss = loss
        self.is_allowed = is_allowed


class InvalidRecordError(TidingsError):
    """A record does not fit its collection. `fields` says of each field what is wrong."""

    code = "INVALID_INPUT"
    status = 422

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(" ".join(problems.values()), field=next(iter(problems)), fields=dict(problems))


class MalformedBodyError(TidingsError):
    """The body is not JSON at all."""

    code = "MALFORMED_BODY"
    status = 400


class BodyTooLargeError(TidingsError):
    """The body is larger than this server accepts."""

    code = "BODY_TOO_LARGE"
    status = 413


class PayloadTooLargeError(BodyTooLargeError):
    """An event has more data than its group may send. `allowed` and `used` are the two numbers."""

    code = "PAYLOAD_TOO_LARGE"


class LimitReachedError(TidingsError):
    """A group has as much as it may: `limit`, `allowed`, `used`. `retry_after_seconds` says when to come again."""

    code = "LIMIT_REACHED"
    status = 429


class UnauthorizedError(TidingsError):
    """The key is missing or wrong; which of the two is not told."""

    code = "UNAUTHORIZED"
    status = 401


class ForbiddenError(TidingsError):
    """The key is good, and does not allow this. `scope` says what it lacks."""

    code = "FORBIDDEN"
    status = 403


class TooManyAttemptsError(TidingsError):
    """Somebody was wrong too often. `retry_after_seconds` says when they are listened to again."""

    code = "TOO_MANY_ATTEMPTS"
    status = 429


class NotFoundError(TidingsError):
    """There is nothing with that id."""

    code = "NOT_FOUND"
    status = 404


class ConflictError(TidingsError):
    """The thing is in a state that does not allow this now."""

    code = "CONFLICT"
    status = 409


class BusyError(TidingsError):
    """A lock that is needed is held by someone else; trying again later can succeed."""

    code = "BUSY"
    status = 503


class UnavailableError(TidingsError):
    """The database went away; what was asked for may or may not have been done."""

    code = "UNAVAILABLE"
    status = 503


class HomeAwayError(UnavailableError):
    """Another home of the fleet, where what was asked for lives, does not answer. `home` says which."""

    code = "HOME_AWAY"


class HomesDisagreeError(TidingsError):
    """Homes of the fleet do not agree about where a group lives, or do not know each other; nothing was done."""

    code = "HOMES_DISAGREE"
    status = 503


class NotReadyError(TidingsError):
    """Nothing can be delivered now. `problems` says why, by name and in a sentence each."""

    code = "NOT_READY"
    status = 503


class StartupError(TidingsError):
    """The process cannot start: configuration or database. The command line exits with 2."""

    code = "CANNOT_START"
    status = 503


class RenderError(TidingsError):
    """An event cannot be written as this profile's request; the delivery fails for good with this reason."""

    code = "CANNOT_RENDER"
