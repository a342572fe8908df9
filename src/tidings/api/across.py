"""Requests about what lives at another home of the fleet: they are handed on there, and answered with what it answers.

The caller's key is judged here, by what any home knows of it. The other home is told what was found (`core.voucher`) and
decides by that as if it had been asked itself; the key stays here. A request is handed on once: a home that is brought what it
says lives elsewhere refuses it. The door stands in front of all others of the API, and only where TIDINGS_HOMES is set.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final
from urllib.parse import parse_qsl, quote, quote_from_bytes
from uuid import UUID

import msgspec

from tidings.api.http.access import GROUP_HEADER, HOME_HEADER, VOUCHED, group_named, key_in, refuse_in_query
from tidings.api.http.errors import refusal, refusal_of_fault
from tidings.api.http.sending import send_json
from tidings.core.api_key import ApiKey, check_group, text_of_id
from tidings.core.errors import BodyTooLargeError, ForbiddenError, HomesDisagreeError, NotFoundError, TidingsError
from tidings.core.event import DEFAULT_GROUP
from tidings.core.group import group_fault
from tidings.core.homes import ABOUT, ASKED, KEYS, Place, place_of, waits_for_receiver
from tidings.core.voucher import HEADER, Voucher, as_key, digest_of, vouched
from tidings.operations import foreign_keys
from tidings.operations.across import About, Across
from tidings.operations.services import Services
from tidings.transport.homes import ANSWER_SECONDS, RECEIVER_SECONDS, REFUSED

logger = logging.getLogger("tidings.api")

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_NAMING: Final = 65_536  # bytes of a body that names the group that it is for
MAX_QUESTION: Final = 8_192  # of what homes ask each other
BODY_INTERVAL: Final = 1.0  # seconds that a key is believed while a body comes, as the framework's guard does
ADMITTED_INTERVAL: Final = 5.0  # seconds between looks whether an answer without an end is anybody's still
ANSWERED_BY: Final = b"tidings-home"

# What stays here: the caller's secrets, and what is about this connection alone.
_KEPT: Final = frozenset(
    {b"authorization", b"x-api-key", b"apikey", b"x-client-key", b"x-service-key", b"cookie", b"host", b"connection",
     b"keep-alive", b"proxy-connection", b"proxy-authorization", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"expect",
     b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded", HOME_HEADER.encode(), HEADER.encode()}
)  # fmt: skip


class _GoneError(Exception):
    """The caller went away."""


class AcrossHomes:
    """The application, with the door in front of it that hands on what is about other homes."""

    def __init__(self, app: Any, services: Services, across: Across) -> None:
        self._app = app
        self._services = services
        self._across = across

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request, here or by the home that it is about."""
        if scope["type"] != "http" or _BEGINS_API.match(scope["path"]) is None:
            await self._app(scope, receive, send)
            return
        # Of a header that comes twice the first counts, as in the framework.
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}
        method, path, began = scope["method"], scope["path"], asyncio.get_running_loop().time()
        try:
            handed = None
            if HEADER in headers or path.startswith(ASKED):
                handed = await self._asked_by_home(scope, headers, receive, send)
                if handed is None:
                    return
            place = place_of(method, path) if handed is None and key_in(headers) else None
            way = _Way(receive) if place is None else await self._found(scope, headers, place, receive)
            if place is not None and place.acts_for_none:  # and where it is answered may be none of that name
                headers.pop(GROUP_HEADER, None)
                scope = scope | {"headers": [line for line in scope["headers"] if line[0] != GROUP_HEADER.encode()]}
            if way.home is not None:
                await self._hand_on(scope, headers, way, send, began)
                return
        except _GoneError:
            return
        except TidingsError as error:
            await send_json(send, *refusal(error))
            return
        except Exception as error:  # noqa: BLE001 - logged and answered as the framework does
            await send_json(send, *refusal_of_fault(method, path, error))
            return
        await self._app(handed or scope, way.receive, send)

    # Where ---------------------------------------------------------------------------------------------------------------

    async def _found(self, scope: Message, headers: dict[str, str], place: Place, receive: Receive) -> "_Way":
        """Return where a request is answered."""
        across, named_home = self._across, headers.get(HOME_HEADER)
        named = group_named(headers[GROUP_HEADER]) if GROUP_HEADER in headers else None
        group_id = named if place.group_id is None else place.group_id
        is_plain = not place.is_of_installation and named_home is None and named in (None, group_id)
        if is_plain and group_id is not None and across.elsewhere(group_id) is None:
            return _Way(receive)  # whose key it is, is asked for behind this door
        key = await self._admitted(scope, headers)
        for one in (named, place.group_id):
            if one is not None:
                check_group(key.group_id, one)
        if named_home is not None:
            return _Way(receive, self._home_named(named_home, key), key)
        if place.key_id is not None and key.group_id is None:
            return _Way(receive, await self._home_of_key(place.key_id), key)
        if place.field is not None:
            receive, group_id = await _naming(receive, place.field)
        elif place.is_of_installation:
            group_id = key.group_id
        elif group_id is None:
            group_id = key.group_id or DEFAULT_GROUP
        if group_id is not None and group_fault(group_id) is not None:
            return _Way(receive, None, key)  # no group is called so, which is said here
        home = None if group_id is None else across.elsewhere(group_id)
        return _Way(receive, home, key, group_id)

    async def _admitted(self, scope: Message, headers: dict[str, str]) -> ApiKey:
        client, admission, now = scope.get("client"), self._services.admission, self._services.clock.now()
        presented, address = key_in(headers), client[0] if client else ""
        return admission.at_hand(presented, address, now) or await admission.admit(presented, address, now)

    def _home_named(self, home: str, key: ApiKey) -> str | None:
        if key.group_id is not None:
            raise ForbiddenError("This key is for one group, whose home answers by itself. Leave out X-Tidings-Home.")
        if home not in self._across.directory.fleet.homes:
            raise NotFoundError(f"The fleet has no home {home[:60]!r}; it has {', '.join(self._across.directory.fleet.homes)}.")
        return None if home == self._across.home else home

    async def _home_of_key(self, key_id: str) -> str | None:
        """Return the home of a key that is not this one's; None: ask here, where it is or is said to be nowhere."""
        try:
            named = text_of_id(UUID(key_id))
        except ValueError:
            return None
        admission = self._services.admission
        if admission.elsewhere is None or await admission.own(named, b"", "", self._services.clock.now()) is not None:
            return None
        await admission.elsewhere.find(named, b"", "", is_shut=False)
        return admission.elsewhere.home_of(named)

    # Handing on ----------------------------------------------------------------------------------------------------------

    async def _hand_on(self, scope: Message, headers: dict[str, str], way: "_Way", send: Send, began: float) -> None:
        """Answer with what another home answers. `began`: when the caller's key was looked at, or before."""
        if scope["query_string"]:
            refuse_in_query(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        client, body = scope.get("client"), _Body(way.receive, lambda: self._admitted(scope, headers), began)
        is_empty = "content-length" not in headers and "transfer-encoding" not in headers
        lines = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        handed = self._across.hand_on(
            str(way.home),
            scope["method"],
            _target(scope),
            [line for line in lines if line[0] not in _KEPT],
            None if is_empty else body.parts(),
            key=None if way.key is None else vouched(way.key),
            address=client[0] if client else "",
            group_id=way.group_id,
            group_header=headers.get(GROUP_HEADER),
            seconds=RECEIVER_SECONDS if waits_for_receiver(scope["method"], scope["path"]) else ANSWER_SECONDS,
        )
        async with handed as answer:
            told = [*answer.headers, (ANSWERED_BY, str(way.home).encode())]
            await send({"type": "http.response.start", "status": answer.status, "headers": told})
            telling = asyncio.create_task(self._tell(scope, headers, answer, send))
            gone = asyncio.create_task(body.until_gone(is_read=is_empty))
            try:
                await asyncio.wait([telling, gone], return_when=asyncio.FIRST_COMPLETED)
                if telling.done():
                    telling.result()
            except Exception as error:  # noqa: BLE001 - the answer has begun: that it ends too early is all that can be told
                logger.warning("%s %s, handed on to home %s, broke off: %s", scope["method"], scope["path"], way.home, error)
            finally:
                for task in (telling, gone):
                    task.cancel()
                await asyncio.gather(telling, gone, return_exceptions=True)

    async def _tell(self, scope: Message, headers: dict[str, str], answer: Any, send: Send) -> None:
        """Send a body on as it comes, for as long as its caller's key opens anything."""
        loop = asyncio.get_running_loop()
        looked_at = loop.time()
        async for part in answer.parts():
            if loop.time() - looked_at >= ADMITTED_INTERVAL:
                try:
                    await self._admitted(scope, headers)
                except TidingsError:
                    break
                looked_at = loop.time()
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    # Being asked by homes ------------------------------------------------------------------------------------------------

    async def _asked_by_home(self, scope: Message, headers: dict[str, str], receive: Receive, send: Send) -> Message | None:
        """Return what another home hands on, to be answered here; None: it is answered already."""
        voucher = self._across.opened(headers.get(HEADER, ""), scope["method"], _target(scope), headers.get(GROUP_HEADER))
        if voucher is None:
            error = ForbiddenError(
                "What homes tell each other is taken from the homes of this fleet alone. A home of it: give both the same "
                "TIDINGS_HOMES_KEY, clocks that agree, and one version of Tidings."
            )
            await send_json(send, *refusal(error), [(REFUSED.encode(), b"1")])
            return None
        if voucher.key is None:
            await self._answer_question(scope["path"], voucher, receive, send)
            return None
        if voucher.group_id is not None and (other := self._across.elsewhere(voucher.group_id)) is not None:
            raise HomesDisagreeError(
                f"Home {voucher.sender} says that the group {voucher.group_id!r} lives here, and this home that it lives at "
                f"{other}: it moved a moment ago. Nothing was done; try again."
            )
        handed = scope | {VOUCHED: as_key(voucher.key, voucher.at), "client": (voucher.address, 0)}
        handed["headers"] = [line for line in scope["headers"] if line[0] not in _KEPT]
        return handed

    async def _answer_question(self, path: str, voucher: Voucher, receive: Receive, send: Send) -> None:
        """Answer what a home asks for itself."""
        body = _joined(await _read(receive, MAX_QUESTION))
        if voucher.body != digest_of(body):
            raise NotFoundError("What was asked is not what was vouched for.")
        said: Any
        if path == KEYS:
            said = await foreign_keys.tell(self._services.admission, body, self._services.clock.now())
        elif path == ABOUT:
            said = About(self._across.home, self._services.config.public_url)
        else:
            raise NotFoundError(f"Homes ask nothing at {path[:100]}.")
        await send_json(send, 200, said, {})


class _Way(msgspec.Struct, frozen=True):
    """Where a request is answered.

    Attributes:
        receive: Its body, from the beginning.
        home: None: here.
        key: The caller's, where somebody had to look.
        group_id: The group that it is about; None: a home.
    """

    receive: Receive
    home: str | None = None
    key: ApiKey | None = None
    group_id: str | None = None


class _Body:
    """The body of a request, and whether its caller is there still."""

    def __init__(self, receive: Receive, admitted: Callable[[], Awaitable[object]], began: float) -> None:
        self._receive = receive
        self._admitted = admitted
        self._admitted_at = began
        self._is_read = asyncio.Event()

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield it, as it comes. Its end is sent on only when its caller's key opens something still.

        Raises:
            TidingsError: It does not.
            _GoneError: The caller went away.
        """
        loop = asyncio.get_running_loop()
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                raise _GoneError
            if loop.time() - self._admitted_at >= BODY_INTERVAL:
                await self._admitted()
                self._admitted_at = loop.time()
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body", False):
                self._is_read.set()
                return

    async def until_gone(self, *, is_read: bool) -> None:
        """Wait until the caller is gone. `is_read`: nobody reads a body."""
        if not is_read:
            await self._is_read.wait()
        while (await self._receive())["type"] == "http.request":
            pass


async def _naming(receive: Receive, field: str) -> tuple[Receive, str | None]:
    """Return the group that a body names in a field (None: it does not), and the body again.

    Raises:
        BodyTooLargeError: It is larger than anybody looks at, so that nobody knows whom it is for.
        _GoneError: The caller went away.
    """
    messages = await _read(receive, MAX_NAMING)
    content = _joined(messages)
    if len(content) > MAX_NAMING:
        raise BodyTooLargeError(f"The body is larger than the {MAX_NAMING} bytes that this call takes in a fleet.")
    try:
        said = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = None
    named = said.get(field) if isinstance(said, dict) else None
    waiting = iter(messages)

    async def again() -> Message:
        return next(waiting, None) or await receive()

    return again, named if isinstance(named, str) else None


async def _read(receive: Receive, most: int) -> list[Message]:
    """Return the messages of a body, to its end or until they have more than so many bytes.

    Raises:
        _GoneError: The caller went away.
    """
    messages: list[Message] = []
    size = 0
    while size <= most:
        message = await receive()
        if message["type"] != "http.request":
            raise _GoneError
        messages.append(message)
        size += len(message.get("body", b""))
        if not message.get("more_body", False):
            break
    return messages


def _joined(messages: list[Message]) -> bytes:
    return b"".join(message.get("body", b"") for message in messages)


def _target(scope: Message) -> bytes:
    """Return what is asked for, as it came; bytes beyond ASCII as a URL has them."""
    path: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    query: bytes = scope.get("query_string", b"")
    target = path if not query else path + b"?" + query
    return target if target.isascii() else quote_from_bytes(target, safe=_ASCII).encode()


_BEGINS_API: Final = re.compile("/+api/")  # the framework takes several slashes for one
_ASCII: Final = "".join(map(chr, range(0x21, 0x7F)))
