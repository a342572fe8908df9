"""Requests about groups that have moved to another home of the fleet, which this process may not have heard of.

Whoever asks for a group that has left finds nothing: an empty list, or no such webhook. So when an answer about a group is
there, and before it is given, the database is asked whether the group has left: what was read before it left was true. What was
done before it left is done, and answered so. The door stands before the framework at homes of a fleet, and nowhere else.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from tidings.api.http.access import ACTING
from tidings.api.http.errors import Refusal, refusal, refusal_of_fault
from tidings.api.http.sending import send_json
from tidings.core.homes import moved_to, place_of
from tidings.operations import groups
from tidings.operations.services import Services

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_READING: Final = frozenset({"GET", "HEAD"})
_OF_CALLERS: Final = frozenset({401, 403, 413, 429})  # which say nothing of what a group has


class Acting:
    """The group that a request is about. `group_id`: None: none, or nobody has said yet."""

    def __init__(self, group_id: str | None, *, is_of_group: bool) -> None:
        self.group_id = group_id
        self._is_of_group = is_of_group

    def for_group(self, group_id: str) -> str | None:
        """Take note of the group that a request is answered for; return the one that it is about, None if it is about none."""
        if self._is_of_group and self.group_id is None:
            self.group_id = group_id
        return self.group_id


class MovedAway:
    """The application, with a look at whether a group is here still before anything is said of it."""

    def __init__(self, app: Any, services: Services) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request."""
        place = place_of(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if place is None:
            await self._app(scope, receive, send)
            return
        acting = Acting(place.group_id, is_of_group=not place.is_of_installation)
        answer = _Answer(self._services, scope, acting, send)
        try:
            await self._app(scope | {ACTING: acting}, receive, answer.send)
        except Exception:
            if not answer.is_refused:
                raise


class _EndedError(Exception):
    """What would go on without an end is told nobody any more."""


class _Answer:
    """An answer on its way, which is exchanged where its group is gone."""

    def __init__(self, services: Services, scope: Message, acting: Acting, send: Send) -> None:
        self._services, self._scope, self._acting, self._send = services, scope, acting, send
        self.is_refused = False

    async def send(self, message: Message) -> None:
        """Send a part of it on."""
        if self.is_refused:
            if message.get("more_body", False):
                raise _EndedError
            return
        if message["type"] == "http.response.start" and self._tells_of_group(message["status"]):
            refused = await self._refusal()
            if refused is not None:
                self.is_refused = True
                await send_json(self._send, *refused)
                return
        await self._send(message)

    def _tells_of_group(self, status: int) -> bool:
        if self._acting.group_id is None or status >= 500 or status in _OF_CALLERS:
            return False
        return self._scope["method"] in _READING or status >= 400

    async def _refusal(self) -> Refusal | None:
        group_id = str(self._acting.group_id)
        try:
            home = await groups.left_for(self._services, group_id)
        except Exception as error:  # noqa: BLE001 - logged and answered as the framework does
            return refusal_of_fault(self._scope["method"], self._scope["path"], error)
        return None if home is None else refusal(moved_to(group_id, home))
