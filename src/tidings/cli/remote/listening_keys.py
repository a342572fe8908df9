"""Keys of a terminal while a command runs: read one by one, and the terminal put back as it was, however the command ends."""

import asyncio
import atexit
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, Final, NamedTuple

MAX_TYPED: Final = 100  # characters behind `/`
_ENTER: Final = frozenset("\r\n")
_BACK: Final = frozenset("\x7f\x08")


class Key(StrEnum):
    """What somebody wants."""

    REPLAY = "replay"
    QUIT = "quit"
    TYPING = "typing"  # the text behind `/` changed
    FILTER = "filter"  # it is to be used
    HELP = "help"


class Pressed(NamedTuple):
    """A key, and the text behind `/`."""

    key: Key
    text: str = ""


class Keyboard:
    """Turns characters into what somebody wants. Pure."""

    def __init__(self) -> None:
        self._typed: str | None = None

    def feed(self, text: str) -> list[Pressed]:
        """Take characters, and return what they mean."""
        if self._typed is None and text.startswith("\x1b"):
            return []  # an arrow, or another key of several characters
        return [pressed for character in text if (pressed := self._press(character)) is not None]

    def _press(self, character: str) -> Pressed | None:  # noqa: PLR0911 - one for each key
        if self._typed is None:
            match character:
                case "r":
                    return Pressed(Key.REPLAY)
                case "q":
                    return Pressed(Key.QUIT)
                case "?" | "h":
                    return Pressed(Key.HELP)
                case "/":
                    self._typed = ""
                    return Pressed(Key.TYPING)
                case _:
                    return None
        if character in _ENTER or character == "\x1b":
            typed, self._typed = self._typed if character != "\x1b" else "", None
            return Pressed(Key.FILTER, typed)
        if character in _BACK:
            self._typed = self._typed[:-1]
        elif character.isprintable():
            self._typed = (self._typed + character)[:MAX_TYPED]
        return Pressed(Key.TYPING, self._typed)


@contextmanager
def keys(on_pressed: Callable[[Pressed], None]) -> Iterator[bool]:
    """Read keys while the block runs, where a person sits; tells whether one does.

    The terminal is put back when the block ends, when the process is stopped by Ctrl-Z, and when it ends in any other way that
    leaves it a moment.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        yield False
        return
    descriptor, keyboard, loop = sys.stdin.fileno(), Keyboard(), asyncio.get_running_loop()
    before = termios.tcgetattr(descriptor)

    def restore() -> None:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)

    def read() -> None:
        try:
            data = os.read(descriptor, 256)
        except OSError:
            data = b""
        if not data:  # the terminal is gone
            loop.remove_reader(descriptor)
            return
        for pressed in keyboard.feed(data.decode("utf-8", "ignore")):
            on_pressed(pressed)

    def rest() -> None:
        restore()
        os.kill(os.getpid(), signal.SIGSTOP)  # goes on here once it is in the foreground again
        _listen_to(descriptor)

    atexit.register(restore)
    _listen_to(descriptor)
    loop.add_reader(descriptor, read)
    loop.add_signal_handler(signal.SIGTSTP, rest)
    try:
        yield True
    finally:
        loop.remove_reader(descriptor)
        loop.remove_signal_handler(signal.SIGTSTP)
        restore()
        atexit.unregister(restore)


def _listen_to(descriptor: int) -> None:
    attributes: Any = tty
    attributes.setcbreak(descriptor)  # Ctrl-C stays Ctrl-C
