"""A collector of OpenTelemetry: a real HTTP server that takes OTLP as protobuf and remembers what it was told."""

import gzip
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.receiver import Received, Receiver


def _body(received: Received) -> bytes:
    assert received.headers["content-type"] == "application/x-protobuf"
    return gzip.decompress(received.body) if received.headers.get("content-encoding") == "gzip" else received.body


def _value(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))


def attributes(of: Any) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in of.attributes}


class Collector(Receiver):
    """Answers everybody with 200, which is an empty answer of OTLP's: all was taken."""

    @property
    def endpoint(self) -> str:
        return self.url("")

    def spans(self) -> list[Any]:
        """Return all spans, as they came."""
        requests = [ExportTraceServiceRequest.FromString(_body(r)) for r in self.received if r.path == "/v1/traces"]
        return [
            span for request in requests for of in request.resource_spans for scope in of.scope_spans for span in scope.spans
        ]

    def resources(self) -> list[dict[str, Any]]:
        """Return who sent spans."""
        requests = [ExportTraceServiceRequest.FromString(_body(r)) for r in self.received if r.path == "/v1/traces"]
        return [attributes(of.resource) for request in requests for of in request.resource_spans]

    def metrics(self) -> dict[str, Any]:
        """Return each metric as it came last."""
        requests = [ExportMetricsServiceRequest.FromString(_body(r)) for r in self.received if r.path == "/v1/metrics"]
        return {
            metric.name: metric
            for request in requests
            for of in request.resource_metrics
            for scope in of.scope_metrics
            for metric in scope.metrics
        }
