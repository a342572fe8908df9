"""`tidings listen` at work: asks for deliveries, forwards them, and tells what came of each, whatever happens on the way."""

import asyncio
import errno
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

import httpx
import msgspec

from tidings.cli.remote.listening_faults import Faults, Plan, plan_for
from tidings.cli.remote.listening_hand import MAX_HELD, Hand, Result, request_of, result_of
from tidings.cli.remote.server import Server
from tidings.client.errors import ApiError
from tidings.client.exchange import answer_of
from tidings.core.egress import Egress
from tidings.core.listening import LEASE_SECONDS
from tidings.core.networks import EVERYTHING
from tidings.core.outcome import Exchange
from tidings.core.pauses import Pauses
from tidings.core.target import parse_target, request_head
from tidings.transport.sender import Sender

WAIT_SECONDS: Final = 8.0  # of a request for deliveries
PATIENCE: Final = 15.0  # seconds beyond that, for its answer
RENEW_SECONDS: Final = 5.0  # between requests while there is no room for more deliveries
STALE_SECONDS: Final = LEASE_SECONDS - 5.0  # from a request on, after which its answer is not used
GRACE_SECONDS: Final = 5.0  # at the end, for what is under way
LONG_HOLD_SECONDS: Final = 5.0  # from which on somebody wonders why nothing comes
_AWAY: Final = frozenset({0, 409, 429, 500, 502, 503, 504})

Show = Callable[[dict[str, Any], Exchange, Plan], None]


class Listening:
    """One client of a listener.

    Attributes:
        hand: What it has under way, and what it has done.
        last: The delivery that was forwarded last.
    """

    def __init__(
        self,
        server: Server,
        asked: dict[str, Any],
        forward: str,
        *,
        faults: Faults,
        concurrency: int,
        show: Show,
        say: Callable[[str], None],
        now: Callable[[], datetime],
        count: int | None = None,
    ) -> None:
        """Make one.

        Args:
            asked: What listener: the body of its making.
            forward: The URL that deliveries go to.
            show: Told of each delivery that was forwarded.
            say: Told what else happens, in a sentence.
            now: This machine's clock.
            count: End after so many.
        """
        self._asked = asked
        self._forward = forward
        self._target = parse_target(forward)
        self._faults = faults
        self._show = show
        self._say = say
        self._count = count
        self._server = server
        self._http = httpx.AsyncClient(
            base_url=server.url, headers=server.headers, timeout=WAIT_SECONDS + PATIENCE, verify=server.url.startswith("https:")
        )
        # It is its user's own machine and network.
        self._sender = Sender(Egress(allowed=EVERYTHING, ports=((1, 65535),), allow_http=True))
        self._session = str(uuid4())
        self._places = asyncio.Semaphore(concurrency)
        self._forwarding: set[asyncio.Task[None]] = set()
        self._answered, self._freed, self._stopped = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._is_away = False
        self._now = now
        self._held_until: str | None = None  # as it was told last
        self._begun = 0
        self._unread: OSError | None = None  # nobody reads what is shown any more
        self.hand = Hand(min(MAX_HELD, max(64, 4 * concurrency)))
        self.last: dict[str, Any] | None = None
        self.listener: dict[str, Any] = {}

    @property
    def is_busy(self) -> bool:
        """A delivery is being sent, or the server has not heard what came of one."""
        return self._begun > self.hand.counts["succeeded"] + self.hand.counts["failed"] or bool(self.hand.to_tell())

    async def open(self) -> dict[str, Any]:
        """Make or find the listener.

        Raises:
            ApiError: The server refused, or none answered.
        """
        self.listener = await self._post("/api/v1/listeners", self._asked)
        return self.listener

    async def skip(self) -> int:
        """Cancel what waits, and return how many deliveries that were.

        Raises:
            ApiError: The server refused, or none answered.
        """
        return int((await self._post(f"{self._path}/skip", None))["cancelled"])

    async def run(self) -> None:
        """Forward until told to stop, then give back what was not sent.

        Raises:
            ApiError: The server refused what trying again cannot change.
            OSError: What is shown can be shown to nobody any more.
        """
        telling = asyncio.create_task(self._tell())
        taking = asyncio.create_task(self._take())
        stopping = asyncio.create_task(_until(self._stopped))
        try:
            await asyncio.wait({telling, taking, stopping}, return_when=asyncio.FIRST_COMPLETED)
            self._stopped.set()
            taking.cancel()
            await asyncio.wait({taking})
            if forwarding := set(self._forwarding):
                _, late = await asyncio.wait(forwarding, timeout=GRACE_SECONDS)
                for task in late:
                    task.cancel()
                await asyncio.wait(forwarding)
            self._answered.set()
            await asyncio.wait({telling}, timeout=GRACE_SECONDS)
            await self._leave(telling)
        finally:
            for task in (telling, taking, stopping):
                task.cancel()
        for task in (telling, taking):
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error
        if self._unread is not None:
            raise self._unread

    async def close(self) -> None:
        """Close its connections."""
        await self._sender.close()
        await self._http.aclose()

    def stop(self) -> None:
        """End it."""
        self._stopped.set()
        self._answered.set()
        self._freed.set()

    async def replay(self) -> tuple[dict[str, Any], Exchange] | None:
        """Forward the last delivery again, byte for byte. The server is told nothing of it."""
        if self.last is None:
            return None
        return self.last, await self._send(self.last)

    # Deliveries in ---------------------------------------------------------------------------------------------------

    async def _take(self) -> None:
        pauses = Pauses(first=0.2)
        while not self._stopped.is_set():
            self._freed.clear()
            room, asked_at = self.hand.room, asyncio.get_running_loop().time()
            body = {
                "session": self._session,
                "held": self.hand.held,
                "limit": room,
                "wait_seconds": WAIT_SECONDS if room else 0,
            }
            try:
                taken = await self._post(f"{self._path}/take", body)
            except ApiError as error:
                if error.status == 404 and error.code == "NOT_FOUND":
                    self._say("The listener was deleted; it is made anew.")
                    await self._again()
                elif error.status not in _AWAY:
                    raise
                else:
                    self._away(error)
                await asyncio.sleep(pauses.next())
                continue
            pauses.reset()
            self._back()
            self._tell_of_hold(taken.get("held_until"), taken["waiting"])
            if asyncio.get_running_loop().time() - asked_at > STALE_SECONDS:
                continue  # this process stood still, and what it was given belongs to others by now
            for delivery in self.hand.take(taken["deliveries"]):
                task = asyncio.create_task(self._forward_one(delivery))
                self._forwarding.add(task)
                task.add_done_callback(self._forwarding.discard)
            if not self.hand.room:
                await _within(self._freed.wait(), RENEW_SECONDS)

    def _tell_of_hold(self, until: str | None, waiting: int) -> None:
        """Say once that nothing comes for long, and why: the terminal would be as still as if nothing happened."""
        if until is None or not waiting or until == self._held_until:
            return
        ends_at = msgspec.convert(until, datetime)
        if (ends_at - self._now()).total_seconds() >= LONG_HOLD_SECONDS:
            self._held_until = until
            self._say(held_sentence(ends_at, waiting))

    async def _again(self) -> None:
        try:
            await self.open()
        except ApiError as error:
            if error.status not in _AWAY:
                raise

    async def _forward_one(self, delivery: dict[str, Any]) -> None:
        plan = plan_for(self._faults, delivery["id"], delivery["attempt_number"])
        if plan.hold_seconds:
            await _within(self._stopped.wait(), plan.hold_seconds)
        async with self._places:
            if self._stopped.is_set() or self._begun == self._count:
                return  # it is given back
            self._begun += 1
            exchange = await self._carry_out(plan, delivery)
        self.last = delivery
        self.hand.counts["succeeded" if exchange.is_success else "failed"] += 1
        self.hand.finish(result_of(delivery, exchange))
        self._answered.set()
        try:
            self._show(delivery, exchange, plan)
        except OSError as error:
            self._unread = error
            self.stop()
        except SystemExit:  # what rich makes of a closed pipe
            self._unread = BrokenPipeError(errno.EPIPE, "Nobody reads what is shown.")
            self.stop()
        if self._count is not None and self.hand.counts["succeeded"] + self.hand.counts["failed"] >= self._count:
            self.stop()

    async def _carry_out(self, plan: Plan, delivery: dict[str, Any]) -> Exchange:
        if plan.is_dropped:
            return Exchange(failure="reset", error="It was dropped on purpose (--drop), and never reached the receiver.")
        exchange, *_ = await asyncio.gather(*(self._send(delivery) for _ in range(plan.copies)))
        if plan.is_failed:
            return Exchange(failure="reset", error="Its answer was lost on purpose (--fail).", timings=exchange.timings)
        return exchange

    async def _send(self, delivery: dict[str, Any]) -> Exchange:
        data = request_of(request_head(delivery["method"], self._forward), delivery)
        return await self._sender.send(self._target, data, timeout_seconds=delivery["timeout_seconds"])

    # Results out -----------------------------------------------------------------------------------------------------

    async def _tell(self) -> None:
        pauses = Pauses(first=0.2)
        while True:
            results = self.hand.to_tell()
            if not results and self._stopped.is_set() and not self._forwarding:
                return
            if not results:
                self._answered.clear()
                await self._answered.wait()
                continue
            try:
                await self._tell_some(results)
                pauses.reset()
            except ApiError as error:
                if error.status == 404:  # deleted meanwhile: nobody wants to know
                    self.hand.told(results, [])
                    continue
                if error.status not in _AWAY:
                    raise
                self._away(error)
                await asyncio.sleep(pauses.next())

    async def _tell_some(self, results: list[Result]) -> None:
        body = {"session": self._session, "results": [result.told for result in results]}
        said = await self._post(f"{self._path}/results", body)
        self._back()
        refused = self.hand.told(results, said["refused"])
        self._freed.set()
        if refused:
            many = "1 delivery" if len(refused) == 1 else f"{len(refused)} deliveries"
            self._say(f"The server had taken {many} back before it heard what came of it; what it does not know comes again.")

    async def _leave(self, telling: asyncio.Task[None]) -> None:
        """Give back what is left, while the server answers."""
        telling.cancel()
        await asyncio.wait({telling})
        try:
            async with asyncio.timeout(GRACE_SECONDS):
                await self._post(f"{self._path}/take", {"session": self._session, "held": [], "limit": 0})
                waits = await self._http.get(self._path)
                self.listener = answer_of(waits, dict)
        except (TimeoutError, ApiError, httpx.TransportError):
            self._say("The server did not hear of everything; what it does not know comes again.")

    # The server ------------------------------------------------------------------------------------------------------

    @property
    def _path(self) -> str:
        return f"/api/v1/listeners/{self.listener['id']}"

    async def _post(self, path: str, body: Any) -> Any:
        content = b"" if body is None else msgspec.json.encode(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            response = await self._http.post(path, content=content, headers=headers)
        except httpx.TransportError as error:
            raise self._server.unreachable(error) from error
        if not response.is_success:
            self._server.refuse(response, path)
        try:
            return msgspec.json.decode(response.content)
        except msgspec.DecodeError as error:
            raise ApiError(f"{self._server.url} answered with what is not JSON.", status=502, code="HTTP_ERROR") from error

    def _away(self, error: ApiError) -> None:
        if not self._is_away:
            self._is_away = True
            self._say(f"{error.message.partition(' Does it run there?')[0]} Going on when it is back; what comes is kept.")

    def _back(self) -> None:
        if self._is_away:
            self._is_away = False
            self._say("It is back; going on.")


def held_sentence(until: datetime, waiting: int) -> str:
    """Return why nothing comes."""
    many = "1 delivery waits" if waiting == 1 else f"{waiting:,} deliveries wait"
    return (
        f"Nothing comes until {until.astimezone():%d %b %H:%M:%S}: the receiver asked to be left alone (Retry-After), or what "
        f"is first in order waits for its next attempt. {many} until then, unless cancelled: --skip, or tidings listeners skip."
    )


async def _until(event: asyncio.Event) -> None:
    await event.wait()


async def _within(waited: Any, limit: float) -> None:
    try:
        async with asyncio.timeout(limit):
            await waited
    except TimeoutError:
        pass
