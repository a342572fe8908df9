"""Before deliveries are sent again: what is meant, how many they are, how fast they go."""

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from tidings.core.errors import InvalidInputError
from tidings.core.webhook import Subscription
from tidings.operations.history.recoveries import Forecast
from tidings.portal.views.lists import Field
from tidings.portal.views.small import Notice
from tidings.portal.views.text import Shown, count, number, visible

WEBHOOK_FIELDS = ("since", "until", "missing", "rate_per_second")
_LABELS = {
    "since": "From",
    "until": "Until",
    "type": "Event",
    "table": "Table",
    "record_id": "Record",
    "text": "Text",
    "status": "State",
    "webhook": "Webhook",
    "event_id": "Of event",
    "failure": "Failure",
    "response_status": "Response",
}
_UNACKNOWLEDGED = "failed or retrying"


class Term(msgspec.Struct, frozen=True):
    """A part of what is asked for."""

    label: str
    value: Shown


class ForecastView(msgspec.Struct, frozen=True):
    """How many would be sent again, as a sentence. `can_begin`: there may be some."""

    said: str
    can_begin: bool


class RecoverView(msgspec.Struct, frozen=True):
    """The form that begins a recovery.

    Attributes:
        title: Of the page.
        path: Where the form goes; `path/count` tells how many there are.
        lead: What it does, in a sentence or two.
        terms: What is meant, where the form does not ask for it.
        hidden: (name, value) of what is sent with the form.
        fields: What the form asks for.
        forecast: None where it could not be counted.
        back: Where one came from.
        problem: What cannot be done, and what to do instead.
    """

    title: str
    path: str
    lead: str
    terms: tuple[Term, ...]
    hidden: tuple[tuple[str, str], ...]
    fields: tuple[Field, ...]
    forecast: ForecastView | None
    back: str
    problem: Notice | None = None


def forecast_view(forecast: Forecast) -> ForecastView:
    """Return how many would be sent again."""
    whole = forecast.again + forecast.missing
    if not whole and forecast.is_exact:
        return ForecastView("There is nothing to send again.", False)
    if not whole:
        return ForecastView("How many there are is found out as they are sent.", True)
    least = "" if forecast.is_exact else "at least "
    said = f"{least}{count(whole, 'delivery', 'deliveries')} will be sent"
    if forecast.missing:
        said += f": {number(forecast.again)} again, and {number(forecast.missing)} that never were"
    elif whole:
        said += " again"
    return ForecastView(f"{said[0].upper()}{said[1:]}.", True)


def search_view(
    words: Mapping[str, str],
    forecast: Forecast | None,
    *,
    back: str,
    rate: str = "",
    error: InvalidInputError | None = None,
    problem: str = "",
) -> RecoverView:
    """Return the form that sends again what a search finds.

    Args:
        words: The search, in words that stay what they are.
        rate: As it was written.
    """
    shown = {"status": _UNACKNOWLEDGED, **words}
    return RecoverView(
        title="Send again what was found",
        path="/recover",
        lead="Deliveries keep their ids, so receivers that have them drop them. They go out behind what waits already.",
        terms=tuple(Term(_LABELS[word], visible(text, limit=160)) for word, text in shown.items() if word in _LABELS),
        hidden=tuple(words.items()),
        fields=(_rate(rate, error),),
        forecast=None if forecast is None else forecast_view(forecast),
        back=back,
        problem=Notice("bad", problem) if problem else None,
    )


def webhook_view(
    webhook: Subscription,
    asked: Mapping[str, str],
    forecast: Forecast | None,
    *,
    error: InvalidInputError | None = None,
    problem: str = "",
) -> RecoverView:
    """Return the form that sends a webhook all again that it did not acknowledge of a time.

    Args:
        asked: What the form's fields hold.
    """
    path = f"/webhooks/{webhook.id}"
    return RecoverView(
        title="Recover",
        path=f"{path}/recover",
        lead="Sends again what this webhook did not acknowledge. Deliveries keep their ids, so what it has it can drop.",
        terms=(Term("Webhook", visible(webhook.name, limit=160)), Term("URL", visible(webhook.url, limit=160))),
        hidden=(),
        fields=(
            _time("since", "From", asked, "When the events happened, in UTC.", error, is_required=True),
            _time("until", "Until", asked, "In UTC; now when it is empty.", error),
            Field(
                "missing",
                "Also what never came to be",
                "check",
                value=asked.get("missing", ""),
                hint="Events from while it was paused, disabled or not there yet, which it would hear now.",
            ),
            _rate(asked.get("rate_per_second", ""), error),
        ),
        forecast=None if forecast is None else forecast_view(forecast),
        back=path,
        problem=Notice("bad", problem) if problem else None,
    )


def _time(
    name: str, label: str, asked: Mapping[str, str], hint: str, error: InvalidInputError | None, *, is_required: bool = False
) -> Field:
    wrong = error.message if error is not None and error.field == name else ""
    return Field(name, label, "datetime-local", asked.get(name, ""), hint, wrong, is_required=is_required, max_length=40)


def _rate(value: str, error: InvalidInputError | None) -> Field:
    wrong = error.message if error is not None and error.field == "rate_per_second" else ""
    hint = "How many go into the queue in a second. Empty: as fast as they are taken."
    return Field("rate_per_second", "At most, a second", "text", value, hint, wrong, max_length=12)


def rate_of(text: str) -> float | None:
    """Return the rate that was written.

    Raises:
        InvalidInputError: It is no number.
    """
    text = text.strip()
    if not text:
        return None
    try:
        return float(text)
    except ValueError as error:
        raise InvalidInputError("rate_per_second", f"{text[:20]!r} is no number. Write 50, or leave it empty.") from error


def as_field(at: datetime) -> str:
    """Return a time as a field of the form writes it: in UTC, to the minute, rounded down."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M")
