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
from litestar.openapi.spec.enums import OpenAPIType

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
        operation.description = f"{operation.description or ''}\n\n{_door(need)}"
    if path.endswith("/batch"):  # lines, which the framework has no type for
        lines = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING))
        operation.request_body = RequestBody(content={"application/x-ndjson": lines}, required=True)
    responses = operation.responses = dict(operation.responses or {})
    responses.pop("400", None)  # what the framework supposes
    if "/collections/" in path and "/records" in path:
        _document_records(operation)
    for status in _errors_of(operation, path):
        sentence, answer = ERRORS[status]
        media = OpenAPIMediaType(schema=_error_schema(), examples={"error": Example(value=answer)})
        responses[str(status)] = OpenAPIResponse(description=sentence, content={"application/json": media})
    example = example_of(method, path)
    if example is not None and operation.request_body is not None and not isinstance(operation.request_body, Reference):
        for media in operation.request_body.content.values():
            media.examples = {"example": Example(value=example)}


def _door(need: Need) -> str:
    names = " and ".join(f"`{scope.value}`" for scope in need.scopes)
    key = f"a key with the scope{'s' if len(need.scopes) > 1 else ''} {names}" if names else "any key"
    return f"Needs {key}{' that is for all groups' if need.is_for_all_groups else ''}."


def _document_records(operation: Operation) -> None:
    """Say what comes back as the text it was stored as, which the framework takes for text."""
    record = Schema(type=OpenAPIType.OBJECT, description="The record, with all its fields.")
    records = Schema(type=OpenAPIType.ARRAY, items=record, description="The records, in the order they were given.")
    for response in (operation.responses or {}).values():
        for media in (response.content or {}).values() if isinstance(response, OpenAPIResponse) else ():
            if isinstance(media.schema, Schema) and media.schema.type is OpenAPIType.STRING:
                media.schema = Schema(any_of=[record, records])


def _errors_of(operation: Operation, path: str) -> list[int]:
    """Return the statuses a route may refuse with, which follow from what it takes."""
    statuses = {503}
    if path.startswith(("/api/", "/in/")):
        statuses |= {401, 422}
    if path.startswith("/api/"):
        statuses |= {403, 429}
    if path.startswith("/in/"):
        statuses |= {413, 429}
    if "{" in path or path.endswith("/statistics"):
        statuses |= {404}
    if operation.request_body is not None:
        statuses |= {400, 413, 422}
    if "{webhook_id}" in path:
        statuses |= {400}
    if path.endswith(_MAY_CONFLICT) or (path == "/api/v1/events" and operation.request_body is not None):
        statuses |= {409}
    if any(isinstance(one, Parameter) and one.name == "cursor" for one in operation.parameters or ()):
        statuses |= {404}  # what the cursor names is gone
    return sorted(statuses)


def _error_schema() -> Schema:
    return Schema(
        type=OpenAPIType.OBJECT,
        required=["error", "code"],
        properties={
            "error": Schema(type=OpenAPIType.STRING, description="What is wrong and what to do, in a sentence."),
            "code": Schema(type=OpenAPIType.STRING, description="A stable name for programs."),
            "field": Schema(type=OpenAPIType.STRING, description="The field at fault."),
            "scope": Schema(type=OpenAPIType.STRING, description="The scope that the key lacks."),
            "retry_after_seconds": Schema(type=OpenAPIType.INTEGER, description="When to try again, as in Retry-After."),
            "limit": Schema(type=OpenAPIType.STRING, description="The limit of the group that is reached."),
            "allowed": Schema(type=OpenAPIType.INTEGER, description="How much it allows."),
            "used": Schema(type=OpenAPIType.INTEGER, description="How much there is."),
        },
    )
