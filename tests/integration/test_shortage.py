"""What this machine lacks is never booked on a receiver."""

import errno
import ssl
from datetime import timedelta

import pytest

from tests.support.engine import engine_of
from tests.support.limits import no_descriptors
from tests.support.receiver import Receiver
from tidings.config import Config
from tidings.core.shares import LEAST, RESERVED, share_out
from tidings.transport.opening import is_our_shortage
from tidings.worker.places import EASE_SECONDS, RECOVER_SECONDS, SLOW_PLACES, Places


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_without_descriptors_no_attempt_is_made(
    config: Config, receiver: Receiver, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(f"http://{host}:{receiver.port}/hook", "order.paid")
        for _ in range(3):
            await engine.publish()
        await engine.cycle()  # opens the connections to PostgreSQL
        done = len(receiver.received)
        await engine.worker.attempts._sender.close()  # and none to the receiver stays open
        engine.worker.attempts._sender._is_closed = False
        for _ in range(3):
            await engine.publish()
        with no_descriptors():
            await engine.cycle()
        assert len(receiver.received) == done
        assert {row["number"] for row in await engine.attempts()} == {1}
        assert await engine.unfinished() == 3
        lane = await engine.sql("select failure_count from tidings.lanes where webhook_id = $1", webhook.id)
        assert [row["failure_count"] for row in lane] == [0]
        assert len([record for record in caplog.records if "lacks what attempts need" in record.message]) == 1
        assert engine.worker.places.are_eased
        engine.clock.ahead += timedelta(seconds=2)
        while await engine.unfinished():
            await engine.cycle()
        assert len(receiver.received) == done + 3
        assert {(row["status"], row["attempt_count"]) for row in await engine.deliveries()} == {("succeeded", 1)}


def test_descriptors_are_shared_out_within_their_limit() -> None:
    for limit in (LEAST, 256, 1024, 4096, 65_536, 1_048_576):
        shares = share_out(limit)
        assert shares.outgoing + shares.incoming + shares.backlog <= limit - RESERVED
        assert min(shares.sending, shares.incoming, shares.backlog, shares.idle) > 0
    assert "allow at least" in share_out(64).sentence


def test_attempts_have_no_more_places_than_there_are_connections() -> None:
    places = Places(2048, connections=100)
    assert places._full + places._full + places._for_slow == 100
    assert (Places(2048)._full, Places(2048)._for_slow) == (2048, 2048 * SLOW_PLACES)


def test_fewer_attempts_begin_while_something_is_lacking() -> None:
    now = 100.0
    places = Places(100, monotonic=lambda: now)
    places.ease()
    places.ease()  # of the same moment
    assert (places.free(), places.are_eased) == (1, True)
    for _ in range(7):
        now += max(RECOVER_SECONDS, EASE_SECONDS)
        places.free()
    assert (places.free(), places.are_eased) == (100, False)


def test_a_handshake_that_fails_for_want_of_memory_is_ours_and_what_the_other_side_did_is_theirs() -> None:
    refused = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
    refused.reason = "WRONG_VERSION_NUMBER"
    assert not is_our_shortage(refused)
    assert not is_our_shortage(ConnectionResetError(errno.ECONNRESET, "reset"))
    unmade = ssl.SSLError(1, "[SSL: MALLOC_FAILURE] malloc failure")
    unmade.reason = "MALLOC_FAILURE"
    assert is_our_shortage(unmade)
    assert is_our_shortage(OSError(errno.ENOMEM, "no memory"))
