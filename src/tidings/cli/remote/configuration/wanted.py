"""From the text of a file to what is wanted. Nothing is read or written here: the values of variables are an argument."""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

import msgspec

from tidings.cli.remote.configuration import entries, text
from tidings.cli.remote.configuration.kinds import BY_SECTION, KINDS, SECRET, Kind
from tidings.cli.remote.configuration.text import Document, Path, TextError
from tidings.core.errors import InvalidInputError
from tidings.core.near import did_you_mean
from tidings.core.steps import Wanted, is_same

INSTALLATION: Final = "installation"
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_AT: Final = re.compile(r" - at `\$(.*)`$")
_PIECE: Final = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_ENV: Final = "env"
MAX_NAME: Final = 200


class Asked(NamedTuple):
    """What a file asks for.

    Attributes:
        group: Which it is for; None: it does not say.
        things: What is wanted, by section and name. A section that the file does not have is not here.
        sent: What is sent of each, by section and name: as the file says it, with the values of variables.
        variables: Which variable stands at a path of a thing.
        unset: Those that have no value.
        document: The file as it is written, which knows the line of everything.
    """

    group: str | None
    things: dict[str, dict[str, Wanted]]
    sent: dict[str, dict[str, dict[str, Any]]]
    variables: dict[tuple[str, str], dict[str, str]]
    unset: tuple[str, ...]
    document: Document

    def line_of(self, section: str, name: str, field: str = "") -> int:
        """Return the line of a thing, or of one of its fields."""
        is_named = BY_SECTION[section].is_named
        return self.document.line_of((*section.split("."), *((name,) if is_named else ()), *_pieces(field)))


class WantedError(Exception):
    """A file asks for what cannot be.

    Attributes:
        line: Where, counted from 1.
        field: What it is about; empty: the whole file.
        sentence: Why, and what to write.
    """

    def __init__(self, line: int, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.line = line
        self.field = field
        self.sentence = sentence


def asked_by(content: str, variables: Mapping[str, str], *, is_trial: bool = False) -> Asked:
    """Return what a file asks for.

    Args:
        variables: The values that they have.
        is_trial: What has no value here is left out of what is wanted, instead of refused.

    Raises:
        WantedError: It asks for what cannot be, or a variable has no value.
    """
    try:
        document = text.read(content)
    except TextError as error:
        raise WantedError(error.line, "", error.sentence) from error
    return _Reading(document, variables, is_trial=is_trial).read()


class _Reading:
    def __init__(self, document: Document, variables: Mapping[str, str], *, is_trial: bool) -> None:
        self._document = document
        self._values = variables
        self._is_trial = is_trial
        self._unset: dict[str, None] = {}

    def read(self) -> Asked:
        top = self._mapping(self._document.value, (), "The file")
        self._check_names(
            (), top, ["tidings", "group", INSTALLATION, *(one.section for one in KINDS if "." not in one.section)]
        )
        if not is_same(top.get("tidings"), entries.VERSION):
            raise self._error(("tidings",), f"The file must say tidings: {entries.VERSION}, the version of its format.")
        group = top.get("group")
        if group is not None and not isinstance(group, str):
            raise self._error(("group",), "group must be text; write it within quotes.")
        inner = top.get(INSTALLATION)
        if INSTALLATION in top and inner is not None:
            inner = self._mapping(inner, (INSTALLATION,), INSTALLATION)
            own = [one.section.partition(".")[2] for one in KINDS if "." in one.section]
            self._check_names((INSTALLATION,), inner, own)
        asked = Asked(group, {}, {}, {}, (), self._document)
        for kind in KINDS:
            path = tuple(kind.section.split("."))
            holder = top if len(path) == 1 else (inner or {})
            if path[-1] in holder:
                self._section(kind, path, holder[path[-1]], asked)
        return asked._replace(unset=tuple(self._unset))

    def _section(self, kind: Kind, path: Path, said: Any, asked: Asked) -> None:
        asked.things[kind.section], asked.sent[kind.section] = {}, {}
        if not kind.is_named:
            if said is not None:
                self._thing(kind, kind.section, path, said, asked)
            return
        for name, one in self._mapping({} if said is None else said, path, kind.section).items():
            if not 1 <= len(name) <= MAX_NAME:
                raise self._error((*path, name), f"A name has 1 to {MAX_NAME} characters.")
            self._thing(kind, name, (*path, name), one, asked)

    def _thing(self, kind: Kind, name: str, path: Path, said: Any, asked: Asked) -> None:
        given = self._mapping({} if said is None else said, path, f"A {kind.one}")
        self._check_names(path, given, entries.fields_of(kind.entry))
        for field in entries.needed(kind.entry):
            if field not in given:
                raise self._error(path, f"{field} is missing.")
        known: dict[str, str] = {}
        lacking: set[str] = set()
        sent = self._resolved(kind, path, (), given, known, lacking)
        sent = {field: value for field, value in sent.items() if field not in lacking}
        unknown = [field for field in lacking if field in entries.needed(kind.entry)]
        try:
            # A trial goes on without what a variable would say: in the place of what must be there stands a likely text.
            made = sent | dict.fromkeys(unknown, "https://variable.invalid/")
            fields = kind.normal(name, msgspec.convert(made, kind.entry))
        except msgspec.ValidationError as error:
            raise self._invalid(path, error) from error
        except InvalidInputError as error:
            raise self._error((*path, *_pieces(error.field)), error.message) from error
        sealed = tuple(one for one in kind.sealed if _has(sent, one))
        kept = {field: value for field, value in fields.items() if field not in lacking}
        asked.things[kind.section][name] = Wanted(kept, sealed)
        asked.sent[kind.section][name] = sent
        if known:
            asked.variables[kind.section, name] = known

    def _resolved(self, kind: Kind, path: Path, within: Path, said: Any, known: dict[str, str], lacking: set[str]) -> Any:
        """Return what is said with the values of variables, and take note of which stand where."""
        place = text.told(within)
        if self._is_variable(kind, within, said):
            variable = said[_ENV]
            if not isinstance(variable, str) or not _VARIABLE.fullmatch(variable):
                raise self._error(
                    (*path, *within, _ENV), "env must be the name of an environment variable, such as ERP_SECRET."
                )
            known[place] = variable
            value = self._values.get(variable)
            if not value and not self._is_trial:
                raise self._error(
                    (*path, *within), f"The variable {variable} is not set. Set it, or leave {place} out: it stays as it is."
                )
            if not value:
                self._unset[variable] = None
                lacking.add(str(within[0]))
                return ""
            return value
        if place in SECRET and isinstance(said, str):
            raise self._error(
                (*path, *within),
                f"{place} would be known to all who read this file. Write {{env: NAME}} and set that variable.",
            )
        if isinstance(said, dict):
            return {key: self._resolved(kind, path, (*within, key), one, known, lacking) for key, one in said.items()}
        if isinstance(said, list):
            return [self._resolved(kind, path, (*within, at), one, known, lacking) for at, one in enumerate(said)]
        return said

    def _is_variable(self, kind: Kind, within: Path, said: Any) -> bool:
        if not isinstance(said, dict) or list(said) != [_ENV]:
            return False
        parts = [str(part) for part in within]
        patterns = (one.split(".") for one in kind.variables)
        return any(len(parts) == len(one) and all(map(fnmatchcase, parts, one)) for one in patterns)

    def _mapping(self, value: Any, path: Path, what: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._error(path, f"{what} must be names with what they say (name: …).")
        return value

    def _check_names(self, path: Path, given: Mapping[str, Any], known: list[str]) -> None:
        for name in given:
            if name not in known:
                there_are = "" if (near := did_you_mean(name, known)) else f" There are {', '.join(known)}."
                raise self._error((*path, name), f"There is no field {name[:60]!r} here.{near}{there_are}")

    def _invalid(self, path: Path, error: msgspec.ValidationError) -> WantedError:
        message = str(error)
        found = _AT.search(message)
        place = _pieces(found[1]) if found else ()
        return self._error((*path, *place), f"{_AT.sub('', message)}.")

    def _error(self, path: Path, sentence: str) -> WantedError:
        return WantedError(self._document.line_of(path), text.told(path), sentence)


def _pieces(field: str) -> Path:
    """Return a field's path: `events[0].table` is ("events", 0, "table")."""
    return tuple(int(one[2]) if one[2] is not None else one[1] for one in _PIECE.finditer(field))


def _has(said: Any, place: str) -> bool:
    for part in place.split("."):
        if not isinstance(said, dict) or part not in said:
            return False
        said = said[part]
    return said is not None
