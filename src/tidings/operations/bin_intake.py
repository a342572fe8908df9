"""What comes to request bins: written together, so that a flood of it costs the database little.

Anybody who knows a bin's address may send to it, as fast as they like. So there is one connection for all of it, requests that
come while it is busy are written with the next turn, each bin takes so many in a second, and the search for why a signature
does not fit may take a tenth of the time. Nothing of it is waited for by anybody but who sent it.
"""

import asyncio
import logging
import time
from base64 import b64encode
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec

from tidings.core.bin import BODILESS, Caught, Rates, as_kept
from tidings.core.claims import STANDARD, TOKEN, Reason, Verdict
from tidings.core.errors import NotFoundError, StartupError, TooManyAttemptsError, UnavailableError
from tidings.core.redaction import Rule
from tidings.core.scrubbing import kept_of_bin
from tidings.core.token import PUBLIC_KEY_PREFIX
from tidings.core.verification import Expected, verdict_of
from tidings.core.webhook import Subscription, Webhook
from tidings.operations.services import Services
from tidings.store import bins, redaction, webhooks
from tidings.store.bins import Stored, Taken
from tidings.store.database import COLLISIONS, UNAVAILABLE, said

logger = logging.getLogger("tidings.bins")

MAX_AT_ONCE: Final = 64  # requests of one turn
SEARCH_SHARE: Final = 0.1  # of the time, for why signatures do not fit
SEARCH_SECONDS: Final = 0.5  # of it that may be saved up
INLINE_BYTES: Final = 4096  # a longer body is looked at beside the event loop

_GONE = "There is no bin here."
_BUSY = "Too many requests come to this bin; it takes 50 in a second. Send it again."


class Given(msgspec.Struct, frozen=True):
    """What a request is answered with. `is_held`: a place is taken for its delay, to be given back."""

    status: int
    delay_seconds: float
    body: bytes
    content_type: str
    is_held: bool = False


class _Call(msgspec.Struct, frozen=True):
    """One who waits for an answer."""

    bin_id: UUID
    request: Caught
    future: asyncio.Future[Given]

    def refuse(self, error: Exception) -> None:
        """Answer with an error, unless there is an answer, or nobody waits any more."""
        if not self.future.done():
            self.future.set_exception(error)


class Intake:
    """Takes in what comes to the bins of an installation."""

    def __init__(self, services: Services, *, max_held: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Make one.

        Args:
            max_held: How many answers may be put off at once.
        """
        self._services = services
        self._database = services.for_bins or services.wide
        self._max_held = max_held
        self._monotonic = monotonic
        self._rates = Rates()
        self._held = 0
        self._waiting: deque[_Call] = deque()
        self._task: asyncio.Task[None] | None = None
        self._spare = (monotonic(), SEARCH_SECONDS)

    def admit(self, bin_id: UUID) -> None:
        """Count a request, before its body is read.

        Raises:
            TooManyAttemptsError: Too many came to this bin.
        """
        if not self._rates.admit(bin_id, self._monotonic()):
            raise TooManyAttemptsError(_BUSY, retry_after_seconds=1)

    async def take(self, bin_id: UUID, request: Caught) -> Given:
        """Keep a request that was admitted, and return what to answer. Whoever is held gives their place back with `release`.

        Raises:
            NotFoundError: There is no such bin.
            UnavailableError: It cannot be kept now.
        """
        call = _Call(bin_id, request, asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name="request bins")
        try:
            given = await call.future
        except asyncio.CancelledError:
            if call.future.done() and not call.future.cancelled() and call.future.exception() is None:
                self.release(call.future.result())
            raise
        return given

    def release(self, given: Given) -> None:
        """Give back the place of an answer that was put off."""
        self._held -= given.is_held

    async def _work(self) -> None:
        while self._waiting:
            calls = [self._waiting.popleft() for _ in range(min(MAX_AT_ONCE, len(self._waiting)))]
            try:
                await self._take_in(calls)
            except (*UNAVAILABLE, *COLLISIONS) as error:
                logger.debug("%d requests of bins fail: %s", len(calls), said(error))
            except Exception:
                logger.exception("%d requests of bins fail", len(calls))
            finally:
                for call in calls:
                    call.refuse(UnavailableError("The request could not be kept. Send it again."))  # unless it is answered

    async def _take_in(self, calls: Sequence[_Call]) -> None:
        ids = list({call.bin_id for call in calls})
        async with self._database.connection() as connection:
            found = await bins.several(connection, ids)
            named = [one.bin.webhook_id for one in found.values() if one.bin.webhook_id is not None]
            rows = await webhooks.webhooks_by_id(connection, self._services.box, named) if named else []
            rules = await redaction.rules_of(connection, {one.bin.group_id for one in found.values()})
        signers = {row.id: row for row in rows}
        known: list[tuple[_Call, Stored, Verdict]] = []
        for call in calls:
            one = found.get(call.bin_id)
            if one is None:
                call.refuse(NotFoundError(_GONE))
            else:
                known.append((call, one, await self._verdict(one, signers, call.request)))
        await self._write(known, rules)

    async def _write(self, known: Sequence[tuple[_Call, Stored, Verdict]], rules: Mapping[str, tuple[Rule, ...]]) -> None:
        """Keep requests, each with its number, and answer."""
        came = Counter(call.bin_id for call, _, _ in known)
        if not came:
            return
        refused = {bin_id: self._rates.take_refused(bin_id) for bin_id in came}
        given: list[tuple[_Call, Given]] = []
        try:
            async with self._database.transaction() as connection:
                last = await bins.count_requests(connection, came, refused, self._services.clock.now())
                numbers = {bin_id: number - came[bin_id] for bin_id, number in last.items()}
                taken: list[Taken] = []
                for call, one, verdict in known:
                    if call.bin_id not in numbers:
                        call.refuse(NotFoundError(_GONE))  # it was deleted a moment ago
                        continue
                    numbers[call.bin_id] += 1
                    answer = self._given(call, one)
                    given.append((call, answer))
                    request = as_kept(call.request, self._services.config.admin_key)
                    kept = kept_of_bin(request, rules.get(one.bin.group_id, ()))
                    taken.append(Taken(call.bin_id, numbers[call.bin_id], kept, answer.status, verdict))
                await bins.add_requests(connection, taken)
                for bin_id in last:
                    await bins.trim(connection, bin_id)
        except BaseException:
            self._rates.give_back(refused)
            for _, answer in given:
                self.release(answer)
            raise
        for call, answer in given:
            if call.future.done():
                self.release(answer)
            else:
                call.future.set_result(answer)

    def _given(self, call: _Call, one: Stored) -> Given:
        """Return what a request is answered with, and take a place where that is put off."""
        if not call.request.is_whole:
            return _refusal(413, "The body is longer than is read of one. What is kept of it is cut.")
        answer = one.bin.answer
        if answer.delay_seconds and self._held >= self._max_held:
            return _refusal(503, "Too many answers are put off at once. Send it again.")
        self._held += answer.delay_seconds > 0
        body = b"" if answer.status in BODILESS else answer.body.encode()
        return Given(answer.status, answer.delay_seconds, body, answer.content_type, answer.delay_seconds > 0)

    # Signatures --------------------------------------------------------------------------------------------------------

    async def _verdict(self, one: Stored, signers: dict[UUID, Subscription], request: Caught) -> Verdict:
        expected = self._expected(one, signers)
        if isinstance(expected, Verdict):
            return expected
        if not request.is_whole:
            return Verdict(False, Reason.UNKNOWN, "The body is longer than is read of one, and was not read to its end.")
        began = self._monotonic()
        at, spare = self._spare
        spare = min(SEARCH_SECONDS, spare + (began - at) * SEARCH_SHARE)
        now = request.received_at.timestamp()
        if len(request.body) <= INLINE_BYTES:
            verdict = verdict_of(expected, request.headers, request.body, now, is_searching=spare > 0)
        else:
            verdict = await asyncio.to_thread(verdict_of, expected, request.headers, request.body, now, is_searching=spare > 0)
        ended = self._monotonic()
        self._spare = (ended, spare - (ended - began))
        return verdict

    def _expected(self, one: Stored, signers: dict[UUID, Subscription]) -> Expected | Verdict:
        """Return what requests of a bin should be signed with, or why that cannot be looked at."""
        wanted = one.bin
        if wanted.webhook_id is not None:
            signer = signers.get(wanted.webhook_id)
            if not isinstance(signer, Webhook):
                return Verdict(False, Reason.UNREADABLE, "The secret of the bin's webhook cannot be read.")
            return self._expected_of(signer)
        if wanted.profile is None:
            return Verdict(False, Reason.UNASKED, "Nothing was said of how it should be signed.")
        try:
            secret = one.secret(self._services.box)
        except StartupError:
            return Verdict(False, Reason.UNREADABLE, "The bin's secret cannot be read: write it anew.")
        if secret is None and wanted.profile == TOKEN:
            return Expected(TOKEN, self._public("tokens"), issuer=self._services.keys.current.issuer)
        return Expected(wanted.profile, () if secret is None else (secret,), wanted.signature)

    def _expected_of(self, webhook: Webhook) -> Expected:
        if webhook.profile == TOKEN and webhook.signature is None:
            issuer = self._services.keys.current.issuer
            return Expected(TOKEN, self._public("tokens"), issuer=issuer, webhook_id=str(webhook.id))
        until = webhook.previous_secret_until
        is_overlap = webhook.previous_secret is not None and until is not None and until > self._services.clock.now()
        secrets = (webhook.secret, *((webhook.previous_secret or "",) if is_overlap else ()))
        if webhook.profile in STANDARD and webhook.asymmetric and webhook.signature is None:
            secrets += self._public("webhooks")
        return Expected(webhook.profile, secrets, webhook.signature)

    def _public(self, purpose: str) -> tuple[str, ...]:
        """Return the public keys of this installation, as they are written."""
        published = [one.key for one in self._services.keys.published if one.purpose == purpose]
        return tuple(PUBLIC_KEY_PREFIX + b64encode(key.public_bytes).decode() for key in published)


def _refusal(status: int, sentence: str) -> Given:
    return Given(status, 0.0, msgspec.json.encode({"error": sentence}), "application/json")
