"""What a client raises."""

from typing import Any


class ApiError(Exception):
    """A request failed: the server refused it, or none answered.

    Attributes:
        message: The server's sentence.
        status: The HTTP status; 0 when there was no answer.
        code: Stable name for programs, such as `INVALID_INPUT` or `UNREACHABLE`.
        field: The field at fault, when one is.
        details: The whole answer.
    """

    def __init__(self, message: str, *, status: int, code: str, field: str | None = None, details: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.field = field
        self.details = details
