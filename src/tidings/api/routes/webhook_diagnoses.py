"""`POST /api/v1/webhooks/{id}/diagnose`: probes to a webhook's receiver, and what their answers say is wrong with it."""

from uuid import UUID

import msgspec
from litestar import post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidings.core.probes import Answer, Kind
from tidings.core.receiver_sentences import PROBES, Level
from tidings.operations.services import Services
from tidings.operations.webhooks import diagnosing
from tidings.operations.webhooks.diagnosing import Diagnosis

MAX_TEXT = 500  # characters of an answer that are shown


class LineView(msgspec.Struct, frozen=True):
    """A line to change in the receiver. `where`: the framework, program or file that it is for."""

    where: str
    code: str


class FindingView(msgspec.Struct, frozen=True):
    """One thing that is wrong with the receiver, in a sentence with the remedy; `name` is stable, for programs."""

    name: str
    level: Level
    sentence: str
    lines: list[LineView]


class ProbeView(msgspec.Struct, frozen=True):
    """A request that was sent, and what came of it. `bytes`: of the body, where it was made large."""

    probe: Kind
    sent: str
    bytes: int | None
    response_status: int | None
    response_body: str | None
    error: str | None
    total_ms: float


class DiagnosisView(msgspec.Struct, frozen=True):
    """What was found out about a receiver.

    `verdict` is the name of the worst finding, or `healthy`; `is_taking`: deliveries are taken.
    """

    verdict: str
    sentence: str
    is_taking: bool
    framework: str | None
    findings: list[FindingView]
    probes: list[ProbeView]


@post("/{webhook_id:str}/diagnose", status_code=200)
async def diagnose_webhook(services: NamedDependency[Services], webhook_id: FromPath[UUID]) -> DiagnosisView:
    """Find out why a webhook's receiver refuses deliveries: at most twelve requests of type `webhook.test`, paused or not.

    Some are signed wrongly on purpose. They are no deliveries: they stand in no history or statistics.
    It takes at most the webhook's timeout and a minute.
    """
    return _view(await diagnosing.diagnose(services, webhook_id))


def _view(found: Diagnosis) -> DiagnosisView:
    verdict = found.verdict
    findings = [
        FindingView(one.name, one.level, one.sentence, [LineView(line.where, line.code) for line in one.lines])
        for one in verdict.findings
    ]
    probes = [_probe(answer) for answer in found.answers]
    return DiagnosisView(verdict.name, verdict.sentence, verdict.is_taking, verdict.framework or None, findings, probes)


def _probe(answer: Answer) -> ProbeView:
    exchange, probe = answer.exchange, answer.probe
    text = None if exchange.status is None else answer.text[:MAX_TEXT]
    return ProbeView(
        probe.kind, PROBES[probe.kind], probe.size or None, exchange.status, text, exchange.error, exchange.timings.total_ms
    )
