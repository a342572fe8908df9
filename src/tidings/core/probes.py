"""Which probes a receiver is sent, one after the other, to find out why it takes deliveries or refuses them.

The first is what a delivery is. Each further one differs from another in one thing alone, so that a difference between two
answers has one cause: signed by a stranger; the same JSON with other spaces; the time that the receiver's own clock shows. What
a receiver does is known only where two answers differ, so a receiver that refuses everything alike is said to do just that.
Two answers may also differ by chance, because each has some words of its own or because several machines answer: so what is
forged is sent a second time before words are believed, and the first again before a probe that was taken is.
What must stay in step: `receiver_faults`, which reads the answers, and `profiles.probing`, which writes the requests.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

import msgspec

from tidings.core.outcome import Exchange

MAX_PROBES = 12
MAX_SECONDS = 45.0  # after which no further probe begins
FOLLOWING_SECONDS = 15.0  # that an answer to any probe but the first is waited for

STALE_SECONDS = 86_400  # how old the time of a stale probe is
NOTABLE_GAP = 60.0  # seconds between a receiver's clock and ours; libraries allow 300
MOST_AHEAD = 86_400.0  # seconds that something is signed ahead of time, because the receiver says that it is so late
# Around the limits that are set where nobody sets one: 100 kB of Express (102,400 bytes), 1 MiB of nginx.
SMALL, BELOW, ABOVE, HUGE = 10_000, 90_000, 110_000, 1_100_000

_SLOW_DOWN = frozenset({429, 503})
# What says by itself what is wrong: whether a signature is right changes nothing.
_TELLING = frozenset({405, 407, 410, 411, 413, 414, 415, 421, 426, 429, 431, 494, 502, 503, 504, 511})

TIME_WORDS = re.compile(r"time ?stamp|too (old|new)|tolerance|expired|clock|in the future", re.IGNORECASE)
CSRF_WORDS = re.compile(r"csrf|authenticity.?token|page expired", re.IGNORECASE)

_MASKED = re.compile(r"\S*\d\S*")  # ids, times, nonces, numbers: what differs between two answers that say the same
_COMPARED = 2000  # characters of an answer


class Kind(StrEnum):
    """What a probe is."""

    PRESENT = "present"  # as a delivery is
    FORGED = "forged"  # signed by a stranger
    FORGED_AGAIN = "forged_again"  # which shows whether two answers to one thing differ
    PRESENT_AGAIN = "present_again"  # as the first: two machines that answer in turn, of which one takes it,
    PRESENT_LAST = "present_last"  # do so in one of two that follow each other
    REWRITTEN = "rewritten"  # the same JSON with other spaces
    SPACED = "spaced"  # the same JSON as Python's json.dumps writes it
    EMPTY = "empty"  # {}, which every program writes alike
    EMPTY_FORGED = "empty_forged"  # the same, signed by a stranger
    STALE = "stale"  # signed a day ago
    SHIFTED = "shifted"  # signed at the time that the receiver's clock shows
    MILLISECONDS = "milliseconds"  # with its time in milliseconds
    TEXT_KEY = "text_key"  # signed by the secret's text instead of what it stands for
    OLD_SECRET = "old_secret"  # noqa: S105 - signed by the secret that the webhook had before
    LARGE = "large"  # with a body of a size


MEANT_TO_FAIL = frozenset({Kind.FORGED, Kind.FORGED_AGAIN, Kind.EMPTY_FORGED, Kind.STALE})  # a sound receiver refuses them


class Probe(msgspec.Struct, frozen=True):
    """One request.

    Attributes:
        size: Bytes of the body, of `large`.
        shift: Seconds from now to the time it is signed with.
    """

    kind: Kind
    size: int = 0
    shift: int = 0


class Signed(StrEnum):
    """What a webhook's deliveries are signed by."""

    BODY = "body"  # a signature that covers the body
    TOKEN = "token"  # noqa: S105 - a token, which does not
    NOTHING = "nothing"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a webhook before anything is sent.

    Attributes:
        is_timed: A signature has a time.
        is_json: The body is a JSON object, which can be written in other ways.
        can_grow: The body grows with what an event says.
        has_text_key, has_old_secret: There is such a key to sign with.
        is_paused: It is sent nothing now.
    """

    url: str
    timeout_seconds: float
    signed: Signed = Signed.BODY
    is_timed: bool = True
    is_json: bool = True
    can_grow: bool = True
    has_text_key: bool = False
    has_old_secret: bool = False
    is_paused: bool = False


class Answer(msgspec.Struct, frozen=True):
    """What came of a probe. `at`: when it came, by our clock."""

    probe: Probe
    exchange: Exchange
    at: datetime

    @property
    def is_good(self) -> bool:
        """Whether the receiver took it."""
        return self.exchange.is_success

    def header(self, name: str) -> str:
        """Return a header of the answer; empty: it has none."""
        return next((value for key, value in self.exchange.headers if key == name), "")

    @property
    def text(self) -> str:
        """The beginning of what was answered."""
        return self.exchange.body[:_COMPARED].decode("utf-8", "replace")

    @property
    def clock_gap(self) -> float | None:
        """How many seconds the receiver's clock is ahead of ours, by its header Date; None: it does not say."""
        try:
            return (parsedate_to_datetime(self.header("date")) - self.at).total_seconds()
        except (TypeError, ValueError, OverflowError):  # none, no date, or one without a zone
            return None


class Answers:
    """The answers that have come, by what they answer."""

    def __init__(self, given: Sequence[Answer]) -> None:
        self.given = given
        self._by_kind: dict[Kind, Answer] = {
            answer.probe.kind: answer for answer in given if answer.probe.kind is not Kind.LARGE
        }
        self.sizes = {answer.probe.size: answer for answer in given if answer.probe.size}

    def to(self, kind: Kind) -> Answer | None:
        """Return the answer to a probe; None: it was not sent."""
        return self._by_kind.get(kind)

    def are_alike(self, one: Answer, other: Answer) -> bool:
        """Tell whether two answers say the same: by their statuses alone where words differ by chance."""
        return one.exchange.status == other.exchange.status and (self.has_chance_words or _masked(one) == _masked(other))

    @property
    def has_chance_words(self) -> bool:
        """Whether the same thing, sent twice, was refused in other words."""
        forged, again = self.to(Kind.FORGED), self.to(Kind.FORGED_AGAIN)
        return forged is not None and again is not None and not are_alike(forged, again)

    @property
    def is_unsteady(self) -> bool:
        """Whether the first was refused, and the same taken later."""
        return not self.given[0].is_good and (self.took(Kind.PRESENT_AGAIN) or self.took(Kind.PRESENT_LAST))

    def took(self, kind: Kind) -> bool:
        """Tell whether a probe was sent and taken."""
        answer = self.to(kind)
        return answer is not None and answer.is_good


def are_alike(one: Answer, other: Answer) -> bool:
    """Tell whether two answers say the same, but for ids, numbers and times."""
    return one.exchange.status == other.exchange.status and _masked(one) == _masked(other)


def speaks_for_itself(first: Answer) -> bool:
    """Tell whether the answer to the first probe says what is wrong, so that no further one is sent."""
    status = first.exchange.status
    if first.exchange.failure is not None or status is None or 300 <= status < 400 or status in _TELLING:
        return True
    return not first.is_good and bool(first.header("www-authenticate") or CSRF_WORDS.search(first.text))


def next_probe(facts: Facts, given: Sequence[Answer], spent_seconds: float) -> Probe | None:
    """Return what is sent next; None: nothing more.

    Args:
        given: The answers to what was sent, in order.
        spent_seconds: Since the first was sent.
    """
    if not given:
        return Probe(Kind.PRESENT)
    if len(given) >= MAX_PROBES or spent_seconds >= MAX_SECONDS:
        return None
    first, last = given[0], given[-1]
    if speaks_for_itself(first) or last.exchange.status in _SLOW_DOWN:
        return None
    answers = Answers(given)
    if facts.signed is not Signed.NOTHING and answers.to(Kind.FORGED) is None:
        return Probe(Kind.FORGED)
    return _of_taking(facts, answers) if first.is_good else _of_refusing(facts, answers, first)


def _of_taking(facts: Facts, answers: Answers) -> Probe | None:
    """Go on with a receiver that took what a delivery is."""
    if facts.signed is not Signed.NOTHING and not answers.took(Kind.FORGED):
        if facts.signed is Signed.BODY and facts.is_json and answers.to(Kind.REWRITTEN) is None:
            return Probe(Kind.REWRITTEN)
        if facts.is_timed and answers.to(Kind.STALE) is None:
            return Probe(Kind.STALE, shift=-STALE_SECONDS)
    size = _next_size(answers) if facts.can_grow else None
    return None if size is None else Probe(Kind.LARGE, size=size)


def _next_size(answers: Answers) -> int | None:
    taken = {size: answer.is_good for size, answer in answers.sizes.items()}
    if ABOVE not in taken:
        return ABOVE
    wanted = (HUGE,) if taken[ABOVE] else (BELOW, SMALL)
    for size in wanted:
        if size not in taken:
            return size
        if taken[size]:
            return None
    return None


def _of_refusing(facts: Facts, answers: Answers, first: Answer) -> Probe | None:
    """Go on with a receiver that refused what a delivery is."""
    forged = answers.to(Kind.FORGED)
    if forged is None or forged.is_good or first.exchange.status == 404:
        return None
    if any(answer.is_good for answer in answers.given):  # that tells why, unless the first would be taken too by now
        return _first_again(answers)
    if _are_alike_but_for_words(first, forged) and answers.to(Kind.FORGED_AGAIN) is None:
        return Probe(Kind.FORGED_AGAIN)
    is_alike = answers.are_alike(first, forged)
    if not is_alike and first.exchange.status != forged.exchange.status and not TIME_WORDS.search(first.text):
        return _first_again(answers)  # it verifies, and what comes after that refuses
    for probe in _of_clock(facts, first) + (_of_body(facts, answers, forged) + _of_keys(facts) if is_alike else []):
        if answers.to(probe.kind) is None:
            return probe
    return None if is_alike else _first_again(answers)


def _are_alike_but_for_words(one: Answer, other: Answer) -> bool:
    return one.exchange.status == other.exchange.status and not are_alike(one, other)


def _first_again(answers: Answers) -> Probe | None:
    """Send again what was refused first, twice at most: of two machines that answer in turn one takes it."""
    left = (kind for kind in (Kind.PRESENT_AGAIN, Kind.PRESENT_LAST) if answers.to(kind) is None)
    kind = None if answers.is_unsteady else next(left, None)
    return None if kind is None else Probe(kind)


def _of_clock(facts: Facts, first: Answer) -> list[Probe]:
    gap = first.clock_gap
    if not facts.is_timed:
        return []
    # A token signed for later is good until then, and everywhere: no receiver is given one that outlives its five minutes.
    is_token = facts.signed is Signed.TOKEN
    is_shown = gap is not None and abs(gap) >= NOTABLE_GAP and gap <= (0 if is_token else MOST_AHEAD)
    shifted = [Probe(Kind.SHIFTED, shift=round(gap or 0.0))] if is_shown else []
    return [*shifted, Probe(Kind.MILLISECONDS)] if TIME_WORDS.search(first.text) and not is_token else shifted


def _of_body(facts: Facts, answers: Answers, forged: Answer) -> list[Probe]:
    if facts.signed is not Signed.BODY or not facts.is_json:
        return []
    probes = [Probe(Kind.SPACED), Probe(Kind.EMPTY)]
    empty = answers.to(Kind.EMPTY)
    if empty is not None and not answers.are_alike(empty, forged):
        # Its body may be what is refused: only a forged one of the same body says whether the signature was seen to be right.
        probes.append(Probe(Kind.EMPTY_FORGED))
    return probes


def _of_keys(facts: Facts) -> list[Probe]:
    kinds = ((Kind.TEXT_KEY, facts.has_text_key), (Kind.OLD_SECRET, facts.has_old_secret), (Kind.MILLISECONDS, facts.is_timed))
    return [Probe(kind) for kind, has in kinds if has and facts.signed is Signed.BODY]


def _masked(answer: Answer) -> str:
    return " ".join(_MASKED.sub("#", answer.text).split())
