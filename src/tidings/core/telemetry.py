"""What of OpenTelemetry is wanted, by its own environment variables: nothing, unless they say so."""

from collections.abc import Mapping

import msgspec

PROTOCOL = "http/protobuf"
_OFF = ("", "none")


class Wanted(msgspec.Struct, frozen=True):
    """What is to be exported. `problems`: sentences about what is asked for and cannot be had."""

    traces: bool = False
    metrics: bool = False
    problems: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything is."""
        return self.traces or self.metrics


def wanted(variables: Mapping[str, str]) -> Wanted:
    """Return what environment variables ask for.

    By the specification everything is exported to this machine unless they say otherwise. Here they have to say so: where to
    (`OTEL_EXPORTER_OTLP_ENDPOINT`, or the one for traces or metrics), or by what (`OTEL_TRACES_EXPORTER=otlp`).
    """
    if variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Wanted()
    problems: list[str] = []
    traces, metrics = (_is_wanted(variables, signal, problems) for signal in ("TRACES", "METRICS"))
    return Wanted(traces, metrics, tuple(problems))


def _is_wanted(variables: Mapping[str, str], signal: str, problems: list[str]) -> bool:
    name = f"OTEL_{signal}_EXPORTER"
    given = variables.get(name)
    exporters = [part.strip().lower() for part in (given or "").split(",")]
    if given is None:
        endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
        if not any(variables.get(each) for each in endpoints):
            return False
    elif "otlp" not in exporters:
        if unknown := [each for each in exporters if each not in _OFF]:
            problems.append(f"{name} is {unknown[0][:50]!r}, and only otlp is known here: nothing is exported by it.")
        return False
    protocol = (
        variables.get(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL") or variables.get("OTEL_EXPORTER_OTLP_PROTOCOL") or PROTOCOL
    )
    if protocol != PROTOCOL:
        problems.append(
            f"OTLP is spoken by {PROTOCOL} alone, and the protocol for {signal.lower()} is {protocol[:50]!r}: they are not "
            f"exported. Set OTEL_EXPORTER_OTLP_PROTOCOL={PROTOCOL} and the endpoint's port for it, which is mostly 4318."
        )
        return False
    return True
