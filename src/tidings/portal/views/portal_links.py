"""Portal links as operators see them, and a customer's first page."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from tidings.core.webhook import Subscription
from tidings.operations.history.deliveries import Delivery
from tidings.operations.portal_links import DEFAULT_ACCESS, DEFAULT_SECONDS
from tidings.portal.views.lists import Column, Field, Option, Pager, Row, Table
from tidings.portal.views.sections import SETTINGS, Section, sections
from tidings.portal.views.small import Empty, Notice, State, Url, When, state, url, when
from tidings.portal.views.text import Shown, number, visible
from tidings.store.portal_links import PortalLink

PATH = "/settings/links"
ACCESSES = (
    ("read", "to look"),
    ("manage", "to look and to manage webhooks"),
    ("full", "the same, with tables and collections to choose from"),
)
LIFETIMES = ((900, "15 minutes"), (DEFAULT_SECONDS, "an hour"), (4 * 3600, "4 hours"), (86_400, "a day"))


class LinkRow(msgspec.Struct, frozen=True):
    """A link. `maker`: the key or the member that made it, with which it ends; None: that is not known."""

    name: Shown
    maker: Shown | None
    access: str
    origins: tuple[Shown, ...]
    made: When
    ends: When
    sessions: str


class LinksView(msgspec.Struct, frozen=True):
    """A group's links, and a form to make one.

    Attributes:
        made: The URL of the one that was made just now.
        unknown: Why none can be made; empty: one can.
    """

    sections: tuple[Section, ...]
    group: Shown
    table: Table
    pager: Pager
    fields: tuple[Field, ...]
    made: str
    unknown: Notice | None


def links_view(
    found: Sequence[PortalLink],
    pager: Pager,
    group_id: str,
    now: datetime,
    *,
    made: str = "",
    unknown: str = "",
    written: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
) -> LinksView:
    """Return a group's links.

    Args:
        unknown: Why none can be made; empty: one can.
        written: What somebody wrote into the form, to be shown again.
        errors: Field to what is wrong with it.
    """
    columns = (
        Column("Name", "wide"),
        Column("Allows"),
        Column("Framed by", is_minor=True),
        Column("Open in", "number"),
        Column("Made", is_minor=True),
        Column("Ends"),
        Column("End", "action"),
    )
    rows = tuple(
        Row(
            str(one.id),
            "",
            f"the link of {one.created_at:%H:%M}",
            LinkRow(
                visible(one.brand.name or "no name of its own", limit=80),
                visible(one.made_by, limit=100) if one.made_by else None, one.access.value, tuple(map(visible, one.origins)),
                when(one.created_at, now), when(one.ends_at, now), number(one.session_count),
            ),
        )
        for one in found
    )  # fmt: skip
    return LinksView(
        sections(SETTINGS, PATH),
        visible(group_id),
        Table("links", "Portal links", columns, rows),
        pager,
        _fields(written or {}, errors or {}),
        made,
        Notice("warn", unknown) if unknown else None,
    )


def _fields(written: Mapping[str, str], errors: Mapping[str, str]) -> tuple[Field, ...]:
    seconds = written.get("expires_in", str(DEFAULT_SECONDS))
    options = tuple(Option(str(value), label, str(value) == seconds) for value, label in LIFETIMES)
    allowed = written.get("access", DEFAULT_ACCESS)
    origins = " ".join(said for field, said in errors.items() if field.startswith("origins"))
    return (
        Field(
            "expires_in", "Good for", "choice", value=seconds, options=options, error=errors.get("expires_in", ""),
            is_required=True,
        ),
        Field(
            "access", "Allows", "choice", value=allowed, error=errors.get("access", ""), is_required=True,
            options=tuple(Option(value, label, value == allowed) for value, label in ACCESSES),
        ),
        Field(
            "name", "Name", value=written.get("name", ""), error=errors.get("brand.name", ""),
            hint="Stands where Tidings would.", max_length=60,
        ),
        Field(
            "accent", "Colour", value=written.get("accent", ""), error=errors.get("brand.accent", ""), placeholder="#1f5f43",
            hint="Dark enough to be read; in the dark it is made lighter.", is_code=True, max_length=7,
        ),
        Field(
            "origins", "Framed by", value=written.get("origins", ""), error=origins, placeholder="https://app.example.com",
            hint="Origins whose pages may show it in a frame, with spaces. None: no page may.", is_code=True,
        ),
    )  # fmt: skip


# A customer's first page -----------------------------------------------------------------------------------------------------


class OwnWebhook(msgspec.Struct, frozen=True):
    """A webhook of the customer's."""

    name: Shown
    url: Url
    state: State


class OwnDelivery(msgspec.Struct, frozen=True):
    """A delivery to one of them."""

    at: When
    state: State
    type: Shown
    webhook: Shown
    answer: str


class HomeView(msgspec.Struct, frozen=True):
    """A customer's first page: their webhooks, and the last deliveries. `more`: there are others that it does not show."""

    webhooks: Table
    more: bool
    deliveries: Table
    empty: Empty | None


def home_view(
    webhooks: Sequence[Subscription], deliveries: Sequence[Delivery], now: datetime, *, limit: int, may_make: bool
) -> HomeView:
    """Return a customer's first page.

    Args:
        limit: How many webhooks it shows.
        may_make: They may make one.
    """
    own = tuple(Row(str(one.id), f"/webhooks/{one.id}", one.name, _webhook(one)) for one in webhooks[:limit])
    last = tuple(Row(str(one.id), f"/deliveries/{one.id}", f"delivery {one.id}", _delivery(one, now)) for one in deliveries)
    empty = None if own else Empty(
        "No webhooks yet",
        f"A webhook is an address of yours that hears of what happens here. {'Make one.' if may_make else 'Ask for one.'}",
        icon="webhook",
    )  # fmt: skip
    return HomeView(
        Table(
            "own-webhooks", "Your webhooks", (Column("Webhook", "wide"), Column("Address", is_minor=True), Column("State")), own
        ),
        len(webhooks) > limit,
        Table(
            "own-deliveries",
            "Last deliveries",
            (
                Column("When"),
                Column("State"),
                Column("Event", "wide"),
                Column("Webhook", is_minor=True),
                Column("Answer", "number"),
            ),
            last,
        ),
        empty,
    )


def _webhook(one: Subscription) -> OwnWebhook:
    now = state("healthy") if one.enabled else state("disabled")
    return OwnWebhook(
        visible(one.name, limit=80), url(one.url), msgspec.structs.replace(now, word="on") if one.enabled else now
    )


def _delivery(one: Delivery, now: datetime) -> OwnDelivery:
    name = visible(one.webhook.name, limit=60) if one.webhook else visible("a webhook that is gone")
    answer = str(one.response_status) if one.response_status is not None else "–"
    return OwnDelivery(when(one.created_at, now), state(str(one.state)), visible(one.event.type, limit=80), name, answer)
