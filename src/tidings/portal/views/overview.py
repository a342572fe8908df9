"""The first page: is it healthy, what fails, since when, how much waits."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from tidings.core.health import Standing
from tidings.operations.attention import Attention
from tidings.operations.history.deliveries import Delivery
from tidings.operations.statistics import Statistics
from tidings.portal.views.deliveries import deliveries_table
from tidings.portal.views.figures import Chart, Series, Sparkline, chart, sparkline
from tidings.portal.views.lists import Table, link
from tidings.portal.views.small import Empty, State, When, state, when
from tidings.portal.views.text import Shown, count, duration, number, share, visible

MAX_FAILURES = 6
LATE_SECONDS = 60.0  # what has been due for longer than this is worth a colour

SPANS = {"24h": (timedelta(days=1), "hour"), "7d": (timedelta(days=7), "hour"), "30d": (timedelta(days=30), "day")}
_LABELS = {"24h": "24 hours", "7d": "7 days", "30d": "30 days"}


ENDS_SOON = State("warn", "clock", "ends soon")


class Tile(msgspec.Struct, frozen=True):
    """A figure. `spark`: None where nothing is kept to draw it from."""

    label: str
    value: str
    tone: str
    hint: str
    spark: Sparkline | None


class SpanChoice(msgspec.Struct, frozen=True):
    """A length of time for the chart."""

    label: str
    href: str
    is_chosen: bool


class Trouble(msgspec.Struct, frozen=True):
    """Something to see to."""

    state: State
    title: Shown
    href: str
    sentence: Shown
    since: When | None = None


class OverviewView(msgspec.Struct, frozen=True, kw_only=True):
    """The page. `empty`: the first step of an installation that has no webhook."""

    tiles: tuple[Tile, ...]
    chart: Chart
    spans: tuple[SpanChoice, ...]
    troubles: tuple[Trouble, ...]
    calm: str
    failures: Table
    all_failures: str
    empty: Empty | None
    path: str


def overview_view(
    *, hour: Statistics, long: Statistics, attention: Attention, failures: Sequence[Delivery], span: str, now: datetime
) -> OverviewView:
    """Return the page.

    Args:
        hour: The last hour, by minutes.
        long: The time of the chart.
        failures: The latest.
    """
    troubles = tuple(_troubles(attention, now))
    is_empty = not attention.has_webhooks and not hour.total.succeeded + hour.total.failed
    return OverviewView(
        tiles=_tiles(hour, attention),
        chart=_chart(long, span),
        spans=tuple(SpanChoice(label, link("/", {"span": name}), name == span) for name, label in _LABELS.items()),
        troubles=troubles,
        calm="" if troubles else _calm(hour, attention),
        failures=deliveries_table(failures, now, name="failures"),
        all_failures=link("/deliveries", {"status": "failed"}),
        empty=_first_step() if is_empty else None,
        path=link("/", {"span": span}),
    )


def _tiles(hour: Statistics, attention: Attention) -> tuple[Tile, ...]:
    total, points = hour.total, hour.series[:-1]  # the last minute has only begun
    made = total.succeeded + total.retried + total.failed
    rate = None if total.success_rate is None else 100 * total.success_rate
    rates = [None if one.success_rate is None else 100 * one.success_rate for one in points]
    lag = attention.lag_seconds
    return (
        Tile(
            "Deliveries per minute",
            number(round(total.succeeded / 60, 1)),
            "accent",
            f"{count(total.succeeded, 'delivery', 'deliveries')} in the last hour",
            sparkline("Deliveries per minute", [float(one.succeeded) for one in points]),
        ),
        Tile(
            "Success rate",
            share(total.succeeded, made),
            "good" if rate is None or rate >= 99 else "warn" if rate >= 90 else "bad",
            f"of {count(made, 'attempt')} in the last hour",
            sparkline("Success rate", rates, floor=min((one for one in rates if one is not None), default=0.0) - 5),
        ),
        Tile(
            "95th percentile",
            duration(total.p95_ms),
            "accent",
            f"half within {duration(total.p50_ms)}, in the last hour"
            if total.p50_ms is not None
            else "of answers in the last hour",
            sparkline("95th percentile in milliseconds", [one.p95_ms for one in points]),
        ),
        Tile(
            "Oldest waiting",
            duration(lag * 1000) if lag >= 1 else "–",
            "warn" if lag > LATE_SECONDS else "quiet",
            "nothing is overdue now" if lag < 1 else "overdue now, of all groups",
            None,
        ),
    )


def _chart(long: Statistics, span: str) -> Chart:
    series = [
        Series("failed", "bad", [float(one.failed) for one in long.series]),
        Series("retried", "warn", [float(one.retried) for one in long.series]),
        Series("delivered", "good", [float(one.succeeded) for one in long.series]),
    ]
    times = [one.starts_at.astimezone(UTC) for one in long.series]
    title = f"Attempts by outcome, last {_LABELS[span]}"
    return chart("outcomes", title, unit="attempts", times=times, series=series, is_stacked=True)


_KINDS = {"delivery": ("delivery", "deliveries")}


def _troubles(attention: Attention, now: datetime) -> list[Trouble]:
    found = []
    if not attention.workers:
        said = "Events are kept and go out once one runs. Start one: tidings worker, or tidings serve."
        found.append(Trouble(state("failing"), visible("No worker is running"), "", visible(said)))
    for trouble in attention.fleet:
        title = f"Fleet: {trouble.about}" if trouble.about else "Fleet"
        since = None if trouble.seconds is None else when(now - timedelta(seconds=trouble.seconds), now)
        found.append(Trouble(state("failing"), visible(title), "/settings/fleet", visible(trouble.sentence), since))
    for one in attention.failing:
        since = None if one.health.since is None else when(one.health.since, now)
        name = "resting" if one.health.state is Standing.RESTING else one.health.state.value
        found.append(Trouble(state(name), _name(one.name, one.url), f"/webhooks/{one.id}", visible(one.health.sentence), since))
    for each in attention.looping:
        why = visible(f"It leads to itself. {each.reason}")
        found.append(Trouble(state("failing"), _name(each.name, each.url), f"/webhooks/{each.id}", why, when(each.since, now)))
    for other in attention.stopped:
        condition = state("set_aside" if other.is_set_aside else "disabled")
        href = f"/webhooks/{other.id}"
        found.append(Trouble(condition, _name(other.name, other.url), href, visible(other.reason), when(other.since, now)))
    if attention.set_aside:
        kinds = ", ".join(count(number, *_KINDS.get(kind, (kind,))) for kind, number in sorted(attention.set_aside.items()))
        said = f"Of all groups: {kinds}. What waits for them goes on once they are mended; nobody else waits."
        found.append(Trouble(state("set_aside"), visible("Something is set aside"), "/settings/set-aside", visible(said)))
    if attention.uncaptured:
        names = ", ".join(attention.uncaptured)
        more = (
            f" and {attention.uncaptured_count - len(attention.uncaptured)} more"
            if attention.uncaptured_count > len(attention.uncaptured)
            else ""
        )
        said = f"Webhooks name these tables, and their changes are not heard: {names}{more}."
        title = count(attention.uncaptured_count, "table is not captured", "tables are not captured")
        found.append(Trouble(state("missing"), visible(title), "/sources/tables", visible(said)))
    for one in attention.certificates:
        href = f"/webhooks/{one.id}#credentials-title"
        found.append(Trouble(state(one.health.state.value), _name(one.name, one.url), href, visible(one.health.sentence)))
    for key in attention.ending:
        said = f"It ends {when(key.ends_at, now).exact}. Rotate it with another end, or let whoever uses it have another."
        found.append(Trouble(ENDS_SOON, visible(f"Key {key.name}", limit=80), f"/settings/api-keys/{key.id}", visible(said)))
    return found


def _name(name: str, address: str) -> Shown:
    return visible(name or address, limit=80)


def _calm(hour: Statistics, attention: Attention) -> str:
    at_work = f"{count(attention.workers, 'worker')} at work"
    troubled = hour.total.retried + hour.total.failed
    attempts = hour.total.succeeded + troubled
    if not attempts:
        return f"Nothing needs you. Nothing was sent in the last hour; {at_work}."
    if troubled:
        said = f"{troubled:,} of {count(attempts, 'attempt')} failed in the last hour"
        return f"No webhook has failed ten times in a row or for an hour; {said}, {at_work}."
    return f"Nothing needs you: every webhook is healthy, {at_work}."


def _first_step() -> Empty:
    return Empty(
        "Begin with a webhook",
        "A webhook is a URL that hears of what happens: of rows that change, of what you publish. Add one, change a row, and "
        "watch it arrive.",
        "New webhook",
        "/webhooks/new",
        'curl -X POST $URL/api/v1/webhooks -H "Authorization: Bearer $KEY" -d \'{"url": "https://…", "events": ["*"]}\'',
        "webhook",
    )
