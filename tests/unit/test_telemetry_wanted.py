"""OpenTelemetry is off unless its own variables ask for it."""

import logging

import pytest

from tidings.core.telemetry import Wanted, wanted
from tidings.worker.otel import Seldom

TO = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.mark.parametrize(
    ("variables", "traces", "metrics"),
    [
        ({}, False, False),
        ({"OTEL_SERVICE_NAME": "shop", "OTEL_TRACES_SAMPLER": "always_on"}, False, False),
        ({TO: ""}, False, False),
        ({TO: "http://c:4318"}, True, True),
        ({TO: "http://c:4318", "OTEL_SDK_DISABLED": "TRUE"}, False, False),
        ({TO: "http://c:4318", "OTEL_METRICS_EXPORTER": "none"}, True, False),
        ({TO: "http://c:4318", "OTEL_TRACES_EXPORTER": ""}, False, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True, False),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:4318/v1/metrics"}, False, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True, False),
        ({"OTEL_METRICS_EXPORTER": "console, otlp"}, False, True),
    ],
)
def test_what_is_asked_for(variables: dict[str, str], traces: bool, metrics: bool) -> None:
    found = wanted(variables)
    assert (found.traces, found.metrics, found.problems) == (traces, metrics, ())
    assert bool(found) is (traces or metrics)


def test_what_cannot_be_had_is_said_with_the_remedy() -> None:
    found = wanted(
        {TO: "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}
    )
    assert found == Wanted(traces=True, problems=found.problems)
    (problem,) = found.problems
    assert "metrics is 'grpc'" in problem
    assert "4318" in problem
    (problem,) = wanted({"OTEL_TRACES_EXPORTER": "zipkin"}).problems
    assert problem == "OTEL_TRACES_EXPORTER is 'zipkin', and only otlp is known here: nothing is exported by it."


def test_the_library_says_one_line_a_minute_whatever_happens(caplog: pytest.LogCaptureFixture) -> None:
    seconds = 100.0
    seldom = Seldom(lambda: seconds)
    for second in range(100, 230):
        seconds = float(second)
        seldom.handle(logging.makeLogRecord({"msg": f"at {second}", "levelno": logging.WARNING}))
    assert [record.message for record in caplog.records] == ["at 100", "at 160", "at 220"]
