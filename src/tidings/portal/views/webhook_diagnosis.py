"""What was found out about a webhook's receiver, for the page that asks."""

import msgspec

from tidings.core.probes import MEANT_TO_FAIL, Answer
from tidings.core.receiver_faults import HEALTHY, Finding
from tidings.core.receiver_sentences import PROBES, Level
from tidings.operations.webhooks.diagnosing import Diagnosis
from tidings.portal.views.documents import CodeSample, CodeTab
from tidings.portal.views.small import State
from tidings.portal.views.text import Shown, count, duration, visible
from tidings.portal.views.webhook import Head

MAX_SENTENCE = 1500  # characters
MAX_TABS = 8

_SIGNS = {Level.ERROR: ("bad", "circle-alert"), Level.WARNING: ("warn", "triangle-alert"), Level.NOTE: ("quiet", "info")}


class FindingView(msgspec.Struct, frozen=True):
    """One thing that is wrong. `code`: what to change, a tab for each language or program."""

    state: State
    sentence: Shown
    code: CodeSample | None


class ProbeView(msgspec.Struct, frozen=True):
    """A request that was sent, and its answer."""

    sent: str
    state: State
    took: str
    said: Shown


class DiagnosedView(msgspec.Struct, frozen=True):
    """What was found out."""

    findings: tuple[FindingView, ...]
    probes: tuple[ProbeView, ...]


class DiagnosisView(msgspec.Struct, frozen=True):
    """The page on which somebody asks why a receiver refuses deliveries. `found`: None: nobody has asked yet."""

    head: Head
    found: DiagnosedView | None
    error: str = ""


def diagnosed_view(found: Diagnosis) -> DiagnosedView:
    """Return what was found out, the worst first."""
    verdict = found.verdict
    findings = [_finding(number, one) for number, one in enumerate(verdict.findings)]
    if verdict.name == HEALTHY:
        findings.insert(0, FindingView(State("good", "check", HEALTHY), visible(verdict.sentence, limit=MAX_SENTENCE), None))
    return DiagnosedView(tuple(findings), tuple(map(_probe, found.answers)))


def _finding(number: int, one: Finding) -> FindingView:
    tabs = tuple(CodeTab(line.where, line.code) for line in one.lines[:MAX_TABS])
    code = CodeSample(f"lines-{number}", tabs) if tabs else None
    tone, icon = _SIGNS[one.level]
    return FindingView(State(tone, icon, one.name.replace("_", " ")), visible(one.sentence, limit=MAX_SENTENCE), code)


def _probe(answer: Answer) -> ProbeView:
    exchange, probe = answer.exchange, answer.probe
    size = " of " + count(probe.size, "byte") if probe.size else ""
    is_right = answer.is_good != (probe.kind in MEANT_TO_FAIL)
    label = str(exchange.status) if exchange.status is not None else "no answer"
    state = State("good" if is_right else "bad", "check" if is_right else "x", label)
    said = exchange.error or answer.text
    return ProbeView(f"{PROBES[probe.kind]}{size}", state, duration(exchange.timings.total_ms), visible(said, limit=200))
