"""The figures of growth as they are kept, and which pictures are drawn of them.

A folder holds `growth.json` and the pictures. Each curve has its own date and machine, so one can be measured anew while the
others stay.
"""

from pathlib import Path

import msgspec

from tidings.bench.pictures import Picture, Series, draw
from tidings.core.errors import InvalidInputError

FILE = "growth.json"


class Curve(msgspec.Struct, frozen=True):
    """The points of one measurement, and when and where it was made."""

    date: str
    cores: int
    machine: str
    python: str
    quick: bool
    points: list[dict[str, float]]


class _Drawing(msgspec.Struct, frozen=True):
    """What is drawn of a curve: which figure goes along, and those that go up, each with its name."""

    curve: str
    title: str
    x: tuple[str, str]
    y_label: str
    ys: dict[str, str]


_WEBHOOKS = ("webhooks", "webhooks")
_STORED = ("stored", "stored deliveries")
_WORKERS = ("workers", "worker processes")
_RATE = ("per_s", "deliveries/s")
_CORES = {"engine_cores": "engine", "postgres_cores": "PostgreSQL"}
_LATENCY = {"latency_p50_ms": "median", "latency_p99_ms": "p99"}
_DELIVERIES = {"deliveries_per_s": "deliveries/s"}

_DRAWINGS = {
    "growth-webhooks-api": _Drawing(
        "webhooks", "POST /webhooks and the first delivery after it", _WEBHOOKS, "ms",
        {
            "create_p50_ms": "POST, median", "create_p95_ms": "POST, p95",
            "first_delivery_p50_ms": "first, median", "first_delivery_p95_ms": "first, p95",
        },
    ),
    "growth-webhooks-deliveries": _Drawing("webhooks", "Deliveries beside webhooks", _WEBHOOKS, "deliveries/s", _DELIVERIES),
    "growth-webhooks-start": _Drawing("webhooks", "Start, until it routes", _WEBHOOKS, "s", {"start_s": "API and worker"}),
    "growth-webhooks-memory": _Drawing("webhooks", "Memory of a process", _WEBHOOKS, "MiB", {"rss_mb": "API and worker"}),
    "growth-stored-deliveries": _Drawing("stored", "Deliveries beside history", _STORED, "deliveries/s", _DELIVERIES),
    "growth-stored-latency": _Drawing("stored", "Commit to receipt beside history", _STORED, "ms", _LATENCY),
    "growth-workers-deliveries": _Drawing("workers", "Deliveries by workers", _WORKERS, "deliveries/s", _DELIVERIES),
    "growth-rate-latency": _Drawing("rate", "Commit to receipt by rate", _RATE, "ms", _LATENCY),
    "growth-rate-cpu": _Drawing("rate", "CPU by rate", _RATE, "cores", _CORES),
    "growth-payload-storage": _Drawing(
        "payload", "Bytes of a delivery by payload", ("payload_bytes", "bytes of data"), "bytes",
        {"storage_bytes": "storage", "wal_bytes": "WAL"},
    ),
}  # fmt: skip


def keep(folder: Path, curves: dict[str, Curve]) -> None:
    """Put curves into a folder's file in place of those of the same name, and draw its pictures.

    Raises:
        InvalidInputError: The file that is there cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    kept = (_read(path) if path.exists() else {}) | curves
    path.write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n")
    _draw_all(folder, kept)


def draw_again(folder: Path) -> None:
    """Draw a folder's pictures from its file.

    Raises:
        InvalidInputError: There is no such file, or it cannot be read.
    """
    path = folder / FILE
    if not path.exists():
        raise InvalidInputError("pictures", f"There is no {path}. Measure first: tidings bench --growth --pictures {folder}.")
    _draw_all(folder, _read(path))


def _read(path: Path) -> dict[str, Curve]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Curve])
    except msgspec.MsgspecError as error:
        raise InvalidInputError("pictures", f"{path} cannot be read ({error}). Remove it, and measure again.") from error


def _draw_all(folder: Path, curves: dict[str, Curve]) -> None:
    for name, drawing in _DRAWINGS.items():
        picture = _picture(drawing, curves[drawing.curve]) if drawing.curve in curves else None
        if picture is not None:
            (folder / f"{name}.svg").write_text(draw(picture))


def _picture(drawing: _Drawing, curve: Curve) -> Picture | None:
    """Return the picture of a curve; None where the curve has none of its figures, as one that was kept by another version."""
    along, x_label = drawing.x
    note = f"{curve.date}, {curve.cores} cores{', quick run' if curve.quick else ''}"
    every = (
        Series(name, tuple((point[along], point[key]) for point in curve.points if along in point and key in point))
        for key, name in drawing.ys.items()
    )
    series = tuple(one for one in every if one.points)
    return Picture(drawing.title, note, x_label, drawing.y_label, series) if series else None
