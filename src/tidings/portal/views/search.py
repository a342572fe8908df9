"""What the search box of every page found."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from tidings.operations.history.looking import Found
from tidings.portal.views.deliveries import deliveries_table
from tidings.portal.views.events import events_table
from tidings.portal.views.frame import Place, places_for
from tidings.portal.views.lists import Table, link
from tidings.portal.views.small import Url, url
from tidings.portal.views.text import Shown, visible

MAX_QUESTION = 500  # characters


class WebhookHit(msgspec.Struct, frozen=True):
    """A webhook that was found."""

    href: str
    name: Shown
    url: Url


class KindHit(msgspec.Struct, frozen=True):
    """A type of events that was found, with where its deliveries and its events are."""

    name: Shown
    deliveries: str
    events: str


class SearchView(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `deliveries_path`, `events_path`: where else to look; `text_said`: how far payloads were read."""

    question: Shown
    places: tuple[Place, ...]
    webhooks: tuple[WebhookHit, ...]
    kinds: tuple[KindHit, ...]
    events: Table
    deliveries: Table
    deliveries_path: str
    events_path: str
    text_said: str
    is_nothing: bool


def straight(question: str, found: Found) -> str:
    """Return where to go when there is one thing that was meant; else an empty text."""
    if found.delivery is not None:
        return f"/deliveries/{found.delivery}"
    if found.event is not None:
        return f"/events/{found.event}"
    if found.webhook is not None:
        return f"/webhooks/{found.webhook}"
    if places_for(question) or any(kind != question for kind in found.kinds):  # a page, or types that only begin so
        return ""
    ways: list[str] = [f"/webhooks/{one.id}" for one in found.webhooks]
    ways += [link("/deliveries", {"type": kind}) for kind in found.kinds]
    ways += [f"/events/{one.id}" for one in found.events]
    ways += [f"/deliveries/{one.id}" for one in found.deliveries]
    return ways[0] if len(ways) == 1 and found.searched_everything else ""


def search_view(question: str, found: Found, now: datetime) -> SearchView:
    """Return what was found, kind by kind."""
    text = question if len(question) > 2 else ""
    return SearchView(
        question=visible(question, limit=120),
        places=places_for(question),
        webhooks=tuple(WebhookHit(f"/webhooks/{one.id}", visible(one.name, limit=80), url(one.url)) for one in found.webhooks),
        kinds=_kinds(found.kinds),
        events=events_table(found.events, now),
        deliveries=deliveries_table(found.deliveries, now),
        deliveries_path=link("/deliveries", {"text": text}),
        events_path=link("/events", {"text": text}),
        text_said="" if found.searched_everything else "Only the newest payloads were looked through.",
        is_nothing=found.is_nothing,
    )


def _kinds(kinds: Sequence[str]) -> tuple[KindHit, ...]:
    return tuple(
        KindHit(visible(kind, limit=100), link("/deliveries", {"type": kind}), link("/events", {"type": kind}))
        for kind in kinds
    )
