"""For asynchronous stores of what was seen: the three things they do, in memory and in Redis."""

import time
from collections.abc import Callable
from typing import Any, Protocol

from tidings.receiving.answers import Seen

MAX_REMEMBERED = 100_000


class AsyncStore(Protocol):
    """Where it is remembered what was seen. Any class with these three methods is one."""

    async def begin(self, key: str, lease_seconds: float) -> Seen:
        """Take what nobody has, or whose lease is over, and return NEW; else BUSY or DONE. Of two at once one gets NEW."""

    async def finish(self, key: str, keep_seconds: float) -> None:
        """Remember that it is done."""

    async def release(self, key: str) -> None:
        """Forget it: it may come again."""


class AsyncMemoryStore:
    """In this process's memory: for one process, until it ends. The oldest are forgotten beyond `size`."""

    def __init__(self, *, size: int = MAX_REMEMBERED, now: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._now = now
        self._known: dict[str, tuple[Seen, float]] = {}  # until when, in the order of their coming

    async def begin(self, key: str, lease_seconds: float) -> Seen:
        """Take what nobody has, or whose lease is over."""
        now = self._now()
        state, until = self._known.get(key, (Seen.NEW, now))
        if until > now:
            return state
        self._remember(key, Seen.BUSY, now + lease_seconds)
        return Seen.NEW

    async def finish(self, key: str, keep_seconds: float) -> None:
        """Remember that it is done."""
        self._remember(key, Seen.DONE, self._now() + keep_seconds)

    async def release(self, key: str) -> None:
        """Forget it: it may come again."""
        self._known.pop(key, None)

    def _remember(self, key: str, state: Seen, until: float) -> None:
        self._known.pop(key, None)
        self._known[key] = (state, until)
        if len(self._known) > self._size:
            del self._known[next(iter(self._known))]


class AsyncRedisStore:
    """In Redis, by a client of redis-py, or anything with its `set`, `get` and `delete`."""

    def __init__(self, redis: Any, *, prefix: str = "tidings:seen:") -> None:
        """Make a store.

        Args:
            prefix: Stands before each key.
        """
        self._redis = redis
        self._prefix = prefix

    async def begin(self, key: str, lease_seconds: float) -> Seen:
        """Take what nobody has, or whose lease is over."""
        name = self._prefix + key
        if await self._redis.set(name, Seen.BUSY.value, nx=True, px=int(lease_seconds * 1000)):
            return Seen.NEW
        return Seen.DONE if await self._redis.get(name) in {"done", b"done"} else Seen.BUSY

    async def finish(self, key: str, keep_seconds: float) -> None:
        """Remember that it is done."""
        await self._redis.set(self._prefix + key, Seen.DONE.value, px=int(keep_seconds * 1000))

    async def release(self, key: str) -> None:
        """Forget it: it may come again."""
        await self._redis.delete(self._prefix + key)
