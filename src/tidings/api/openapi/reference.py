"""What `/openapi.json` says of fields, errors and examples beyond their types.

Tests hold sentences (`fields.py`) and examples (`examples.py`) against the types: every field has a sentence, every sentence a
field, and every example is what its type reads.
"""

from typing import Any, Final

from litestar.openapi.spec import (
    Example,
    OpenAPI,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from tidings.api.http.scopes import needed
from tidings.api.openapi.examples import example_of
from tidings.api.openapi.fields import FIELDS
from tidings.core.scopes import Need

_ID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"

ERRORS: Final[dict[int, tuple[str, dict[str, Any]]]] = {
    400: (
        "The body is not JSON, or the id in the path is none.",
        {"error": "Invalid webhook ID", "code": "INVALID_ID", "field": "webhook_id"},
    ),
    401: (
        "The key is missing or wrong.",
        {"error": "A valid key is required: Authorization: Bearer <key>, or X-API-Key: <key>.", "code": "UNAUTHORIZED"},
    ),
    403: (
        "The key does not allow this: it lacks a scope, which is named, or is for another group.",
        {"error": "This key lacks the scope admin. Use a key that has it.", "code": "FORBIDDEN", "scope": "admin"},
    ),
    404: ("There is nothing with that id.", {"error": f"There is no webhook {_ID}.", "code": "NOT_FOUND"}),
    409: (
        "Its state does not allow this now.",
        {"error": "The webhook is disabled. Enable it, then send again.", "code": "CONFLICT"},
    ),
    413: (
        "The body is too large, or an event is for its group.",
        {"error": "The body is larger than 1048576 bytes.", "code": "BODY_TOO_LARGE"},
    ),
    422: ("A field cannot be accepted.", {"error": "url is required.", "code": "INVALID_INPUT", "field": "url"}),
    429: (
        "There were too many wrong keys or passwords, or the group has as much as it may; Retry-After says when to try again.",
        {
            "error": "Too many wrong keys came from your address. Try again in 42 s.",
            "code": "TOO_MANY_ATTEMPTS",
            "retry_after_seconds": 42,
        },
    ),
    503: (
        "The database is unavailable, or too much waits for it; Retry-After says when to try again.",
        {"error": "The database is unavailable. Try again.", "code": "UNAVAILABLE"},
    ),
}  # fmt: skip

_LINES: Final = "One event a line, each an `EventCreate` as JSON, with `\\n` at its end: `curl --data-binary @events.ndjson`."

_PUBLISHING: Final = ("/api/v1/events", "/api/v1/events/batch")  # under an id that stands for something else

# Routes whose last part says that they may meet a state that does not allow them.
_MAY_CONFLICT = (
    "/auth",
    "/test",
    "/secret",
    "/rotate",
    "/retry",
    "/route",
    "/recover",
    "/backfill",
    "/cancel",
    "/run",
    "/groups",
    "/portal-link",
    "/collections",
    "/records",
    "/cron",
    "/integrations",
    "/bins",
    "/bins/{bin_id}",
)


def describe(document: OpenAPI) -> None:
    """Add descriptions, errors and examples to a document that has routes and types."""
    for key, schema in (document.components.schemas or {}).items() if document.components else ():
        for name, member in (schema.properties or {}).items():
            sentence = FIELDS.get(f"{key.rpartition('_')[2]}.{name}") or FIELDS.get(name)
            if sentence is not None:
                _describe(member, sentence)
    for schema in (document.components.schemas or {}).values() if document.components else ():
        _widen(schema)
    for path, item in (document.paths or {}).items():
        for method in ("get", "post", "put", "patch", "delete"):
            operation: Operation | None = getattr(item, method)
            if operation is not None:
                _document(operation, method, path)


def _widen(schema: Any) -> None:
    """Say `anyOf` where the framework says `oneOf`: what any JSON fits beside `null` would fit twice when it is null."""
    if not isinstance(schema, Schema):
        return
    if schema.one_of:
        can_be_anything = any(isinstance(one, Schema) and one.to_schema() == {} for one in schema.one_of)
        schema.any_of, schema.one_of = None if can_be_anything else schema.one_of, None
    within = [*(schema.any_of or ()), *(schema.properties or {}).values(), schema.items, schema.additional_properties]
    for one in within:
        _widen(one)


def _describe(member: Any, sentence: str) -> None:
    if isinstance(member, Reference):
        return  # what it refers to has a description of its own
    member.description = sentence


def _document(operation: Operation, method: str, path: str) -> None:
    if path.startswith("/api/"):
        need = needed(method.upper(), path)
        operation.security = [{"key": [scope.value for scope in need.scopes]}]
        operation.description = f"{_without_sections(operation.description)}\n\n{_door(need)}"
    else:
        operation.description = _without_sections(operation.description)
    if path.endswith("/batch"):  # lines, which the framework has no type for
        lines = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING, description=_LINES))
        binary = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY, description=_LINES))
        kinds = {"application/x-ndjson": lines, "application/octet-stream": binary}  # for generators that know no lines
        operation.request_body = RequestBody(content=kinds, required=True, description=_LINES)
    responses = operation.responses = dict(operation.responses or {})
    responses.pop("400", None)  # what the framework supposes
    for status in _errors_of(operation, path):
        responses[str(status)] = OpenAPIResponse(description=ERRORS[status][0])  # told in full once (`document.py`)
    example = example_of(method, path)
    if example is not None and operation.request_body is not None and not isinstance(operation.request_body, Reference):
        for media in operation.request_body.content.values():
            media.examples = {"example": Example(value=example)}


def _without_sections(docstring: str | None) -> str:
    """Return a docstring without what it says to those who read the code."""
    return (docstring or "").partition("\n\nRaises:")[0].partition("\n\nArgs:")[0]


def _door(need: Need) -> str:
    names = " and ".join(f"`{scope.value}`" for scope in need.scopes)
    key = f"a key with the scope{'s' if len(need.scopes) > 1 else ''} {names}" if names else "any key"
    return f"Needs {key}{' that is for all groups' if need.is_for_all_groups else ''}."


def _errors_of(operation: Operation, path: str) -> list[int]:
    """Return the statuses a route may refuse with, which follow from what it takes."""
    statuses = {503}
    if path == "/metrics":
        statuses |= {401, 403, 422, 429}
    if path == "/healthz":
        statuses = {422}
    if path == "/readyz":
        statuses |= {422}
    if path.startswith(("/api/", "/in/")):
        statuses |= {401, 422}
    if path.startswith("/api/"):
        statuses |= {403, 404, 429}  # the group that X-Tidings-Group names may not be there
    if path.startswith("/in/"):
        statuses |= {413, 429}
    if "{" in path or path.endswith("/statistics"):
        statuses |= {404}
    if operation.request_body is not None:
        statuses |= {400, 413, 422}
    if "{webhook_id}" in path:
        statuses |= {400}
    if path.endswith(_MAY_CONFLICT) or (path in _PUBLISHING and operation.request_body is not None):
        statuses |= {409}
    if any(isinstance(one, Parameter) and one.name == "cursor" for one in operation.parameters or ()):
        statuses |= {404}  # what the cursor names is gone
    return sorted(statuses)


def error_response(status: int) -> dict[str, Any]:
    """Return the answer that all refusals of a status are, as the document tells it."""
    sentence, answer = ERRORS[status]
    media = {"schema": {"$ref": "#/components/schemas/Error"}, "examples": {"error": {"value": answer}}}
    said: dict[str, Any] = {"description": sentence, "content": {"application/json": media}}
    if status in {429, 503}:
        after = {"description": "Seconds after which to try again.", "schema": {"type": "integer"}}
        said["headers"] = {"Retry-After": after}
    return said


def error_schema() -> dict[str, Any]:
    """Return the type that every refusal is of."""

    def text(said: str) -> dict[str, Any]:
        return {"type": "string", "description": said}

    def number(said: str) -> dict[str, Any]:
        return {"type": "integer", "description": said}

    return {
        "type": "object",
        "description": "Why a call was refused.",
        "required": ["error", "code"],
        "properties": {
            "error": text("What is wrong and what to do, in a sentence."),
            "code": text("A stable name for programs."),
            "field": text("The field at fault."),
            "scope": text("The scope that the key lacks."),
            "retry_after_seconds": number("When to try again, as in Retry-After."),
            "limit": text("The limit of the group that is reached."),
            "allowed": number("How much it allows."),
            "used": number("How much there is."),
            "event_id": text("The event that was published under this id before, with other content."),
        },
        "examples": [ERRORS[422][1]],
    }
