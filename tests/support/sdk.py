"""The table of the API's calls that both SDKs are held against, and the API's own document."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlencode

from tidings.api.openapi import document as openapi
from tidings.api.server import create_app
from tidings.config import Config

TABLE = json.loads((Path(__file__).parents[2] / "sdk" / "operations.json").read_text())
CALLS: list[dict[str, Any]] = TABLE["calls"]
CALL = {call["name"]: call for call in CALLS}


def document() -> dict[str, Any]:
    """Return what `/openapi.json` says."""
    services: Any = SimpleNamespace(config=Config())
    return openapi.document(create_app(services, version="0"))


def path_of(call: dict[str, Any]) -> str:
    """Return the path of a call with its arguments in it."""
    args = iter(call["args"])
    return re.sub(r"\{\w+\}", lambda _: quote(str(next(args)), safe=""), call["path"])


def query_of(call: dict[str, Any]) -> str:
    """Return the query of a call."""
    words = [(name, call["options"][name]) for name in call.get("query", []) if name in call["options"]]
    return urlencode([(name, _word(value)) for name, value in words], doseq=True)


def _word(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def walk_of(name: str) -> str:
    """Return what the method is called that reads all of what another reads a page of."""
    group, method = name.split(".")
    return f"{group}.{re.sub(r'^list(?=_|$)', 'walk', method) if method.startswith('list') else 'walk_' + method}"


def sample(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """Return something that a schema describes: with all its fields, the first of several kinds."""
    if "$ref" in schema:
        return sample(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    for several in ("oneOf", "anyOf"):
        if several in schema:
            return sample(schema[several][0], schemas)
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {name: sample(member, schemas) for name, member in schema.get("properties", {}).items()}
        case "array":
            return [sample(schema["items"], schemas)] * schema.get("minItems", 1) if schema.get("items") else ["a", "b"]
        case "integer" | "number":
            return 1
        case "boolean":
            return True
        case "string":
            by_format = {"uuid": "3fa85f64-5717-4562-b3fc-2c963f66afa6", "date-time": "2026-11-21T03:42:37.002Z"}
            return by_format.get(schema.get("format", ""), "a")
        case _:
            return {}
