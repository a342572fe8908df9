"""The small parts: state, id, time, URL, progress, notice, empty state, secret."""

from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

import msgspec

from tidings.core.warned import Warned, sentences
from tidings.portal.views.text import Shown, number, sendable, shortened, visible

# States ----------------------------------------------------------------------------------------------------------------


class State(msgspec.Struct, frozen=True):
    """A state as colour, sign and word.

    Attributes:
        tone: `good`, `warn`, `bad`, `busy` or `quiet`: the colour.
        icon: The sign, of the sprite.
        word: What people call it.
    """

    tone: str
    icon: str
    word: str


_STATES = {
    # of deliveries (core.delivery.State)
    "succeeded": State("good", "check", "delivered"),
    "retrying": State("warn", "refresh-cw", "retrying"),
    "failed": State("bad", "x", "failed"),
    "sending": State("busy", "send", "sending"),
    "pending": State("busy", "clock", "waiting"),
    "cancelled": State("quiet", "ban", "cancelled"),
    # of webhooks
    "healthy": State("good", "check", "healthy"),
    "failing": State("bad", "circle-alert", "failing"),
    "resting": State("warn", "clock", "resting"),
    "paused": State("quiet", "pause", "paused"),
    "disabled": State("quiet", "ban", "disabled"),
    "set_aside": State("bad", "triangle-alert", "set aside"),
    "idle": State("quiet", "circle-dashed", "nothing sent yet"),
    "expiring": State("warn", "clock", "certificate ends"),
    "expired": State("bad", "clock", "certificate ended"),
    # of what makes events
    "running": State("busy", "loader", "running"),
    "done": State("good", "check", "done"),
    "captured": State("good", "check", "captured"),
    "missing": State("bad", "circle-alert", "not in place"),
    "unwanted": State("quiet", "circle-dashed", "nobody wanted it"),
}
STATES = tuple(_STATES)


def state(name: str) -> State:
    """Return a state by its name; one that is not known is shown by its name."""
    return _STATES.get(name) or State("quiet", "circle-question-mark", visible(name, limit=40).plain)


# Ids, times, URLs --------------------------------------------------------------------------------------------------------


class Id(msgspec.Struct, frozen=True):
    """An id. `text` is copied, `short` is shown; `href`: the page of what it names."""

    text: str
    short: str
    href: str | None = None


def ident(value: object, href: str | None = None) -> Id:
    """Return an id of ours or of somebody else's."""
    text = sendable(str(value))
    return Id(text, visible(shortened(text, head=6, tail=6)).plain, href)


class When(msgspec.Struct, frozen=True):
    """A moment. `iso` is for programs and copies, `exact` for the hover, `relative` for reading."""

    iso: str
    exact: str
    relative: str


_STEPS = ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h"), (30 * 86_400, 86_400, "d"))


def when(at: datetime, now: datetime) -> When:
    """Return a moment as seen now."""
    at = at.astimezone(UTC)
    iso = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    exact = at.strftime("%Y-%m-%d %H:%M:%S.") + f"{at.microsecond // 1000:03d} UTC"
    return When(iso, exact, _relative(at, now))


def _relative(at: datetime, now: datetime) -> str:
    seconds = (now - at).total_seconds()
    if abs(seconds) < 1:
        return "now"
    for limit, scale, unit in _STEPS:
        if abs(seconds) < limit:
            # What was set to 24 h is so far away a moment later, and not 23.
            whole = seconds if seconds > 0 else scale / 50 - seconds
            amount = f"{whole // scale:.0f}\u2009{unit}"
            return f"{amount} ago" if seconds > 0 else f"in {amount}"
    return at.strftime("%Y-%m-%d")


class Url(msgspec.Struct, frozen=True):
    """A URL as text, its host apart: that is what one looks for. It is never a link."""

    text: str
    before: Shown
    host: Shown
    after: Shown


def url(text: str) -> Url:
    """Return a URL to be read. What is none is shown as it is."""
    try:
        host = urlsplit(text).netloc.rpartition("@")[2]
    except ValueError:
        host = ""
    before, _, after = text.partition(host) if host else (text, "", "")
    return Url(sendable(text), visible(before, limit=100), visible(host, limit=100), visible(after, limit=160))


# The rest ----------------------------------------------------------------------------------------------------------------


class Progress(msgspec.Struct, frozen=True):
    """How far something is. `whole` None: nobody knows."""

    label: str
    done: int
    whole: int | None
    said: str


def progress(label: str, done: int, whole: int | None) -> Progress:
    """Return how far something is."""
    if whole is None:
        return Progress(label, done, None, f"{number(done)} so far")
    done = max(0, min(done, whole))
    return Progress(label, done, max(whole, 1), f"{number(done)} of {number(whole)}")


class Notice(msgspec.Struct, frozen=True):
    """What has just happened, or should be known. `tone`: `good`, `warn`, `bad` or `info`."""

    tone: str
    text: str

    @property
    def icon(self) -> str:
        """Its sign."""
        return {"good": "check", "warn": "triangle-alert", "bad": "circle-alert"}.get(self.tone, "info")


def warned(warnings: Sequence[Warned], done: str = "") -> Notice | None:
    """Return what a call's answer warns of, after what was done; None: nothing."""
    return Notice("warn", f"{done} {sentences(warnings)}".strip()) if warnings else None


class Empty(msgspec.Struct, frozen=True):
    """What stands where nothing is.

    Attributes:
        title: What would be here.
        text: Why it is not.
        action: A button's text, and `href` where it leads; empty: none.
        command: What changes it from a terminal; empty: nothing does.
    """

    title: str
    text: str
    action: str = ""
    href: str = ""
    command: str = ""
    icon: str = "circle-dashed"


class Secret(msgspec.Struct, frozen=True):
    """A secret.

    Attributes:
        name: What it is called, in a word or two; unique in a page.
        value: The secret, once somebody asked for it; None: hidden.
        reveal: The path that a POST asks for it, where that is put on record; empty: it cannot be shown again.
        warning: What to know while it is shown.
    """

    name: str
    value: str | None = None
    reveal: str = ""
    warning: str = ""
