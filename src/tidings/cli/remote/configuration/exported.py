"""What a server has, as the text of a file. What is as for any new thing is left out; what is secret has a variable's name."""

import re
from collections.abc import Mapping
from itertools import count
from typing import Any, Final

import msgspec

from tidings.cli.remote.configuration import entries, text
from tidings.cli.remote.configuration.kinds import KINDS, Fields, Kind
from tidings.core.differences import is_secret
from tidings.core.steps import is_same

_SIGNS: Final = re.compile(r"[^A-Z0-9]+")
# What is never left out, although it may be as for any: people look for it, or it decides what the rest means.
_SAID: Final = {"webhooks": ("url", "events", "profile"), "collections": ("type",)}
_PAUSED: Final = {"enabled": True, "active": True}  # what is so is not said: it stays as it is


def exported(group: str | None, present: Mapping[str, Mapping[str, Fields]], *, with_secrets: bool) -> str:
    """Return what there is as a file.

    Args:
        group: None: the file does not say.
        present: Of each section that is to be in it.
        with_secrets: Variables are named for secrets that would else be left out, and so stay as they are.
    """
    document: dict[str, Any] = {"tidings": entries.VERSION}
    variables = _Variables()
    if group is not None:
        document["group"] = group
    for kind in KINDS:
        if kind.section not in present:
            continue
        things = present[kind.section]
        named: Any = {name: entry_of(kind, name, things[name], variables, with_secrets=with_secrets) for name in sorted(things)}
        _put(document, kind.section, named if kind.is_named else named.get(kind.section, {}))
    return text.write(document)


class _Variables:
    """Names of variables for secrets. No two secrets have one: whoever sets it would give both the same."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def name(self, *words: str) -> dict[str, str]:
        """Return `{env: NAME}` with a name of these words that nothing else in the file has."""
        told = _SIGNS.sub("_", "_".join(words).upper()).strip("_")
        told = told if told and not told[0].isdigit() else f"TIDINGS_{told}"
        free = next(one for number in count(1) if (one := told if number == 1 else f"{told}_{number}") not in self._taken)
        self._taken.add(free)
        return {"env": free}


def entry_of(kind: Kind, name: str, fields: Fields, variables: _Variables, *, with_secrets: bool) -> Fields:
    """Return what a file has to say of a thing so that it is as it is."""
    needed = entries.needed(kind.entry)
    if kind.section == "jobs":
        needed = [*needed, "url" if "url" in fields else "sql"]
    said = [field for field in _SAID.get(kind.section, ()) if field in fields]
    least = {field: fields[field] for field in dict.fromkeys([*needed, *said])}
    if kind.section == "redaction":  # what it keeps of answers follows from what it hides
        least |= {field: fields[field] for field in ("fields", "subject")}
    plain = kind.normal(name, msgspec.convert(least, kind.entry)) | _PAUSED
    if kind.section == "redaction":
        plain |= {"fields": [], "subject": False}
    told = {
        field: fields[field]
        for field in fields
        if field in [*needed, *said] or not is_same(plain.get(field, _NOTHING), fields[field])
    }
    if kind.section == "webhooks":
        told = {field: value for field, value in told.items() if value is not None or field not in _CREDENTIALS}
    if with_secrets and "secret" in kind.sealed:
        told["secret"] = None
    return {field: _referring(kind, variables, name, (field,), value) for field, value in told.items()}


_NOTHING: Final = object()
_CREDENTIALS: Final = frozenset({"auth", "client_certificate", "ca_certificates"})
_HIDDEN: Final = frozenset({"secret", "auth.password", "auth.client_secret"})


def _referring(kind: Kind, variables: _Variables, name: str, path: tuple[str, ...], value: Any) -> Any:
    """Return a value with `{env: NAME}` in the place of what is secret."""
    place = ".".join(path)
    if place == "client_certificate":
        return {part: variables.name(name, *path, part) for part in ("certificate", "key")}
    if place in _HIDDEN or place == "ca_certificates" or (path[-2:-1] == ("headers",) and is_secret(path[-1])):
        return variables.name(name, *path)
    if isinstance(value, dict) and (place in {"auth", "headers"} or kind.section == "collections"):
        return {key: _referring(kind, variables, name, (*path, key), one) for key, one in value.items()}
    if isinstance(value, list) and kind.section == "collections":
        return [_referring(kind, variables, name, (*path, str(at)), one) for at, one in enumerate(value)]
    return value


def _put(document: dict[str, Any], section: str, value: Any) -> None:
    outer, _, inner = section.rpartition(".")
    (document.setdefault(outer, {}) if outer else document)[inner] = value
