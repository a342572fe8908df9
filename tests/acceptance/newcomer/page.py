"""What is to be played of a page, read from its fenced blocks and from comments that nobody sees.

A comment stands right before the block that it is about:

    <!-- play: terminal="receiver" until="Listening" -->   typed into a terminal of that name; it stays, and has said so when it is ready
    <!-- play: file="receiver.py" -->                      the block is the content of a file
    <!-- play: shows="receiver" -->                        a terminal shows these lines; … stands for anything
    <!-- play: given="ID=$WEBHOOK" -->                     typed before: what the page takes a reader to have
    <!-- play: answers="y" -->                             typed where a command asks; it sees a terminal then
    <!-- play: code="1" -->                                the last command ends with it
    <!-- play: into="psql -d app" -->                      the block is what a command reads

In a block with prompts (`$ `) commands are typed one by one, and what stands below each is what it shows: numbers, times and
ids are whatever they are at the reader's.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_BLOCK = re.compile(r"(?:<!-- play: (?P<marks>.*?) -->\n+)?^```(?P<kind>[\w-]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r'(\w+)="([^"]*)"')
_MARKS = {"terminal", "until", "file", "shows", "given", "answers", "code", "into"}
_PROMPT = "$ "

ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_ANYTHING = re.compile(r"\s*…\s*")
# What is another at each reader's: an id, a secret, a number or a time, and how far columns stand apart because of them.
_OWN = (
    (ID, ID.pattern),
    (re.compile(r"whsec_[\w+/=]+"), r"whsec_[\w+/=]+"),
    (re.compile(r"\d[\d.:]*"), r"\d[\d.:]*"),
    (re.compile(r"\s+"), r"\s+"),
)


@dataclass(frozen=True)
class Block:
    """A fenced block. `line`: where it begins in its page."""

    kind: str
    text: str
    line: int
    marks: dict[str, str] = field(default_factory=dict)

    @property
    def is_typed(self) -> bool:
        """Whether it is commands that a reader types."""
        return self.kind == "console"

    def commands(self) -> list[tuple[str, str]]:
        """Return what is typed at once, and what is shown after it, of a block that is typed."""
        if not self.text.startswith(_PROMPT):
            return [(self.text, "")]
        found: list[tuple[str, str]] = []
        is_whole = True
        for line in self.text.splitlines(keepends=True):
            typed, shown = found[-1] if found else ("", "")
            if line.startswith(_PROMPT):
                found.append((line.removeprefix(_PROMPT), ""))
            elif is_whole:
                found[-1] = (typed, shown + line)
                continue
            else:
                found[-1] = (typed + line, shown)
            is_whole = not line.rstrip().endswith("\\")
        return found


def blocks(page: str) -> Iterator[Block]:
    """Yield the blocks of a page, from top to bottom."""
    for found in _BLOCK.finditer(page):
        marks = dict(_MARK.findall(found["marks"] or ""))
        if unknown := marks.keys() - _MARKS:
            raise ValueError(f"A block has the unknown mark {unknown.pop()!r}.")
        yield Block(found["kind"], found["text"], page.count("\n", 0, found.start("kind")) + 1, marks)


def shown(pattern: str, said: str, *, are_own: bool = False) -> bool:
    """Whether lines were said, one after the other: `…` in them stands for anything.

    Args:
        are_own: Numbers, times and ids stand for others of their kind.
    """
    at = 0
    for line in filter(None, map(str.strip, pattern.splitlines())):
        pieces = _ANYTHING.split(line)
        found = re.compile(r".*?".join(_own(piece) if are_own else re.escape(piece) for piece in pieces)).search(said, at)
        if found is None:
            return False
        at = found.end()
    return True


def _own(text: str) -> str:
    """Return the pattern of a text in which numbers, times and ids may be others."""
    for own, pattern in _OWN:
        if found := own.search(text):
            return _own(text[: found.start()]) + pattern + _own(text[found.end() :])
    return re.escape(text)
