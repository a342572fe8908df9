"""What is sent to a receiver to find out what is wrong with it, and what its answers say: against receivers of every kind."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tidings.core.outcome import FAILURES, Exchange, Timings
from tidings.core.probes import MAX_PROBES, MAX_SECONDS, MOST_AHEAD, Answer, Facts, Kind, Probe, Signed, next_probe
from tidings.core.receiver_faults import HEALTHY, Verdict, verdict_of
from tidings.core.receiver_lines import LINES, framework_of, lines_for
from tidings.core.receiver_sentences import PROBES, Level

NOW = datetime(2026, 11, 22, tzinfo=UTC)
FACTS = Facts(url="https://shop.test/hook", timeout_seconds=30.0, has_text_key=True, has_old_secret=True)

Answering = Callable[[Probe], Exchange]


def examined(answering: Answering, facts: Facts = FACTS, seconds: float = 0.1) -> tuple[Verdict, list[Answer]]:
    answers: list[Answer] = []
    while (probe := next_probe(facts, answers, len(answers) * seconds)) is not None:
        answers.append(Answer(probe, answering(probe), NOW))
    return verdict_of(facts, answers), answers


class Receiver(msgspec.Struct, frozen=True):
    """A receiver as its owner may have written it.

    Attributes:
        secret: Which of the webhook's it has.
        reads: What it verifies of the body: the bytes, or what it made of them.
        ahead: Seconds that its clock is ahead.
        tolerance: Seconds that a time may be off; None: it does not look.
        limit: Bytes that it takes.
        refusal: The status for what it refuses.
    """

    secret: str = "right"
    reads: str = "bytes"
    ahead: int = 0
    tells_time: bool = True
    tolerance: int | None = 300
    limit: int = 10**9
    refusal: int = 401
    breaks: bool = False

    def __call__(self, probe: Probe) -> Exchange:
        date = format_datetime(NOW + timedelta(seconds=self.ahead), usegmt=True)
        headers = (("date", date),) if self.tells_time else ()
        if max(probe.size, 200) > self.limit:
            return Exchange(413, headers, b"too large")
        key = {Kind.FORGED: "stranger", Kind.EMPTY_FORGED: "stranger", Kind.TEXT_KEY: "text", Kind.OLD_SECRET: "old"}.get(
            probe.kind, "right"
        )
        written = {Kind.REWRITTEN: "wide", Kind.SPACED: "python"}.get(probe.kind, "compact")
        made = {"bytes": written, "stringify": "compact", "python": "python", "else": "else"}[self.reads]
        is_same = made == written or probe.kind in {Kind.EMPTY, Kind.EMPTY_FORGED}
        is_near = self.tolerance is None or abs(probe.shift - self.ahead) <= self.tolerance
        if probe.kind is Kind.MILLISECONDS:
            is_near = self.tolerance is None
        if self.secret == "none" or (key == self.secret and is_same and is_near):
            return Exchange(500 if self.breaks else 204, headers)
        return Exchange(self.refusal, headers, b"invalid signature 1f3a9")


def expected(receiver: Receiver) -> set[str]:
    """Return the names that are right for a receiver."""
    is_far = receiver.tolerance is not None and abs(receiver.ahead) > receiver.tolerance
    if receiver.secret == "none":
        return {"not_verified"}
    if receiver.reads in {"python", "else"} and (is_far or receiver.secret != "right"):
        return {"wrong_secret", "reserialized"}  # two faults at once: neither is seen before the other is mended
    if receiver.secret == "other" or (receiver.secret != "right" and is_far):
        return {"wrong_secret"}
    if receiver.secret in {"text", "old"}:
        return {"secret_text" if receiver.secret == "text" else "old_secret"}
    if is_far:
        return {"clock"} if receiver.tells_time and receiver.ahead <= MOST_AHEAD else {"wrong_secret"}
    if receiver.reads in {"python", "else"}:
        return {"reserialized"}
    return {HEALTHY} if receiver == Receiver(refusal=receiver.refusal) else set()


RECEIVERS = st.builds(
    Receiver,
    secret=st.sampled_from(["right", "right", "other", "text", "old", "none"]),
    reads=st.sampled_from(["bytes", "bytes", "stringify", "python", "else"]),
    ahead=st.sampled_from([0, 0, 3600, -7200, 90, 10_000_000]),
    tells_time=st.booleans(),
    tolerance=st.sampled_from([300, 300, None]),
    limit=st.sampled_from([10**9, 10**9, 102_400, 2**20, 50_000, 5_000]),
    refusal=st.sampled_from([400, 401, 403]),
)


@given(RECEIVERS)
def test_every_receiver_is_named_for_what_is_wrong_with_it(receiver: Receiver) -> None:
    verdict, answers = examined(receiver)
    assert len(answers) <= MAX_PROBES
    assert [answer.probe.kind for answer in answers][:2] == [Kind.PRESENT, Kind.FORGED]
    assert len({answer.probe for answer in answers}) == len(answers)
    assert verdict.is_taking == answers[0].is_good
    if names := expected(receiver):
        assert verdict.name in names, (receiver, verdict)
    found = {finding.name for finding in verdict.findings}
    if answers[0].is_good and receiver.secret == "right":
        assert ("reserialized" in found) == (receiver.reads == "stringify")
        assert ("replays" in found) == (receiver.tolerance is None)
        assert ("body_limit" in found) == (receiver.limit < 10**9)
        assert ("clock" in found) == (receiver.ahead != 0 and receiver.tells_time)


@given(
    st.lists(
        st.builds(
            Exchange,
            status=st.one_of(st.none(), st.integers(100, 599)),
            headers=st.lists(
                st.tuples(
                    st.sampled_from(["date", "location", "server", "content-type", "www-authenticate", "x-powered-by"]),
                    st.one_of(st.text(max_size=30), st.sampled_from(["http://[", "//x:y/", "Sat, 21 Nov 2026 00:00:00 GMT", "text/html"])),
                ),
                max_size=3,
            ).map(tuple),
            body=st.one_of(st.binary(max_size=40), st.sampled_from([b"timestamp too old", b"<html>Sign in", b"{}"])),
            failure=st.sampled_from([None, None, None, *FAILURES, "exhausted"]),
            error=st.one_of(st.none(), st.text(max_size=20)),
            timings=st.builds(Timings, total_ms=st.floats(0, 1e6)),
        ),
        min_size=1,
        max_size=MAX_PROBES,
    ),
    st.builds(
        Facts,
        url=st.just(FACTS.url), timeout_seconds=st.just(30.0), signed=st.sampled_from(Signed), is_timed=st.booleans(),
        is_json=st.booleans(), can_grow=st.booleans(), has_text_key=st.booleans(), has_old_secret=st.booleans(), is_paused=st.booleans(),
    ),
)  # fmt: skip
def test_whatever_is_answered_there_is_a_verdict(exchanges: list[Exchange], facts: Facts) -> None:
    turns = iter(exchanges * MAX_PROBES)
    verdict, answers = examined(lambda _: next(turns), facts)
    assert 1 <= len(answers) <= MAX_PROBES
    assert verdict.sentence.endswith((".", "?"))
    assert verdict.name == HEALTHY or verdict.name == verdict.findings[0].name
    assert [list(Level).index(finding.level) for finding in verdict.findings] == sorted(
        list(Level).index(finding.level) for finding in verdict.findings
    )
    assert not (verdict.is_taking and any(finding.level is Level.ERROR for finding in verdict.findings))
    assert answers[0].is_good or not verdict.is_taking


def test_a_receiver_that_takes_its_time_is_asked_less() -> None:
    _, answers = examined(Receiver(), seconds=MAX_SECONDS)
    assert [answer.probe.kind for answer in answers] == [Kind.PRESENT]
    verdict, _ = examined(lambda _: Exchange(204, timings=Timings(total_ms=16_000.0)))
    assert "slow" in {finding.name for finding in verdict.findings}


def test_one_that_has_enough_is_left_alone() -> None:
    verdict, answers = examined(lambda probe: Exchange(204 if probe.kind is Kind.PRESENT else 429))
    assert (verdict.name, len(answers)) == ("rate_limit", 2)


def test_a_handler_that_refuses_is_told_from_a_signature_that_is_refused() -> None:
    assert examined(Receiver(breaks=True))[0].name == "handler"

    def alike_but_for_the_words(probe: Probe) -> Exchange:
        return Exchange(400, body=b"bad signature" if probe.kind in {Kind.FORGED, Kind.FORGED_AGAIN} else b"unknown type")

    assert examined(alike_but_for_the_words)[0].name == "handler"


def test_words_that_differ_by_chance_say_nothing() -> None:
    words = iter(["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"])

    def refusing(right: set[Kind]) -> Answering:
        return lambda probe: Exchange(204) if probe.kind in right else Exchange(401, body=f"no, {next(words)}".encode())

    verdict, answers = examined(refusing(set()))
    assert (verdict.name, answers[2].probe.kind) == ("wrong_secret", Kind.FORGED_AGAIN)
    words = iter(["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"])
    assert examined(refusing({Kind.TEXT_KEY}))[0].name == "secret_text"


def test_machines_that_answer_in_turn_are_told_from_one_that_reads_another_body() -> None:
    for wrong, right in ((Receiver(secret="other"), Receiver()), (Receiver(secret="old", refusal=403), Receiver())):
        for machines in ((wrong, right), (wrong, right, right)):
            turns = iter(machines * MAX_PROBES)
            verdict, answers = examined(lambda probe: next(turns)(probe))  # noqa: B023 - it is over within the turn
            assert verdict.name == "unsteady", (machines, [one.probe.kind for one in answers])
    verdict, answers = examined(Receiver(reads="python"))  # which takes what is written as it writes it, each time
    assert [one.probe.kind for one in answers[-2:]] == [Kind.PRESENT_AGAIN, Kind.PRESENT_LAST]
    assert verdict.name == "reserialized"


def test_a_body_that_is_no_object_is_no_proof_of_a_right_secret() -> None:
    """The body {} may be refused for what it is; only a forged one like it tells."""

    def validating(probe: Probe) -> Exchange:
        return Exchange(422 if probe.kind in {Kind.EMPTY, Kind.EMPTY_FORGED} else 401)

    verdict, answers = examined(validating)
    assert Kind.EMPTY_FORGED in {answer.probe.kind for answer in answers}
    assert verdict.name == "wrong_secret"


def test_the_lines_are_those_of_the_framework_first() -> None:
    said = {"x-powered-by": "Express"}
    framework = framework_of(lambda name: said.get(name, ""))
    assert (framework, lines_for("reserialized", framework)[0].where) == ("Express", "Express")
    assert framework_of(lambda _: "") == ""
    assert lines_for("nothing of ours", "Express") == ()
    assert all(lines for lines in LINES.values())
    assert set(PROBES) == set(Kind)


def test_large_bodies_that_are_lost_on_the_way_are_told_of() -> None:
    """As where a firewall drops large packets: nothing is answered, so nothing is refused."""

    def losing(limit: int) -> Answering:
        receiver = Receiver()
        lost = Exchange(failure="timeout", error="The receiver did not answer within 15 s.")
        return lambda probe: lost if probe.size > limit else receiver(probe)

    for limit, sentence in ((100_000, "such as one of 90,000"), (1000, "a body of 10,000 bytes")):
        verdict, _ = examined(losing(limit))
        assert verdict.name == "large_unanswered"
        assert sentence in verdict.sentence
    assert examined(losing(1_000_000))[0].name == HEALTHY  # it may take that long


def test_no_receiver_is_given_by_its_clock_what_it_could_use_for_long() -> None:
    """A token is bound to no body, and good until the time that it was signed for."""

    def sent(signed: Signed, ahead: timedelta) -> set[Kind]:
        date = format_datetime(NOW + ahead, usegmt=True)
        facts = msgspec.structs.replace(FACTS, signed=signed)
        _, answers = examined(lambda _: Exchange(401, (("date", date),), b"token expired"), facts)
        return {one.probe.kind for one in answers}

    hour, for_ever = timedelta(hours=1), datetime(9999, 1, 1, tzinfo=UTC) - NOW
    assert sent(Signed.TOKEN, hour).isdisjoint({Kind.SHIFTED, Kind.MILLISECONDS})
    assert sent(Signed.TOKEN, for_ever).isdisjoint({Kind.SHIFTED, Kind.MILLISECONDS})
    assert Kind.SHIFTED in sent(Signed.TOKEN, -hour)
    assert Kind.SHIFTED in sent(Signed.BODY, hour)
    assert Kind.SHIFTED not in sent(Signed.BODY, for_ever)
