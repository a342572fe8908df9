"""The catalogue of event types: those that Tidings makes itself, and JSON Schemas for those that applications publish."""

import json
from functools import lru_cache
from typing import Any, Final

import jsonschema_rs
import msgspec

from tidings.core.errors import InvalidInputError
from tidings.core.operational import (
    CERTIFICATE_EXPIRED,
    CERTIFICATE_EXPIRING,
    DISABLED,
    FAILING,
    LOOP,
    OVER_LIMIT,
    RECOVERED,
)

MAX_SCHEMA_BYTES = 100_000

_RECORD = {"id": "0198c5f0", "title": "New Post", "created": "2026-03-15T12:00:00+00:00"}
_OBJECT = {"integration": "shop", "platform": "stripe", "object_type": "product", "object_id": "prod_1"}
_CONTENT: dict[str, Any] = {"collection": "posts", "id": "0198c5f0", "record": _RECORD, "old_record": None, "changed": []}
_ROW: dict[str, Any] = {
    "schema": "public",
    "table": "orders",
    "operation": "INSERT",
    "record": {"id": 1},
    "old_record": None,
    "changed": [],
}

_WEBHOOK = {
    "webhook_id": "5f0c8a52-0b1e-4b8e-9c3d-2f6a1d7e4b90",
    "name": "ERP",
    "url": "https://erp.example.com/hook",
    "since": "2026-03-15T12:00:00.000Z",
    "reason": "The receiver answered HTTP 500.",
    "waiting": 12,
}


class BuiltIn(msgspec.Struct, frozen=True):
    """A type that Tidings makes. `example`: the data of profile `standard`."""

    name: str
    description: str
    example: Any


BUILT_IN: Final = (
    BuiltIn("table.<name>.inserted", "A row was inserted.", _ROW),
    BuiltIn(
        "table.<name>.updated",
        "A row was updated.",
        _ROW | {"operation": "UPDATE", "old_record": {"id": 0}, "changed": ["id"]},
    ),
    BuiltIn(
        "table.<name>.deleted",
        "A row was deleted.",
        _ROW | {"operation": "DELETE", "record": None, "old_record": {"id": 1}},
    ),
    BuiltIn("collection.created", "A collection was made.", {"id": "0198c5ef", "name": "posts", "type": "base", "schema": []}),
    BuiltIn("collection.updated", "A collection's schema or settings were changed.", {"id": "0198c5ef", "name": "posts"}),
    BuiltIn("collection.deleted", "A collection was deleted, with its records.", {"id": "0198c5ef", "name": "posts"}),
    BuiltIn("content.created", "A record of a collection was created.", _CONTENT),
    BuiltIn("content.updated", "A record was changed.", _CONTENT | {"old_record": _RECORD, "changed": ["title"]}),
    BuiltIn("content.deleted", "A record was deleted.", _CONTENT | {"record": None, "old_record": _RECORD}),
    BuiltIn("content.published", "A record's publishDate came.", _CONTENT | {"old_record": _RECORD}),
    BuiltIn("content.archived", "A record was archived.", _CONTENT | {"old_record": _RECORD, "changed": ["archived"]}),
    BuiltIn(
        "cron.fired",
        "A job's time came.",
        {"id": "7b3f", "name": "nightly", "scheduled_at": "2026-03-15T02:00:00Z", "missed_count": 0},
    ),
    BuiltIn(
        "integration.connected", "An integration was made, or enabled again.", {"integration": "shop", "platform": "stripe"}
    ),
    BuiltIn("integration.updated", "An integration's settings were changed.", {"integration": "shop", "platform": "stripe"}),
    BuiltIn(
        "integration.disconnected", "An integration was disabled or deleted.", {"integration": "shop", "platform": "stripe"}
    ),
    BuiltIn("integration.synced", "A sync was done.", {"created": 1, "updated": 0, "deleted": 0, "unchanged": 9}),
    BuiltIn("integration.received", "A notice came that is about no object.", {"integration": "code", "body": {}}),
    BuiltIn("integration.object.created", "An object came into being elsewhere.", _OBJECT | {"object": {}, "previous": None}),
    BuiltIn("integration.object.updated", "An object was changed elsewhere.", _OBJECT | {"object": {}, "previous": {}}),
    BuiltIn("integration.object.deleted", "An object was deleted elsewhere.", _OBJECT | {"object": {}, "previous": None}),
    BuiltIn("site.deployed", "A site was deployed.", {"integration": "code", "platform": "github", "deployment": {}}),
    BuiltIn("webhook.test", "Somebody pressed the test button.", {"test": True}),
    BuiltIn(FAILING, "Another webhook has failed ten times in a row, or for an hour.", _WEBHOOK),
    BuiltIn(RECOVERED, "Another webhook that was failing succeeded.", _WEBHOOK | {"reason": "An attempt succeeded."}),
    BuiltIn(
        DISABLED,
        "Another webhook was disabled by its receiver, or set aside since it cannot be read.",
        _WEBHOOK | {"reason": "Its receiver answered 410 Gone."},
    ),
    BuiltIn(
        LOOP,
        "Deliveries of another webhook were stopped because they led to themselves.",
        _WEBHOOK | {"reason": "Its deliveries led to themselves."},
    ),
    BuiltIn(
        CERTIFICATE_EXPIRING,
        "A certificate of another webhook ends within 30 days: one that it shows, or believes its receiver by.",
        _WEBHOOK | {"reason": "Its client certificate ends at 2026-04-14 12:00:00 UTC. Give it another one before."},
    ),
    BuiltIn(
        CERTIFICATE_EXPIRED,
        "A certificate of another webhook has ended.",
        _WEBHOOK | {"reason": "Its client certificate ended at 2026-03-15 12:00:00 UTC. Give it another one."},
    ),
    BuiltIn(
        OVER_LIMIT,
        "The group has more than a limit of it allows, by captured changes or jobs, which nobody refuses.",
        {"group": "acme", "limit": "stored_bytes", "allowed": 1_000_000_000, "used": 1_000_200_000},
    ),
)


def check_schema(text: str) -> None:
    """Refuse what is no JSON Schema, or refers to one elsewhere: what is accepted must not change with somebody's server.

    Raises:
        InvalidInputError: With what is wrong.
    """
    if len(text.encode()) > MAX_SCHEMA_BYTES:
        raise InvalidInputError("schema", f"schema is longer than {MAX_SCHEMA_BYTES} bytes.")
    try:
        _validator(text)
    except (jsonschema_rs.ValidationError, ValueError, RecursionError) as error:
        reason = getattr(error, "message", None) or str(error)
        raise InvalidInputError("schema", f"schema is no JSON Schema: {reason}.") from error


def check_data(type_: str, schema: str, data: bytes | str, field: str = "data") -> None:
    """Refuse data that does not match its type's schema.

    Raises:
        InvalidInputError: With the place in the data.
    """
    try:
        said = json.loads(data)
    except (ValueError, RecursionError) as problem:  # an integer of thousands of digits, arrays in arrays in arrays
        raise InvalidInputError(field, f"{field} cannot be checked against the schema of {type_}: {problem}.") from problem
    error = next(iter(_validator(schema).iter_errors(said)), None)
    if error is not None:
        place = ".".join([field, *map(str, error.instance_path)])
        raise InvalidInputError(place, f"{place} does not match the schema of {type_}: {error.message}.")


def _refuse(uri: str) -> Any:
    raise ValueError(f"it refers to {uri}; write the definition into the schema itself")


@lru_cache(maxsize=1000)
def _validator(text: str) -> Any:
    # Patterns by finite automata: no schema can make one event take long.
    return jsonschema_rs.validator_for(
        json.loads(text), retriever=_refuse, validate_formats=True, pattern_options=jsonschema_rs.RegexOptions()
    )
