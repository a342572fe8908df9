"""What the answers to probes say about a receiver: findings in sentences, each with the remedy and the lines to change."""

import re
from collections.abc import Sequence
from urllib.parse import urljoin, urlsplit

import msgspec

from tidings.core import receiver_sentences as say
from tidings.core.probes import (
    ABOVE,
    BELOW,
    CSRF_WORDS,
    HUGE,
    NOTABLE_GAP,
    SMALL,
    TIME_WORDS,
    Answer,
    Answers,
    Facts,
    Kind,
    Signed,
)
from tidings.core.receiver_lines import Line, framework_of, lines_for
from tidings.core.receiver_sentences import Level, Said

HEALTHY = "healthy"
SLOW_SHARE = 0.5  # of the webhook's timeout, from which on an answer is slow
MAX_LOCATION = 300  # characters of where a receiver sends to

_LOGIN = re.compile(r"log[ _-]?in|sign[ _-]?in|password|single sign-on|\b(sso|oauth2?|auth)\b", re.IGNORECASE)
_FORM = re.compile(r"<input|<form|single sign-on", re.IGNORECASE)
_HTML = re.compile(r"\s*(<!doctype html|<html)", re.IGNORECASE)
_SIGNATURE = re.compile(r"signature|verif|forged|\bhmac\b|unauthori[sz]ed", re.IGNORECASE)
_AWAY = frozenset({429, 502, 503, 504})


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong.

    Attributes:
        name: A stable word for programs.
        sentence: What is wrong, and what to do about it.
        lines: To change in the receiver; those of what it seems to be written in first.
    """

    name: str
    level: Level
    sentence: str
    lines: tuple[Line, ...] = ()


class Verdict(msgspec.Struct, frozen=True):
    """What is known of a receiver.

    Attributes:
        name: Of the worst finding; `healthy` when there is none but notes.
        is_taking: Deliveries are taken.
        framework: What it seems to be written in; empty: it does not say.
    """

    name: str
    sentence: str
    is_taking: bool
    findings: tuple[Finding, ...]
    framework: str = ""


def verdict_of(facts: Facts, given: Sequence[Answer]) -> Verdict:
    """Return what the answers say. The first is to what a delivery is; there is always one."""
    answers, first = Answers(given), given[0]
    found = _taking(facts, answers, first) if first.is_good else [_refusing(facts, answers, first)]
    if any(answer.exchange.status in {429, 503} for answer in given[1:]):
        found.append(say.SLOWED_DOWN)
    if facts.is_paused:
        found.append(say.PAUSED)
    framework = framework_of(first.header)
    findings = tuple(
        Finding(said.name, said.level, said.sentence, lines_for(said.name, framework))
        for said in sorted(found, key=lambda one: list(Level).index(one.level))
    )
    worst = findings[0] if findings and findings[0].level is not Level.NOTE else None
    sentence = _healthy(facts, first) if worst is None else worst.sentence
    is_taking = first.is_good and not any(one.level is Level.ERROR for one in findings)
    return Verdict(HEALTHY if worst is None else worst.name, sentence, is_taking, findings, framework)


def _healthy(facts: Facts, first: Answer) -> str:
    took = f"It answered within {max(1, round(first.exchange.timings.total_ms))} ms"
    if facts.signed is Signed.NOTHING:
        return f"{took}. Nothing is signed, so it cannot tell who sends."
    return f"{took}, takes what is signed by this webhook and refuses what is not."


# It takes deliveries -----------------------------------------------------------------------------------------------------


def _taking(facts: Facts, answers: Answers, first: Answer) -> list[Said]:
    is_fooled, rewritten, gap = answers.took(Kind.FORGED), answers.to(Kind.REWRITTEN), first.clock_gap
    is_anybodys = is_fooled or facts.signed is Signed.NOTHING
    took = first.exchange.timings.total_ms / 1e3
    found: list[Said | None] = []
    if is_anybodys and _is_page(first):
        found.append(say.LOGIN_PAGE if _LOGIN.search(first.text) else say.WEB_PAGE)
    elif is_anybodys:
        found.append(say.NOT_VERIFIED if is_fooled else say.UNSIGNED)
    if rewritten is not None and _is_refusal(rewritten):
        found.append(say.REWRITES_BUT_TAKES)
    if answers.took(Kind.STALE):
        found.append(say.REPLAYS)
    found.append(_limit(answers))
    if took > SLOW_SHARE * facts.timeout_seconds:
        found.append(say.SLOW.of(took, facts.timeout_seconds))
    if facts.is_timed and gap is not None and abs(gap) >= NOTABLE_GAP:
        found.append(say.CLOCK_SOON.of(_gap(gap)))
    return [one for one in found if one is not None]


def _limit(answers: Answers) -> Said | None:
    refused = sorted(size for size, answer in answers.sizes.items() if _is_refusal(answer))
    if not refused:
        return _unanswered(answers)
    if refused == [HUGE]:
        return say.HUGE_BODY.of(HUGE, ABOVE)
    taken = max((size for size, answer in answers.sizes.items() if answer.is_good), default=0)
    if taken:
        whose = " That is Express's limit of 100 kB." if taken == BELOW else ""
        return say.LARGE_BODY.of(min(size for size in refused if size > taken), f" and takes one of {taken:,}.{whose}")
    return say.LARGE_BODY.of(refused[0], ", and takes one of some hundred." if refused[0] == SMALL else ".")


def _unanswered(answers: Answers) -> Said | None:
    """Return that large bodies are lost. One that is huge may take its time, and one alone may be by chance."""
    lost = sorted(size for size, answer in answers.sizes.items() if answer.exchange.failure == "timeout" and size != HUGE)
    taken = max((size for size, answer in answers.sizes.items() if answer.is_good), default=0)
    if not lost or (not taken and len(lost) == 1):
        return None
    return say.UNANSWERED_BODY.of(lost[0], f", such as one of {taken:,}." if taken else ".")


# It refuses them ---------------------------------------------------------------------------------------------------------


def _refusing(facts: Facts, answers: Answers, first: Answer) -> Said:
    exchange, status = first.exchange, first.exchange.status
    if exchange.failure is not None or status is None:
        return _unreached(first)
    return _redirect(facts, first) if 300 <= status < 400 else _answered(facts, answers, first, status)


def _answered(facts: Facts, answers: Answers, first: Answer, status: int) -> Said:
    forged = answers.to(Kind.FORGED)
    is_told_apart = forged is not None and forged.exchange.failure is None and not answers.are_alike(first, forged)
    if status in say.BY_STATUS and not is_told_apart:
        return say.BY_STATUS[status]
    if CSRF_WORDS.search(first.text):
        return say.CSRF
    if answers.is_unsteady or (forged is not None and forged.is_good):
        return say.TAKEN_LATER if answers.is_unsteady else say.UNSTEADY
    if (told := _told(facts, answers, first)) is not None:
        return told
    if forged is not None and is_told_apart:
        return say.HANDLER.of(status, forged.exchange.status)
    return _alike(facts, first, status)


def _told(facts: Facts, answers: Answers, first: Answer) -> Said | None:
    """Return what a probe told that was answered in another way than a forged one."""
    gap = first.clock_gap
    empty, empty_forged = answers.to(Kind.EMPTY), answers.to(Kind.EMPTY_FORGED)
    sees_empty = empty is not None and empty_forged is not None and not answers.are_alike(empty, empty_forged)
    causes = (
        (answers.took(Kind.SHIFTED), say.CLOCK.of(_gap(gap or 0.0))),
        (answers.took(Kind.MILLISECONDS), say.MILLISECONDS),
        (answers.took(Kind.SPACED), say.REWRITES_AS_PYTHON),
        (answers.took(Kind.EMPTY) or sees_empty, say.REWRITES),
        (answers.took(Kind.TEXT_KEY), say.TEXT_AS_KEY),
        (answers.took(Kind.OLD_SECRET), say.OLD),
    )
    found = next((said for holds, said in causes if holds), None)
    if found is None and facts.is_timed and TIME_WORDS.search(first.text):
        is_off = gap is not None and abs(gap) >= NOTABLE_GAP
        return say.CLOCK_SAYS.of(
            _gap(gap or 0.0) if is_off else "It finds fault with the time that the delivery was signed at."
        )
    return found


def _alike(facts: Facts, first: Answer, status: int) -> Said:
    """Return what is likely where every probe was answered alike."""
    if first.header("www-authenticate") or (_is_page(first) and _FORM.search(first.text)):
        return say.AUTHENTICATION.of(status)
    if facts.signed is not Signed.NOTHING and (status in {400, 401, 403} or _SIGNATURE.search(first.text)):
        return say.WRONG.of(status)
    return say.FAILING.of(status)


def _redirect(facts: Facts, first: Answer) -> Said:
    location = first.header("location")
    try:
        there = urljoin(facts.url, location)
        here, parts = urlsplit(facts.url), urlsplit(there)
    except ValueError:
        location = ""
    if not location:
        return say.REDIRECT_NOWHERE.of(first.exchange.status)
    shown = there[:MAX_LOCATION]
    if _LOGIN.search(parts.path) or _LOGIN.search(parts.netloc):
        return say.LOGIN_ELSEWHERE.of(shown)
    is_slash = parts.netloc == here.netloc and parts.path != here.path and parts.path.rstrip("/") == here.path.rstrip("/")
    is_https = (here.scheme, parts.scheme) == ("http", "https")
    why = "It wants https." if is_https else "It wants another slash at the end." if is_slash else "It has moved."
    return say.REDIRECT.of(shown, why)


def _unreached(first: Answer) -> Said:
    exchange, error = first.exchange, first.exchange.error or "No answer came."
    said = say.BY_FAILURE.get(exchange.failure or "", say.OTHER_FAILURE)
    if exchange.failure == "timeout":
        said = next((one for sign, one in say.BY_PHASE.items() if error.startswith(sign)), say.BY_PHASE["The receiver did not"])
    elif exchange.failure == "connect" and "refused" not in error:
        said = say.BY_PHASE["No connection to"]
    elif exchange.failure == "tls":
        words = error.lower().replace("_", " ")
        said = next((one for sign, one in say.BY_TLS.items() if sign in words), say.TLS_OTHER)
    return Said(said.name, f"{error} {said.sentence}", said.level)


def _is_refusal(answer: Answer) -> bool:
    """Whether a probe was refused for what it is, and not because the receiver had enough or was away."""
    exchange = answer.exchange
    return not answer.is_good and exchange.status not in _AWAY and exchange.failure in {None, "reset", "protocol"}


def _is_page(answer: Answer) -> bool:
    return answer.header("content-type").lower().startswith("text/html") or _HTML.match(answer.text) is not None


def _gap(gap: float) -> str:
    return f"The receiver's clock is {abs(gap):,.0f} s {'ahead of ours' if gap > 0 else 'behind ours'}."
