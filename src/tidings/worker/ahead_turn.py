"""The turn to send ahead (`core.ahead.Turn`): held by signs of life, called off by whoever lands, and given back."""

from collections.abc import Callable
from typing import Final, Protocol

from tidings.core import ahead
from tidings.core.ahead import Said, Step, encode_said, whose

LEAVE_TRIES: Final = 5  # at giving the turn back: whoever lands flights may ask for it at this moment


class Beside(Protocol):
    """The stream of answers of a home, and the key that says who sends ahead."""

    async def is_received(self) -> tuple[bool, int]:
        """Return whether somebody of the home waits for flights, and up to which number all are acknowledged."""

    async def put(self, number: int, data: bytes) -> None:
        """Put answers to a flight, by its number, into the stream."""

    async def numbers(self) -> dict[int, int]:
        """Return the numbers of flights that have answers, and how many messages each has."""

    async def read(self, number: int, count: int) -> list[bytes]:
        """Return the messages of a flight."""

    async def has_room(self) -> bool:
        """Whether more may be put into it."""

    async def state(self) -> tuple[bytes, int]:
        """Return what the key says, and its revision; 0: there is none."""

    async def change(self, value: bytes, revision: int) -> int | None:
        """Change the key if it has this revision; return its new one; None: somebody else was first."""


class Turn:
    """The right to send ahead, as long as it is renewed."""

    def __init__(self, beside: Beside, said: Said, revision: int, monotonic: Callable[[], float]) -> None:
        self._beside = beside
        self._said = said
        self._revision = revision
        self._monotonic = monotonic
        self._renewed_at = monotonic()
        self.is_ours = True

    @property
    def is_sure(self) -> bool:
        """Whether nobody else can have it."""
        return self.is_ours and self._monotonic() - self._renewed_at < ahead.GIVE_UP_SECONDS

    async def renew(self, reached: int) -> None:
        """Say, from time to time, that we are alive. `reached`: the flight that was begun last."""
        asked = self._monotonic()
        if not self.is_ours or asked - self._renewed_at < ahead.RENEW_INTERVAL:
            return
        said = self._said.after(Step.RENEW, reached=reached)
        revision = None if said is None else await self._beside.change(encode_said(said), self._revision)
        if said is None or revision is None:
            await self._look()
            return
        self._said, self._revision, self._renewed_at = said, revision, asked

    async def _look(self) -> None:
        """See whether it is ours still: what was said last may be our own, of which we were told that nobody knows."""
        value, revision = await self._beside.state()
        said = whose(value)
        if said.holder == self._said.holder and said.state is self._said.state and revision != self._revision:
            self._revision = revision  # it is renewed by that the next time
        else:
            self.is_ours = False

    async def leave(self) -> None:
        """Give it back, once all answers are in the stream; whoever asked us to end waits for that."""
        for _ in range(LEAVE_TRIES):
            value, revision = await self._beside.state()
            said = whose(value)
            left = said.after(Step.LEAVE) if said.holder == self._said.holder else None
            if left is None or await self._beside.change(encode_said(left), revision) is not None:
                return
