"""How a home asks another over HTTP: by TLS, byte for byte, within bounds, and nowhere else than where it was told."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.support.engine import eventually
from tidings.core.errors import BusyError, HomeAwayError, HomesDisagreeError, InvalidInputError
from tidings.transport.homes import OWN, UNDER_WAY, WAITING, Homes


@asynccontextmanager
async def _server(
    answer: bytes | None, tls: ssl.SSLContext | None = None, *, is_left_open: bool = False
) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Lend the address of a server that answers everything so (None: nothing ever), and the heads that it is sent."""
    heads: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)
                await writer.drain()
                if is_left_open:
                    await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"{'http' if tls is None else 'https'}://localhost:{port}", heads
    finally:
        server.close()


@asynccontextmanager
async def _homes(address: str, **more: Any) -> AsyncIterator[Homes]:
    homes = Homes({"us": address}, **more)
    try:
        yield homes
    finally:
        await homes.close()


async def _ask(
    homes: Homes,
    target: bytes = b"/api/v1/events",
    headers: list[tuple[bytes, bytes]] | None = None,
    *,
    of: str | None = "acme",
) -> bytes:
    async with homes.asked("us", "POST", target, headers or [], b"{}", of=of) as answer:
        return await answer.whole()


@pytest.mark.parametrize(("method", "times"), [("GET", 2), ("HEAD", 2), ("POST", 1), ("PATCH", 1), ("DELETE", 1)])
async def test_what_may_have_been_done_is_asked_for_once(method: str, times: int) -> None:
    async with _server(b"") as (address, heads), _homes(address) as homes:
        with pytest.raises(HomeAwayError, match="what was asked for may have been done"):
            async with homes.asked("us", method, b"/api/v1/events", [], of="acme"):
                pass
        assert len(heads) == times


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


async def test_a_home_is_believed_by_its_certificate_alone(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    authorities = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(authorities))
    async with _server(OK, context) as (address, heads):
        async with _homes(address) as homes:
            with pytest.raises(HomeAwayError, match="cannot be reached"):
                await _ask(homes)
        assert heads == [], "a stranger is told nothing"
        async with _homes(address, ca_file=authorities) as homes:
            assert await _ask(homes) == b"ok"


async def test_what_is_asked_for_is_sent_as_it_came() -> None:
    target = b"/api/v1/groups/a%252Fb/../%2e./x?y=%41&y=+&z="
    async with _server(OK) as (address, heads), _homes(address) as homes:
        assert await _ask(homes, target, [(b"x-tidings-group", b"a%2Fb")]) == b"ok"
        (head,) = heads
        assert head.startswith(b"POST " + target + b" HTTP/1.1\r\n")
        assert b"user-agent" not in head.lower(), "nothing of ours is added"
        with pytest.raises(InvalidInputError):
            await _ask(homes, headers=[(b"x", b"1\r\nX-Tidings-Group: b")])
        assert len(heads) == 1


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            HomeAwayError,
            "leads to somewhere",
        ),
        (b"HTTP/1.1 403 No\r\nTidings-Voucher-Refused: 1\r\nContent-Length: 0\r\n\r\n", HomesDisagreeError, "does not believe"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", HomeAwayError, "broke off"),
        (b"what?\r\n\r\n", HomeAwayError, "may have been done"),
        (b"", HomeAwayError, "may have been done"),
    ],
)
async def test_an_answer_that_is_none_is_said(answer: bytes, error: type[Exception], said: str) -> None:
    async with _server(answer) as (address, _), _homes(address) as homes:
        with pytest.raises(error, match=said):
            await _ask(homes)


async def _has(heads: list[bytes], many: int) -> bool:
    return len(heads) >= many


async def test_a_home_that_hangs_takes_its_share_and_no_more_and_each_group_its_share_of_that() -> None:
    async with _server(None) as (address, heads), _homes(address) as homes:
        waiting = [asyncio.create_task(_ask(homes)) for _ in range(WAITING // 2)]
        await eventually(lambda: _has(heads, WAITING // 2))
        with pytest.raises(BusyError, match="24 calls for the group 'acme' to home us wait for it already"):
            await _ask(homes)
        waiting += [asyncio.create_task(_ask(homes, of=f"group {number}")) for number in range(WAITING // 2)]
        await eventually(lambda: _has(heads, WAITING))
        with pytest.raises(HomeAwayError, match="48 calls wait for it already"):
            await _ask(homes, of="newcomer")
        waiting += [asyncio.create_task(_ask(homes, of=None)) for _ in range(OWN)]
        await eventually(lambda: _has(heads, WAITING + OWN))
        with pytest.raises(HomeAwayError, match="24 questions wait for it already"):
            await _ask(homes, of=None)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        again = asyncio.create_task(_ask(homes))
        await eventually(lambda: _has(heads, WAITING + OWN + 1))
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)


async def test_answers_without_an_end_leave_places_to_others() -> None:
    endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"
    async with _server(endless, is_left_open=True) as (address, heads), _homes(address) as homes, AsyncExitStack() as stack:
        for group in ("a", "b", "c"):
            for _ in range(20):  # as many as a group may follow
                answer = await stack.enter_async_context(homes.asked("us", "GET", b"/", [], of=group))
                assert await anext(answer.parts()) == b"ok"
        assert len(heads) == 60
        for _ in range((UNDER_WAY - 60) // 2):
            await stack.enter_async_context(homes.asked("us", "GET", b"/", [], of="greedy"))
        with pytest.raises(BusyError, match="are under way there"):
            await stack.enter_async_context(homes.asked("us", "GET", b"/", [], of="greedy"))
        for group in ("d", "e", "f"):
            await stack.enter_async_context(homes.asked("us", "GET", b"/", [], of=group))
        await stack.enter_async_context(homes.asked("us", "GET", b"/", []))
    async with _server(OK) as (address, _), _homes(address) as homes:
        for _ in range(UNDER_WAY + WAITING):
            assert await _ask(homes) == b"ok", "each gives its place back"


async def test_an_answer_sets_no_cookie_of_another_home() -> None:
    head = b"HTTP/1.1 200 OK\r\nSet-Cookie: tidings=x\r\nServer: s\r\nTidings-Next: 7\r\nContent-Length: 2\r\n\r\nok"
    async with _server(head) as (address, _), _homes(address) as homes, homes.asked("us", "GET", b"/", []) as answer:
        assert [name for name, _ in answer.headers] == [b"tidings-next", b"content-length"]


async def test_how_long_an_answer_may_take_is_said_for_each_call() -> None:
    async with _server(None) as (address, _), _homes(address) as homes:
        with pytest.raises(HomeAwayError, match="ReadTimeout; what was asked for may have been done"):
            async with homes.asked("us", "GET", b"/", [], of="acme", seconds=0.1):
                raise AssertionError


async def test_a_home_that_cannot_be_reached_is_left_alone_for_a_moment() -> None:
    now = 0.0
    async with _server(OK) as (address, heads):
        pass
    homes = Homes({"us": address}, monotonic=lambda: now)
    with pytest.raises(HomeAwayError, match="cannot be reached; nothing was done"):
        await _ask(homes)
    with pytest.raises(HomeAwayError, match="a moment ago"):
        await _ask(homes)
    now = 1.0
    with pytest.raises(HomeAwayError, match="cannot be reached; nothing was done"):
        await _ask(homes)
    with pytest.raises(HomesDisagreeError, match="has no address here"):
        async with homes.asked("asia", "GET", b"/", []):
            raise AssertionError
    await homes.close()
    assert heads == []
