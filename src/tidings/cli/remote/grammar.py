"""How the table of things says what a verb takes and what a list shows: words, read into fields and columns."""

import json
import re
from typing import Any, Final, NamedTuple

UUID: Final = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
KINDS: Final = frozenset({"text", "int", "number", "flag", "list", "map", "json", "either", "private"})


class Verb(NamedTuple):
    """One thing that can be done, as the API has it.

    Attributes:
        name: At the prompt.
        method, path: Of the API. Names in braces are arguments.
        says: A sentence for help.
        query: The parameters that `--where` takes.
        body: Fields of the body, each `name` or `name:kind`; `*`: whatever is given; empty: there is none. A `private` one is
            asked for where it is not given, and `-` reads it from standard input: what is typed stands in the shell's history.
        sends: What the body always has.
        shows: `one` thing, `many`, or `nothing`.
        columns: Of many, each `Title=path:kind`; empty: those of the thing.
        pages: How a list goes on: `header`, `last`, `before`, `offset`, `numbers`, `whole`; with `:field` which one.
        inside: The member of an answer that is the list.
        asks: What is asked before it is done; empty: nothing.
        done: What is said when it is done; empty: the answer is shown.
        edits: It changes a thing that is read first, in an editor when no field is given.
        whole: An edit sends all fields and not those alone that are changed.
        waits: It waits for a receiver.
        quiet: The field that `--quiet` shows of the answer; empty: that of the thing.
        first: The field of the body that may also be written without its option, as the first word.
        then: What is said to people instead of the answer; `{}` is what they called it.
        of_group: A list of the one group that is acted for, whatever the key is for: that it has none names that group.
    """

    name: str
    method: str
    path: str
    says: str
    query: str = ""
    body: str = ""
    sends: Any = None
    shows: str = "one"
    columns: str = ""
    pages: str = ""
    inside: str = ""
    asks: str = ""
    done: str = ""
    edits: bool = False
    whole: bool = False
    waits: bool = False
    quiet: str = ""
    first: str = ""
    then: str = ""
    of_group: bool = False

    @property
    def arguments(self) -> list[str]:
        """The names of its arguments, in order."""
        return re.findall(r"\{(\w+)\}", self.path)


class Thing(NamedTuple):
    """What can be listed, read, made and so on.

    Attributes:
        name, one: At the prompt; of one of them in sentences.
        says: A sentence for help.
        columns: What a list shows, the most important first: on a narrow screen those at the end are left out.
        verbs: What can be done.
        key: The field that `--quiet` shows, and by which one is named.
        label: The field by which people know it, where that is not the key.
        hides: Fields that say again what others say.
        many: What several are called, where that is not the name.
    """

    name: str
    one: str
    says: str
    columns: str
    verbs: tuple[Verb, ...]
    key: str = "id"
    label: str = ""
    hides: str = ""
    many: str = ""

    def verb(self, name: str) -> Verb:
        """Return a verb by its name."""
        return next(verb for verb in self.verbs if verb.name == name)


class Field(NamedTuple):
    """A field of a body."""

    name: str
    kind: str

    @property
    def flag(self) -> str:
        """How it is written at the prompt."""
        return "--" + re.sub(r"(?<=[a-z])(?=[A-Z])", "-", self.name).replace("_", "-").lower()


class Column(NamedTuple):
    """A column of a list."""

    title: str
    path: tuple[str, ...]
    kind: str


def fields(text: str) -> list[Field]:
    """Read the fields of a body: `name url events:list`."""
    return [Field(name, kind or "text") for name, _, kind in (word.partition(":") for word in text.split()) if name != "*"]


def columns(text: str) -> list[Column]:
    """Read the columns of a list: `Id=id:id State=health.state:state`."""
    found = []
    for word in text.split():
        title, _, rest = word.partition("=")
        path, _, kind = rest.partition(":")
        found.append(Column(title.replace("_", " "), tuple(path.split(".")), kind or "text"))
    return found


def at(value: Any, path: tuple[str, ...]) -> Any:
    """Return what is at a path of an answer; None where there is nothing."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def read_value(kind: str, given: Any) -> Any:
    """Read what a flag was given as its field has it.

    Raises:
        ValueError: It cannot be read so; with a sentence.
    """
    match kind:
        case "list":
            return [_read_json(text) if text.lstrip()[:1] in {"{", "["} else text for text in given]
        case "map":
            return _read_map(given)
        case "json":
            return _read_json(given)
        case "either":
            return _read_json(given) if given.lstrip()[:1] == "{" else given
        case _:
            return given


def _read_map(given: tuple[str, ...]) -> Any:
    if len(given) == 1 and given[0].lstrip().startswith("{"):
        return _read_json(given[0])
    pairs = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign:
            raise ValueError(f"{text!r} is no pair; write name=value.")
        pairs[name] = value
    return pairs


def _read_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{text[:60]!r} is not JSON: {error}.") from error


def read_setting(text: str) -> tuple[str, Any]:
    """Read `name=value`, whose value is JSON, or a text when it is none.

    Raises:
        ValueError: There is no `=`.
    """
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise ValueError(f"{text!r} sets nothing; write name=value.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
