"""What is to be played of a page, read from its fenced blocks and from comments that nobody sees.

A comment stands right before the block that it is about:

    <!-- play: terminal="receiver" until="Listening" -->   typed into a terminal of that name; it stays, and has said so when it is ready
    <!-- play: file="receiver.py" -->                      the block is the content of a file
    <!-- play: shows="receiver" -->                        a terminal shows these lines; … stands for anything
    <!-- play: never="why" -->                             not played
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_BLOCK = re.compile(r"(?:<!-- play: (?P<marks>.*?) -->\n+)?^```(?P<kind>[\w-]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r'(\w+)="([^"]*)"')
_MARKS = {"terminal", "until", "file", "shows", "never"}


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


def blocks(page: str) -> Iterator[Block]:
    """Yield the blocks of a page, from top to bottom."""
    for found in _BLOCK.finditer(page):
        marks = dict(_MARK.findall(found["marks"] or ""))
        if unknown := marks.keys() - _MARKS:
            raise ValueError(f"A block has the unknown mark {unknown.pop()!r}.")
        yield Block(found["kind"], found["text"], page.count("\n", 0, found.start("kind")) + 1, marks)


def shown(pattern: str, said: str) -> bool:
    """Whether lines were said, one after the other: `…` in them stands for anything."""
    at = 0
    for line in filter(None, map(str.strip, pattern.splitlines())):
        found = re.compile(r".*?".join(map(re.escape, re.split(r"\s*…\s*", line)))).search(said, at)
        if found is None:
            return False
        at = found.end()
    return True
