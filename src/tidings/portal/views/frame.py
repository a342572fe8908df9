"""What is around every page: who looks, which group, where one is."""

from urllib.parse import urlsplit

import msgspec

from tidings.portal.views.small import Notice

THEMES = ("auto", "light", "dark")
MAX_BACK = 2000  # characters of a path that one is led back to


class Place(msgspec.Struct, frozen=True):
    """An entry of the navigation. `words`: what else people call it, which the search of pages finds."""

    path: str
    label: str
    icon: str
    words: tuple[str, ...] = ()


# The order is the one in which people ask. The words are those of the systems whose users come here.
PLACES = (
    Place("/", "Overview", "layout-dashboard", ("dashboard", "health", "home")),
    Place("/webhooks", "Webhooks", "webhook", ("endpoints", "add endpoint", "new webhook", "webhook settings", "integrations")),
    Place(
        "/deliveries",
        "Deliveries",
        "send",
        ("webhook delivery", "delivery history", "failed deliveries", "manually retry", "log"),
    ),
    Place("/events", "Events", "zap", ("explain", "history of events")),
    Place("/sources", "Sources", "database", ("tables", "collections", "content items", "jobs", "integrations", "catalogue")),
    Place("/settings", "Settings", "settings", ("group settings", "signing keys", "sessions", "retention", "about")),
)


class Entry(msgspec.Struct, frozen=True):
    """An entry of the navigation in one page."""

    path: str
    label: str
    icon: str
    is_here: bool


class Frame(msgspec.Struct, frozen=True):
    """What is around a page.

    Attributes:
        title: Of the page, in its head and its tab.
        path: Of the page, with its query: where one is led back to.
        group_id: The group that is shown.
        who: Who is signed in.
        theme: `auto`, `light` or `dark`.
        csrf: The token of every form.
        entries: The navigation.
        search: What stands in the search box.
        notice: What has just happened.
        crumbs: (label, path) of the pages above this one.
    """

    title: str
    path: str
    group_id: str
    who: str
    theme: str
    csrf: str
    entries: tuple[Entry, ...]
    search: str = ""
    notice: Notice | None = None
    crumbs: tuple[tuple[str, str], ...] = ()


def entries(path: str) -> tuple[Entry, ...]:
    """Return the navigation as seen from a page."""
    return tuple(Entry(place.path, place.label, place.icon, _is_within(path, place.path)) for place in PLACES)


def _is_within(path: str, place: str) -> bool:
    return path == place or (place != "/" and path.startswith(f"{place}/"))


def places_for(words: str) -> tuple[Place, ...]:
    """Return the pages that go by these words."""
    said = " ".join(words.lower().split())
    if not said:
        return ()
    return tuple(place for place in PLACES if any(said in name or name in said for name in (place.label.lower(), *place.words)))


def local_path(text: str, otherwise: str = "/") -> str:
    """Return a path of ours to lead somebody to. What may be anywhere else is not followed.

    Browsers read `//host`, `/\\host` and `/<tab>/host` as another host's address, so none of these passes.
    """
    if not text.startswith("/") or len(text) > MAX_BACK or not text.isascii() or not text.isprintable():
        return otherwise
    if text.startswith("//") or "\\" in text:
        return otherwise
    try:
        parts = urlsplit(text)
    except ValueError:
        return otherwise
    return otherwise if parts.scheme or parts.netloc else text


def asks_for_html(accept: str) -> bool:
    """Whether a request is a browser's: it names HTML, and does not like JSON better."""
    kinds: dict[str, float] = {}
    for part in accept.split(",")[:50]:
        name, *parameters = (item.strip().lower() for item in part.split(";"))
        kinds[name] = next((_quality(item[2:]) for item in parameters if item.startswith("q=")), 1.0)
    html = max(kinds.get("text/html", 0.0), kinds.get("application/xhtml+xml", 0.0))
    return html > 0 and html >= kinds.get("application/json", 0.0)


def _quality(text: str) -> float:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0
