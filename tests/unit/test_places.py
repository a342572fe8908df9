import asyncio
from datetime import UTC, datetime
from uuid import UUID

from tidings.core.delivery import Delivery
from tidings.worker.places import MAX_UNRECORDED, SLOW_PLACES, Places


def attempt(*, is_trusted: bool = True, lane: int = 3) -> Delivery:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Delivery(UUID(int=1), UUID(int=2), UUID(int=lane), "default", 1, at, 7, False, is_trusted)


async def test_what_is_promised_to_a_batch_is_not_claimed() -> None:
    places = Places(100)
    assert await places.promise(30, can_wait=False) == 30
    assert places.claim() == 70
    assert places.free() == 0
    assert places.free(30) == 30, "the batch itself has what it was promised"
    places.end_claim(0)
    places.keep_promise(30)
    assert places.free() == 100


async def test_routing_is_promised_half_of_the_places_so_that_claims_find_some() -> None:
    places = Places(100)
    assert await places.promise(80, can_wait=False) == 50
    assert await places.promise(80, can_wait=False) == 0
    assert places.claim() == 50


async def test_a_claim_waits_until_there_is_room_and_is_then_called() -> None:
    places = Places(100)
    under_way = [attempt() for _ in range(80)]
    for delivery in under_way:
        places.enter(delivery)
    assert places.claim() == 0
    assert places.are_too_few
    for delivery in under_way[:5]:
        places.leave(delivery)
    places.look()
    assert places.called.is_set
    assert places.claim() == 25


async def test_a_batch_goes_on_as_soon_as_enough_attempts_have_ended() -> None:
    places = Places(100)
    under_way = [attempt() for _ in range(90)]
    for delivery in under_way:
        places.enter(delivery)
    waiting = asyncio.create_task(places.promise(40, can_wait=True))
    await asyncio.sleep(0)
    for delivery in under_way[:29]:
        places.leave(delivery)
    await asyncio.sleep(0)
    assert not waiting.done()
    places.leave(under_way[29])
    assert await waiting == 40


async def test_a_batch_does_not_wait_for_slow_receivers() -> None:
    places = Places(100)
    for _ in range(100):
        places.enter(attempt())
    assert await places.promise(40, can_wait=True) == 0


async def test_attempts_that_last_take_places_of_their_own() -> None:
    now = 0.0
    places = Places(10, monotonic=lambda: now)
    for turn in range(SLOW_PLACES):
        for _ in range(10):
            places.enter(attempt())
        assert places.free() == 0
        now += 1.5
        assert places.free() == (10 if turn < SLOW_PLACES - 1 else 0)


async def test_nothing_begins_while_results_are_not_written() -> None:
    places = Places(100)
    places.unrecorded = MAX_UNRECORDED + 1
    assert places.claim() == 0
    waiting = asyncio.create_task(places.promise(10, can_wait=True))
    await asyncio.sleep(0)
    places.look()
    assert not places.called.is_set
    assert not waiting.done()
    places.unrecorded = MAX_UNRECORDED
    places.look()
    assert places.called.is_set
    assert await waiting == 10


async def test_a_batch_waits_while_the_queue_is_being_worked_off() -> None:
    places = Places(100)
    assert places.claim() == 100
    places.end_claim(90)
    waiting = asyncio.create_task(places.promise(10, can_wait=True))
    await asyncio.sleep(0)
    places.look()
    await asyncio.sleep(0)
    assert not waiting.done()
    places.claim()
    places.end_claim(3)
    assert await waiting == 10


async def test_no_places_are_left_once_they_are_closed() -> None:
    places = Places(100)
    waiting = asyncio.create_task(places.promise(10, can_wait=True))
    places.close()
    assert await waiting == 0
    assert places.claim() == 0


async def test_a_batch_larger_than_what_is_ever_promised_does_not_wait_for_it() -> None:
    places = Places(100)
    assert await asyncio.wait_for(places.promise(512, can_wait=True), 60) == 50
    assert places.called.is_set is False


async def test_a_claim_that_found_nothing_tells_of_no_long_queue_however_few_places_there_are() -> None:
    places = Places(4)
    assert places.claim() == 4
    places.end_claim(0)
    assert not places._is_behind


async def test_lanes_that_are_not_trusted_take_half_of_the_places_whatever_is_free() -> None:
    places = Places(100)
    assert places.lend_to_others(at_most=100) == 50
    assert places.lend_to_others(at_most=100) == 0, "what is lent is not lent again"
    places.give_back(50)
    for _ in range(40):
        places.enter(attempt(is_trusted=False))
    assert places.lend_to_others(at_most=100) == 10
    places.give_back(10)
    assert places.free() == 60


async def test_they_wait_for_a_few_places_at_once_and_are_then_called() -> None:
    places = Places(100)
    under_way = [attempt(is_trusted=False) for _ in range(50)]
    for delivery in under_way:
        places.enter(delivery)
    assert places.lend_to_others(at_most=100) == 0
    assert places.others_wait
    for delivery in under_way[:5]:
        places.leave(delivery)
    assert not places.called.is_set
    places.leave(under_way[5])
    assert places.called.is_set
    assert places.lend_to_others(at_most=100) == 6


async def test_they_leave_a_part_of_the_places_for_slow_attempts_free() -> None:
    now = 0.0
    places = Places(10, monotonic=lambda: now)
    begun = 0
    for _ in range(100):
        places.free()
        lent = places.lend_to_others(at_most=10)
        for _ in range(lent):
            places.enter(attempt(is_trusted=False))
        places.give_back(lent)
        begun += lent
        now += 1.5
    assert 60 <= begun <= 65
    assert places.free() == 10, "trusted lanes have all quick places, and slow ones to turn slow in"


async def test_a_lane_is_slow_while_it_has_slow_attempts_under_way() -> None:
    now = 0.0
    places = Places(10, monotonic=lambda: now)
    slow, other = attempt(lane=5), attempt(lane=6)
    places.enter(slow)
    assert not places.is_slow(UUID(int=5))
    now = 1.5
    places.enter(other)
    places.free()
    assert places.is_slow(UUID(int=5))
    assert not places.is_slow(UUID(int=6))
    places.leave(slow)
    places.leave(other)
    assert not places.is_slow(UUID(int=5))


async def test_groups_that_crowd_leave_an_eighth_of_the_places_to_the_others() -> None:
    places = Places(80)
    for _ in range(60):
        places.enter(attempt())
    assert places.claim() == 20
    places.end_claim(0)
    places.share(is_shared=True)
    assert places.claim() == 0, "ten are left to others, and a claim is of twenty at least"
    promised = await places.promise(20, can_wait=False)
    assert (promised, places.room(promised)) == (10, 10)
    assert await places.promise(20, can_wait=False) == 0
    assert await places.promise(64, can_wait=False, is_beside=True) == 10
    assert places.room(10) == 0
    assert places.room(10, is_beside=True) == 10
    places.keep_promise(20)
    places.share(is_shared=False)
    assert places.claim() == 20


async def test_a_batch_that_leaves_places_to_others_is_woken_when_there_is_room_besides() -> None:
    places = Places(80)
    places.share(is_shared=True)
    under_way = [attempt() for _ in range(80)]
    for delivery in under_way:
        places.enter(delivery)
    waiting = asyncio.create_task(places.promise(20, can_wait=True))
    await asyncio.sleep(0)
    for delivery in under_way[:29]:
        places.leave(delivery)
    await asyncio.sleep(0)
    assert not waiting.done()
    places.leave(under_way[29])
    assert await waiting == 20
