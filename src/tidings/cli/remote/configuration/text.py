"""YAML as people keep it in git, read with the line of everything, and written so that it is read as the same.

What is read is what JSON can say, in YAML's writing. What YAML has beyond that is refused or means nothing: anchors (a small
text could be a huge document), tags (they name types of Python), and words that stand for others: `no` is a text and not
false, `1:30` is no number of seconds, a date is a text. So JSON can be read, too.
"""

import math
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import yaml

MAX_BYTES: Final = 2 * 1024 * 1024
MAX_DEPTH: Final = 40  # of lists and mappings within each other
MAX_VALUES: Final = 100_000

Path = tuple[str | int, ...]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_HALVES: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE)
_WORDS: Final[dict[str, Any]] = {"": None, "null": None, "~": None, "true": True, "false": False}


class TextError(Exception):
    """A text that cannot be read.

    Attributes:
        line: Where, counted from 1.
        sentence: Why, and what to write.
    """

    def __init__(self, line: int, sentence: str) -> None:
        super().__init__(sentence)
        self.line = line
        self.sentence = sentence


class Document(NamedTuple):
    """What a text says, and on which line each of its values begins (of a member of a mapping: its key)."""

    value: Any
    lines: dict[Path, int]

    def line_of(self, path: Path) -> int:
        """Return the line of a value, or of the nearest one around it that there is."""
        return next(self.lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self.lines)


def read(text: str) -> Document:
    """Return what a text says.

    Raises:
        TextError: It is no such text, is longer or deeper than any that is needed, or says something twice.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise TextError(1, f"The file has more than {MAX_BYTES // 1024:,} KiB. Divide it, by group perhaps.")
    if text.lstrip("\ufeff \t\r\n").startswith("{"):
        # JSON: its texts have no tabs, and YAML takes none between things; what JSON writes as two halves YAML writes as one.
        text = _HALVES.sub(_whole, text.replace("\t", " "))
    try:
        return _Reader().read(yaml.parse(text, Loader=_LOADER))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise TextError(line, "There is a character that no such file has; write it as \\u… within double quotes.") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise TextError(1 if mark is None else mark.line + 1, f"This is no YAML: {error.problem or error.context}.") from error


class _Open:
    """A list or mapping whose end has not come."""

    def __init__(self, value: Any, path: Path) -> None:
        self.value = value
        self.path = path
        self.key: str | None = None


class _Reader:
    """Builds values of events. There is no recursion, so depth costs nothing before it is refused."""

    def __init__(self) -> None:
        self._open: list[_Open] = []
        self._lines: dict[Path, int] = {}
        self._documents: list[Any] = []

    def read(self, events: Iterator[Any]) -> Document:
        for event in events:
            line = event.start_mark.line + 1
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
                raise TextError(line, "Anchors (&) and aliases (*) are not read here; write it out.")
            tag = getattr(event, "tag", None)
            if tag is not None:
                raise TextError(line, f"The tag {tag[:60]} is not read here; leave it out.")
            match event:
                case yaml.ScalarEvent():
                    self._scalar(event, line)
                case yaml.MappingStartEvent():
                    self._begin({}, line)
                case yaml.SequenceStartEvent():
                    self._begin([], line)
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    self._open.pop()
        if len(self._documents) > 1:
            raise TextError(1, "The file has several documents (---); write one.")
        return Document(self._documents[0] if self._documents else None, self._lines | {(): 1})

    def _scalar(self, event: Any, line: int) -> None:
        inside = self._open[-1] if self._open else None
        if inside is not None and isinstance(inside.value, dict) and inside.key is None:
            key = event.value
            if key in inside.value:
                raise TextError(line, f"{told((*inside.path, key))} is there twice.")
            inside.key = key
            self._lines[*inside.path, key] = line
            return
        self._put(_plain(event.value, line) if event.implicit[0] else event.value, line)

    def _begin(self, value: Any, line: int) -> None:
        inside = self._open[-1] if self._open else None
        if inside is not None and isinstance(inside.value, dict) and inside.key is None:
            raise TextError(line, "A name must be text.")
        if len(self._open) >= MAX_DEPTH:
            raise TextError(line, f"There are more than {MAX_DEPTH} lists and mappings within each other.")
        self._open.append(_Open(value, self._put(value, line)))

    def _put(self, value: Any, line: int) -> Path:
        """Put a value where it belongs and return its path."""
        if len(self._lines) >= MAX_VALUES:
            raise TextError(line, f"The file has more than {MAX_VALUES:,} values. Divide it, by group perhaps.")
        if not self._open:
            self._documents.append(value)
            return ()
        inside = self._open[-1]
        if isinstance(inside.value, list):
            inside.value.append(value)
            path: Path = (*inside.path, len(inside.value) - 1)
            self._lines[path] = line
            return path
        key, inside.key = inside.key, None
        assert key is not None  # a value in a mapping follows its key  # noqa: S101
        inside.value[key] = value
        return (*inside.path, key)


def _plain(text: str, line: int) -> Any:
    """Return what a word without quotes means."""
    if text in _WORDS:
        return _WORDS[text]
    if not _NUMBER.fullmatch(text):
        return text
    if len(text) > 100:
        raise TextError(line, "A number has more than 100 digits.")
    if text.lstrip("-").isdigit():
        return int(text)
    number = float(text)
    if not math.isfinite(number):
        raise TextError(line, f"{text} is too large a number.")
    return number


def _whole(halves: re.Match[str]) -> str:
    high, low = int(halves[2], 16), int(halves[3], 16)
    return f"{halves[1]}\\U{0x10000 + ((high - 0xD800) << 10) + low - 0xDC00:08x}"


def told(path: Path) -> str:
    """Return a path as people write it: `webhooks.erp.events[0]`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


class _Dumper(yaml.SafeDumper):
    """Writes no anchors, and quotes what would be read as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _write_text(dumper: Any, text: str) -> Any:
    is_word = text.isprintable() and text not in _WORDS and _NUMBER.fullmatch(text) is None
    style = None if is_word else "|" if _is_block(text) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _is_block(text: str) -> bool:
    return "\n" in text and all(line.isprintable() for line in text.split("\n"))


def _write_number(dumper: Any, number: float) -> Any:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:float", repr(number) if "." in repr(number) else repr(number).replace("e", ".0e")
    )


_Dumper.add_representer(str, _write_text)
_Dumper.add_representer(float, _write_number)


def write(value: Any) -> str:
    """Return a value as YAML, in the order it has."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120, default_flow_style=False)
    return text
