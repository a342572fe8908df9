"""The document of the API: what the framework knows of routes and types, what is said of them, and how it is told."""

from typing import Final

import msgspec
from litestar import Litestar

from tidings.api.openapi import reference
from tidings.api.openapi.examples import ANSWERS
from tidings.api.openapi.operation_ids import summary_of
from tidings.api.openapi.shaping import Json, operations, shape
from tidings.core.homes import place_of

_ABOUT: Final = """Changes of rows, and what applications publish, as signed, retried and recorded deliveries.

Every call needs a key, `Authorization: Bearer <key>`; each operation names the scope that it needs of it. Errors are
`{"error": "<a sentence with the remedy>", "code": "<A_NAME>"}`, with `field` where one field is at fault. What a field means is
the same wherever it appears. New fields may come to answers at any time; none goes away, and none changes its meaning.
"""

TAGS: Final[dict[str, str]] = {
    "Webhooks": "Subscriptions: who hears what, and how it is told.",
    "Events": "Publish what happened, and read what did.",
    "Deliveries": "What became of each event for each webhook, attempt by attempt.",
    "Tables": "How tables are captured, and their present rows as events.",
    "Watch": "For machines that watch this one.",
    "VSKI": "The same in the words of VSKI's clients.",
}

_STATUS: Final = {
    "400": "BadRequest", "401": "Unauthorized", "403": "Forbidden", "404": "NotFound", "409": "Conflict",
    "413": "TooLarge", "422": "Invalid", "429": "TooMany", "503": "Unavailable",
}  # fmt: skip

_GROUP: Final[Json] = {
    "name": "X-Tidings-Group",
    "in": "header",
    "required": False,
    "description": "The group that the call is about; the key's own, or `default`, when it is left out. Percent-encode what "
    "is not ASCII.",
    "schema": {"type": "string"},
    "example": "acme",
}
_HOME: Final[Json] = {
    "name": "X-Tidings-Home",
    "in": "header",
    "required": False,
    "description": "In a fleet the home that answers, for what is about an installation and no group; whichever is reached, "
    "when it is left out. Of a list of all homes its own part.",
    "schema": {"type": "string"},
    "example": "eu",
}
_HOME_REF: Final = {"$ref": "#/components/parameters/Home"}
_GROUP_REF: Final = {"$ref": "#/components/parameters/Group"}

_PAGE_HEADERS: Final = {
    "Link": "Where the pages around this one are, `rel` next and prev.",
    "Tidings-Next": "The `cursor` of the page after this one; absent: there is none.",
    "Tidings-Prev": "The `cursor` of the page before this one.",
    "Tidings-Searched-To": "How far was looked, where that was not far enough to fill the page.",
    "Tidings-Count": "How many there are, when `count` asks; exact up to 10,000, else `>10000`.",
}


def document_text(app: Litestar) -> bytes:
    """Return the document as it is sent: made when somebody asks, and once."""
    text: bytes | None = app.state.get("openapi_text")
    if text is None:
        text = app.state["openapi_text"] = msgspec.json.encode(document(app))
    return text


def document(app: Litestar) -> Json:
    """Return what `/openapi.json` says of an application, as plain JSON."""
    described = app.openapi_schema
    reference.describe(described)
    told = shape(described.to_schema())
    told["info"] |= {"description": _ABOUT, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}}
    components = told["components"]
    components["schemas"]["Error"] = reference.error_schema()
    components["schemas"] = dict(sorted(components["schemas"].items()))
    components["parameters"] = {"Group": _GROUP, "Home": _HOME}
    components["responses"] = {_STATUS[str(status)]: reference.error_response(status) for status in reference.ERRORS}
    used: set[str] = set()
    for method, path, operation in operations(told):
        _share(method, path, operation)
        used |= set(operation.get("tags", ()))
    told["tags"] = [
        {"name": name, **({"description": TAGS[name]} if name in TAGS else {})} for name in sorted(used, key=_place)
    ]
    for name, example in ANSWERS.items():
        components["schemas"][name]["examples"] = [example]
    return told


def _place(tag: str) -> tuple[int, str]:
    """Where a tag stands: what most read first, in the order of the table; what machines and other systems call last."""
    names = list(TAGS)
    last = names.index("Watch")
    at = names.index(tag) if tag in TAGS else last
    return (at if at < last else at + 1 if tag in TAGS else last, tag)


def _share(method: str, path: str, operation: Json) -> None:
    """Say once for all what many operations have in common."""
    operation["summary"] = summary_of(operation["operationId"])
    if path.startswith("/api/"):
        operation.setdefault("parameters", []).append(dict(_GROUP_REF))
        if (place := place_of(method.upper(), path)) is not None and place.is_of_installation:
            operation["parameters"].append(dict(_HOME_REF))
    if path.startswith("/api/") and not path.startswith("/api/v1/"):
        operation["tags"] = ["VSKI"]
    parameters = {one.get("name") for one in operation.get("parameters", ())}
    for status, response in operation["responses"].items():
        if status in _STATUS and path != "/readyz":
            operation["responses"][status] = {"$ref": f"#/components/responses/{_STATUS[status]}"}
            continue
        if not response.get("headers"):
            response.pop("headers", None)
        if method == "get" and {"cursor", "count"} <= parameters:
            response["headers"] = {
                name: {"description": said, "schema": {"type": "string"}} for name, said in _PAGE_HEADERS.items()
            }
        if response.get("description", "").startswith("Request fulfilled"):
            response["description"] = "Done."
