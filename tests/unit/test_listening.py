"""Listening, as far as it is decided without a server: how listeners are kept, what goes wrong on purpose, what is in hand, keys."""

from datetime import timedelta

import pytest

from tidings.cli.remote.failures import CommandError
from tidings.cli.remote.listen import forward_url, line, own_name
from tidings.cli.remote.listening_faults import SHUFFLE_SECONDS, Faults, Plan, plan_for, seconds, share
from tidings.cli.remote.listening_hand import AT_ONCE, BODY, FAILURES, MAX_HEADERS, Hand, is_shown, request_of, result_of
from tidings.cli.remote.listening_keys import Key, Keyboard, Pressed
from tidings.core import listening, outcome
from tidings.core.listening import FULL, MAX_WAITING, UNHEARD_FOR, Keeping, State, decide_keeping
from tidings.core.outcome import Exchange, Timings
from tidings.operations.listening import results
from tidings.store.listening import MAX_RUNG, rung

DELIVERY = {
    "lease": 7, "id": "d-1", "event_id": "e-1", "event": "order.paid", "attempt_number": 1, "method": "POST",
    "headers": [["webhook-id", "e-1"], ["X-A", "b"]], "body": '{"n":1}', "timeout_seconds": 5, "version": 3,
}  # fmt: skip


@pytest.mark.parametrize(
    ("state", "keeping"),
    [
        (State(enabled=True, is_full=False, waiting=MAX_WAITING, silence=timedelta()), Keeping.KEEP),
        (State(enabled=True, is_full=False, waiting=MAX_WAITING + 1, silence=timedelta()), Keeping.PAUSE),
        (State(enabled=False, is_full=True, waiting=MAX_WAITING // 2 + 1, silence=timedelta()), Keeping.KEEP),
        (State(enabled=False, is_full=True, waiting=MAX_WAITING // 2, silence=timedelta()), Keeping.RESUME),
        (State(enabled=False, is_full=False, waiting=0, silence=timedelta()), Keeping.KEEP),
        (State(enabled=True, is_full=False, waiting=0, silence=UNHEARD_FOR), Keeping.KEEP),
        (State(enabled=True, is_full=False, waiting=0, silence=UNHEARD_FOR + timedelta(seconds=1)), Keeping.FORGET),
    ],
)
def test_a_listener_is_kept_paused_resumed_or_forgotten(state: State, keeping: Keeping) -> None:
    assert decide_keeping(state) is keeping


def test_the_client_stays_within_what_the_server_takes() -> None:
    assert AT_ONCE <= listening.MAX_LEASED
    assert BODY <= listening.MAX_BODY_CHARACTERS
    assert MAX_HEADERS <= results.MAX_HEADERS
    assert set(results.FAILURES) == FAILURES
    assert "recover --missing" in FULL


def test_faults_are_the_same_for_the_same_seed_and_as_often_as_asked() -> None:
    faults = Faults(seed=3, fail=0.2, drop=0.05, duplicate=0.1, delay_seconds=0.5, reorder=True)
    plans = [plan_for(faults, f"d{n}", 1) for n in range(5000)]
    assert plans == [plan_for(faults, f"d{n}", 1) for n in range(5000)]
    assert plans != [plan_for(faults._replace(seed=4), f"d{n}", 1) for n in range(5000)]
    assert plan_for(faults, "d0", 1) != plan_for(faults, "d0", 2)
    for share_of, wanted in (
        (sum(plan.is_failed for plan in plans), 0.2),
        (sum(plan.is_dropped for plan in plans), 0.05),
        (sum(plan.copies == 2 for plan in plans), 0.1),
    ):
        assert share_of / 5000 == pytest.approx(wanted, abs=0.02)
    assert all(0.5 <= plan.hold_seconds <= 0.5 + SHUFFLE_SECONDS for plan in plans)
    assert plan_for(Faults(seed=9), "d0", 1) == Plan()
    assert all(plan_for(Faults(drop=1.0), f"d{n}", 1).is_dropped for n in range(100))


def test_shares_and_times_are_read_as_people_write_them() -> None:
    assert (share("20%", "-"), share("0.2", "-"), share(" 5 % ", "-"), share("100%", "-"), share("0", "-")) == (
        0.2,
        0.2,
        0.05,
        1.0,
        0.0,
    )
    assert (seconds("2s", "-"), seconds("500ms", "-"), seconds("1.5 s", "-"), seconds("1m", "-")) == (2.0, 0.5, 1.5, 60.0)
    for text in ("20", "-5%", "x", "", "101%"):
        with pytest.raises(CommandError):
            share(text, "--fail")
    for text in ("2", "1h", "-1s", "", "9999s"):
        with pytest.raises(CommandError):
            seconds(text, "--delay")


def test_a_lease_is_held_until_its_result_is_acknowledged() -> None:
    hand = Hand(2)
    assert hand.take([DELIVERY, DELIVERY | {"lease": 8}]) == [DELIVERY, DELIVERY | {"lease": 8}]
    assert hand.take([DELIVERY]) == []  # it has it
    assert (hand.held, hand.room) == ([7, 8], 0)
    result = result_of(DELIVERY, Exchange(200, body=b"ok"))
    hand.finish(result)
    assert hand.to_tell() == [result]
    assert hand.held == [7, 8]
    assert hand.told([result], []) == []
    assert (hand.held, hand.room, hand.to_tell()) == ([8], 1, [])
    other = result_of(DELIVERY | {"lease": 8}, Exchange(500))
    hand.finish(other)
    assert hand.told([other], [8]) == ["d-1"]
    assert hand.held == []


def test_what_is_told_of_an_answer_is_bounded() -> None:
    headers = (*((f"x-{n}", "v" * 9000) for n in range(100)), ("n" * 200, "v"))
    told = result_of(DELIVERY, Exchange(200, headers, "é".encode() * 40_000, timings=Timings(total_ms=12.3456))).told
    assert (told["lease"], told["version"], told["response_status"], told["total_ms"]) == (7, 3, 200, 12.346)
    assert (len(told["response_body"]), told["is_truncated"], len(told["response_headers"])) == (BODY, True, MAX_HEADERS)
    assert all(len(name) + len(value) <= results.MAX_HEADER for name, value in told["response_headers"])
    lost = result_of(DELIVERY, Exchange(failure="exhausted", error="No descriptor is left."))
    assert lost.told["failure"] in results.FAILURES
    for failure in outcome.FAILURES:
        assert result_of(DELIVERY, Exchange(failure=failure)).told["failure"] in results.FAILURES
    assert "response_status" not in lost.told


def test_results_go_in_requests_that_servers_take() -> None:
    hand = Hand(100)
    hand.take([DELIVERY | {"lease": n} for n in range(50)])
    for n in range(50):
        hand.finish(result_of(DELIVERY | {"lease": n}, Exchange(200, body=b"\x01" * 16_000)))
    first = hand.to_tell()
    assert 1 <= len(first) < 10  # each is some 96 kB as JSON
    hand.told(first, [])
    assert hand.to_tell()[0].lease == len(first)


def test_a_request_is_what_the_server_made_of_it_at_the_forwarded_address() -> None:
    data = request_of("POST /hook HTTP/1.1\r\nhost: localhost:3000\r\n", DELIVERY)
    assert data == (
        b"POST /hook HTTP/1.1\r\nhost: localhost:3000\r\nwebhook-id: e-1\r\nX-A: b\r\ncontent-length: 7\r\n\r\n" + b'{"n":1}'
    )
    hostile = DELIVERY | {"headers": [["x", "a\r\nevil: 1"], ["y\n", "1"], ["z", "2"]], "body": "é"}
    assert request_of("H\r\n", hostile) == b"H\r\nz: 2\r\ncontent-length: 2\r\n\r\n" + "é".encode()


def test_what_is_typed_behind_a_slash_is_looked_for_everywhere() -> None:
    good, bad = Exchange(200), Exchange(failure="connect", error="No.")
    assert all(is_shown(words, DELIVERY, good) for words in ("", "ORDER", "d-1", "200", '"n":1'))
    assert not is_shown("stock", DELIVERY, good)
    assert is_shown("connect", DELIVERY, bad)


def test_keys_mean_what_the_help_says() -> None:
    keyboard = Keyboard()
    assert keyboard.feed("rq?x") == [Pressed(Key.REPLAY), Pressed(Key.QUIT), Pressed(Key.HELP)]
    assert keyboard.feed("\x1b[A") == []  # an arrow
    assert keyboard.feed("/ab\x7fc\n")[-1] == Pressed(Key.FILTER, "ac")
    assert keyboard.feed("/quit")[-1] == Pressed(Key.TYPING, "quit")
    assert keyboard.feed("\x1b") == [Pressed(Key.FILTER, "")]
    assert keyboard.feed("/" + "x" * 500)[-1] == Pressed(Key.TYPING, "x" * 100)
    assert keyboard.feed("\r") == [Pressed(Key.FILTER, "x" * 100)]
    assert keyboard.feed("q") == [Pressed(Key.QUIT)]


def test_where_deliveries_go_may_be_said_in_short() -> None:
    assert forward_url("3000") == "http://localhost:3000"
    assert forward_url(":3000") == "http://localhost:3000"
    assert forward_url("3000/hook?a=1") == "http://localhost:3000/hook?a=1"
    assert forward_url("localhost:3000/hook") == "http://localhost:3000/hook"
    assert forward_url("https://dev.example.com/hook") == "https://dev.example.com/hook"
    for text in ("ftp://x/", "http://", "http://u:p@localhost/", "http://a b/", "99999/hook", ":::"):
        with pytest.raises(CommandError):
            forward_url(text)
    assert 1 <= len(own_name()) <= 100


def test_a_line_is_inert_whatever_a_server_and_a_receiver_say() -> None:
    hostile = DELIVERY | {"event": "a\x1b[2J", "id": "\x07", "attempt_number": 2}
    cells = line(hostile, Exchange(failure="connect", error="\x9b31m"), Plan(1.0, copies=2), "03:42:37")
    text = "".join(cell.text for cell in cells)
    assert all(c.isprintable() for c in text)
    assert "try 2" in text
    assert "sent twice, held" in text


def test_a_ring_names_listeners_or_means_all() -> None:
    assert rung("") == []
    assert len(rung(",".join(["0" * 32] * MAX_RUNG))) == MAX_RUNG
