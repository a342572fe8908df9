"""What is around every page: who looks, which group, where one is."""

from urllib.parse import urlsplit

import msgspec

from tidings.core.brand import Brand
from tidings.portal.views.small import Notice
from tidings.portal.views.text import visible

THEMES = ("auto", "light", "dark")
MAX_BACK = 2000  # characters of a path that one is led back to


class Place(msgspec.Struct, frozen=True):
    """An entry of the navigation. `words`: what else people call it, which the search of pages finds."""

    path: str
    label: str
    icon: str
    words: tuple[str, ...] = ()
    is_for_customers: bool = False


CUSTOMER_HOME = "/home"
_HOME = Place(CUSTOMER_HOME, "Overview", "layout-dashboard", is_for_customers=True)

# The order is the one in which people ask. The words are those of the systems whose users come here.
PLACES = (
    Place("/", "Overview", "layout-dashboard", ("dashboard", "health", "home")),
    Place(
        "/webhooks",
        "Webhooks",
        "webhook",
        ("endpoints", "add endpoint", "new webhook", "webhook settings", "integrations"),
        True,
    ),
    Place(
        "/deliveries",
        "Deliveries",
        "send",
        ("webhook delivery", "delivery history", "failed deliveries", "manually retry", "log"),
        True,
    ),
    Place("/events", "Events", "zap", ("explain", "history of events")),
    Place(
        "/sources",
        "Sources",
        "database",
        (
            "tables",
            "capture a table",
            "backfill",
            "collections",
            "collection management",
            "content items",
            "jobs",
            "cron",
            "integrations",
            "integration objects",
            "catalogue",
            "event types",
        ),
    ),
    Place(
        "/settings",
        "Settings",
        "settings",
        ("group settings", "api keys", "request bins", "signing keys", "egress", "sessions", "retention", "about"),
    ),
)


class Entry(msgspec.Struct, frozen=True):
    """An entry of the navigation in one page."""

    path: str
    label: str
    icon: str
    is_here: bool


class BrandView(msgspec.Struct, frozen=True):
    """A customer's own name, picture and colours. `has_colours`: their stylesheet is to be loaded."""

    name: str
    logo: str
    has_colours: bool


def brand_view(brand: Brand | None) -> BrandView | None:
    """Return how a customer's pages look; None: as ours do."""
    if brand is None or brand == Brand():
        return None
    name = visible(brand.name or "", limit=80).plain
    return BrandView(name, brand.logo or "", brand.accent is not None)


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
        is_customer: Whoever looks came by a portal link.
        brand: How their pages look.
        home: The first page.
        on_record: Where the audit tells of what the page shows; empty: nowhere, or whoever looks may not see it.
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
    is_customer: bool = False
    brand: BrandView | None = None
    home: str = "/"
    on_record: str = ""


def entries(path: str, *, is_customer: bool = False) -> tuple[Entry, ...]:
    """Return the navigation as seen from a page."""
    places = (_HOME, *(place for place in PLACES if place.is_for_customers)) if is_customer else PLACES
    return tuple(Entry(place.path, place.label, place.icon, _is_within(path, place.path)) for place in places)


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
