"""The document of the API as those want it who make clients of it.

The framework knows the types of the code. What a generator makes of those alone compiles and guides little: bodies without a
required field, texts that are one of six words, one type of an error for each answer of each operation. Here the tables of
`kinds.py` are applied to the document as plain JSON: types get the names that a user would give them, one is made of what is
needed to create and one of what may change, words are enums, and what many operations share (the error answers, the header of
the group) stands in it once.
"""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from tidings.api.openapi.kinds import HIDDEN, MADE, NAMES, SHAPES, SPLIT, WORDS

Json = dict[str, Any]

_SCHEMAS = "#/components/schemas/"
_NOISE = ("deprecated", "allowEmptyValue", "allowReserved")  # where they are false, as everywhere


def shape(document: Json) -> Json:
    """Return the document with types as they are told."""
    document = deepcopy(document)
    schemas: Json = document["components"]["schemas"]
    document["components"]["schemas"] = schemas = {name.rpartition("_")[2]: said for name, said in schemas.items()}
    for part in _parts(document):
        if "$ref" in part:
            part["$ref"] = _SCHEMAS + part["$ref"].rpartition("/")[2].rpartition("_")[2]
        _flatten(part)
    _say_shapes(schemas)
    _say_words(document, schemas)
    for name, hidden in HIDDEN.items():
        for field in hidden:
            schemas[name]["properties"].pop(field, None)
    _close(document, schemas)
    _split(document, schemas)
    _rename(document, schemas)
    document["components"]["schemas"] = dict(sorted((schemas | deepcopy(MADE)).items()))
    _tidy_parameters(document)
    _say_records(document)
    return document


def told_as(name: str) -> str:
    """Return what a type of the code is called in the document."""
    return NAMES.get(name) or (name.removesuffix("View") if name.endswith("View") else name)


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Yield each operation with its method and path."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def _parts(node: Any) -> Iterator[Json]:
    """Yield every object of a document, the outer ones first. What stands in examples is nobody's schema."""
    if isinstance(node, dict):
        yield node
        for name, child in list(node.items()):
            if name not in {"example", "examples"}:
                yield from _parts(child)
    elif isinstance(node, list):
        for child in node:
            yield from _parts(child)


def _flatten(part: Json) -> None:
    """Take the choice out of a choice of one: what may be left out is not in `required`, and that is all."""
    for several in ("anyOf", "oneOf"):
        if isinstance(part.get(several), list) and len(part[several]) == 1:
            (only,) = part.pop(several)
            for name, value in only.items():
                part.setdefault(name, value)


def _say_shapes(schemas: Json) -> None:
    for field, said in SHAPES.items():
        type_, name = field.split(".")
        member = schemas[type_]["properties"][name]
        kept = {"description": member["description"]} if "description" in member else {}
        member.clear()
        member.update(deepcopy(said) | kept)


def _say_words(document: Json, schemas: Json) -> None:
    for name, (words, places) in WORDS.items():
        schemas[name] = {"type": "string", "enum": [str(word) for word in words]}
        for place in places:
            for member in _members(document, schemas, place.removesuffix("[]")):
                _refer(member["items"] if place.endswith("[]") else member, name)


def _members(document: Json, schemas: Json, place: str) -> Iterator[Json]:
    if not place.startswith("?"):
        type_, name = place.split(".")
        yield schemas[type_]["properties"][name]
        return
    for _, _, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            if parameter["name"] == place[1:] and parameter["in"] == "query":
                kind: Json = parameter["schema"]
                arrays = [one for one in kind.get("oneOf", ()) if one.get("type") == "array"]
                yield arrays[0] if arrays else kind


def _refer(member: Json, name: str) -> None:
    """Let a member that is a text, or a text or null, be one of the words of a name."""
    several = next((key for key in ("anyOf", "oneOf") if key in member), None)
    if several is None:
        member.pop("type", None)
        member["$ref"] = _SCHEMAS + name
        return
    texts = [one for one in member[several] if one.get("type") != "null"]
    nulls = [one for one in member[several] if one.get("type") == "null"]
    if len(texts) != 1:
        raise ValueError(f"{name} is said of what is more than one text: {member}")
    member[several] = [{"$ref": _SCHEMAS + name}, *nulls]


def _close(document: Json, schemas: Json) -> None:
    """Say of what bodies are made of that they take no other fields; the server refuses them by name."""
    left = [part["$ref"] for _, _, operation in operations(document) for part in _parts(operation.get("requestBody"))
            if "$ref" in part]  # fmt: skip
    seen: set[str] = set()
    while left:
        name = left.pop().rpartition("/")[2]
        if name in seen or name not in schemas:
            continue
        seen.add(name)
        said = schemas[name]
        if said.get("type") == "object" and "properties" in said:
            said.setdefault("additionalProperties", False)
        left += [part["$ref"] for part in _parts(said) if "$ref" in part]


def _split(document: Json, schemas: Json) -> None:
    """Make of a type that creates and changes two types."""
    for name, creation in SPLIT.items():
        said = deepcopy(schemas[name])
        for field in creation.without:
            said["properties"].pop(field)
        schemas[creation.name] = said | ({"required": list(creation.required)} if creation.required else {})
    for method, path, operation in operations(document):
        if method == "post" and "{" not in path and not path.endswith("/dry-run"):
            for part in _parts(operation.get("requestBody")):
                creation_of = SPLIT.get(part.get("$ref", "").rpartition("/")[2])
                if creation_of is not None:
                    part["$ref"] = _SCHEMAS + creation_of.name


def _rename(document: Json, schemas: Json) -> None:
    for part in _parts(document):
        if part.get("$ref", "").startswith(_SCHEMAS):
            part["$ref"] = _SCHEMAS + told_as(part["$ref"].rpartition("/")[2])
    for name in list(schemas):
        said = schemas.pop(name)
        if told_as(name) in schemas:
            raise ValueError(f"Two types are called {told_as(name)}.")
        said.pop("title", None)
        if not said.get("required"):
            said.pop("required", None)
        schemas[told_as(name)] = said


def _say_records(document: Json) -> None:
    """Say of the records of collections what they are: they go in and come out as the text they are stored as."""
    record = {"$ref": f"{_SCHEMAS}Record"}
    records = {"type": "array", "items": record}
    for method, path, operation in operations(document):
        if "/collections/{collection}/records" not in path:
            continue
        whole = record if "{record_id}" in path else {"anyOf": [record, records]}
        for status, response in operation["responses"].items():
            media = response.get("content", {}).get("application/json")
            is_text = media and "$ref" not in media["schema"] and media["schema"].get("type", "string") == "string"
            if int(status) < 300 and is_text:
                media["schema"] = deepcopy(whole)
        if method in {"post", "patch"} and "requestBody" in operation:
            is_many = method == "patch" and whole is not record
            for media in operation["requestBody"]["content"].values():
                media["schema"] = deepcopy(records if is_many else whole)


def _tidy_parameters(document: Json) -> None:
    """A parameter that may be left out is not null: no query can say that."""
    for _, _, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            for name in _NOISE:
                if parameter.get(name) is False:
                    del parameter[name]
            kind = parameter.get("schema", {})
            kind.pop("description", None)
            for several in ("anyOf", "oneOf"):
                if several in kind:
                    kind[several] = [one for one in kind[several] if one.get("type") != "null"]
                    _flatten(kind)
