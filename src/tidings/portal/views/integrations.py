"""Integrations as pages show them."""

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

import msgspec

from tidings.operations.sources.integrations import Traffic
from tidings.portal.views.integration_form import Step, address_of, guide
from tidings.portal.views.lists import Column, Pager, Row, Table
from tidings.portal.views.sections import NEW, SOURCES, Section, sections
from tidings.portal.views.small import Empty, Secret, State, When, state, when
from tidings.portal.views.text import Shown, number, visible
from tidings.store.integrations import Integration

PATH = "/sources/integrations"
_MAKE = (
    'curl -X POST $URL/api/v1/integrations -H "Authorization: Bearer $KEY" '
    """-d '{"name": "shop", "platform": "stripe", "secret": "whsec_…"}'"""
)
_REASONS = {
    "signature": ("Not verified", "Compare the secret on both sides, and the clock of the sender."),
    "body": ("Not readable", "Have the sender write a JSON object."),
    "replayed": ("Sent again under another id", "Somebody repeats what was overheard, or the sender changes its ids."),
    "fault": ("Set aside", "Something of the integration cannot be read: write it anew, as its fault says."),
    "limit": ("Over the group's limits", "Have the sender slow down, or ask for higher limits."),
    "disconnected": ("Disconnected", "Connect it again, or stop the sender."),
}


class IntegrationRow(msgspec.Struct, frozen=True):
    """An integration of the list."""

    name: Shown
    platform: str
    state: State
    updated: When


class IntegrationsView(msgspec.Struct, frozen=True):
    """The list of integrations."""

    sections: tuple[Section, ...]
    table: Table
    pager: Pager
    empty: Empty | None


class NoticeRow(msgspec.Struct, frozen=True):
    """A notice that was taken in."""

    type: Shown
    id: Shown
    at: When


class RefusalRow(msgspec.Struct, frozen=True):
    """Notices that were refused for a reason. `remedy`: what to do; `said`: what the last sender was told."""

    reason: str
    remedy: str
    said: Shown
    count: str
    first: When
    last: When


class IntegrationView(msgspec.Struct, frozen=True):
    """An integration. `url`: what to give to the sender."""

    sections: tuple[Section, ...]
    name: Shown
    path: str
    platform: str
    state: State
    is_connected: bool
    url: str
    url_note: str
    secret: Secret
    signature: str
    notices: Table
    refusals: Table
    made: When
    fault: Shown | None
    steps: tuple[Step, ...]


def integrations_view(found: Sequence[Integration], pager: Pager, now: datetime) -> IntegrationsView:
    """Return the list of integrations."""
    columns = (Column("Integration", "wide"), Column("Platform"), Column("State"), Column("Changed", is_minor=True))
    rows = tuple(
        Row(
            str(one.id),
            path_of(one.name),
            one.name,
            IntegrationRow(visible(one.name), one.platform, _state(one), when(one.updated_at, now)),
        )
        for one in found
    )
    empty = None if rows else Empty(
        "No integrations",
        "An integration is a system that sends its own webhooks here: Stripe, GitHub, or any that signs with HMAC. Each notice "
        "is verified, then an event.",
        "New integration",
        f"{NEW}/integration",
        _MAKE,
        "link",
    )  # fmt: skip
    return IntegrationsView(sections(SOURCES, PATH), Table("integrations", "Integrations", columns, rows), pager, empty)


def path_of(name: str) -> str:
    """Return the page of an integration."""
    return f"{PATH}/{quote(name, safe='')}"


def _state(one: Integration) -> State:
    if one.fault is not None:
        return state("set_aside")
    return State("good", "check", "connected") if one.enabled else State("quiet", "ban", "disconnected")


def integration_view(traffic: Traffic, base_url: str, now: datetime) -> IntegrationView:
    """Return an integration with what came of late.

    Args:
        base_url: Where this installation is reached; empty: that is not known.
    """
    one = traffic.integration
    return IntegrationView(
        sections(SOURCES, PATH),
        visible(one.name),
        path_of(one.name),
        one.platform,
        _state(one),
        one.enabled,
        address_of(one.name, base_url),
        "" if base_url else "Behind the address of this installation, which TIDINGS_PUBLIC_URL does not name yet.",
        Secret("shared secret"),
        _signed(one),
        _notices(traffic, now),
        _refusals(traffic, now),
        when(one.created_at, now),
        None if one.fault is None else visible(one.fault, limit=1000),
        guide(one, base_url),
    )  # fmt: skip


def _signed(one: Integration) -> str:
    if one.platform != "hmac":
        return f"as {one.platform} signs"
    return f"{one.settings.format} in {visible(one.settings.header, limit=80).plain}"


def _notices(traffic: Traffic, now: datetime) -> Table:
    columns = (Column("Notice", "wide"), Column("Its id", is_minor=True), Column("Came"))
    rows = tuple(
        Row(
            f"notice-{place}",
            "",
            f"notice {visible(one.id, limit=40).plain}",
            NoticeRow(visible(one.type or "type not kept", limit=80), visible(one.id, limit=60), when(one.received_at, now)),
        )
        for place, one in enumerate(traffic.notices)
    )
    return Table("notices", "Last notices", columns, rows)


def _refusals(traffic: Traffic, now: datetime) -> Table:
    columns = (
        Column("Reason"),
        Column("How many", "number"),
        Column("What the sender was told", "wide", is_minor=True),
        Column("Last"),
    )
    rows = tuple(
        Row(
            f"refused-{one.reason}",
            "",
            one.reason,
            RefusalRow(
                *_REASONS.get(one.reason, (one.reason, "")), visible(one.said), number(one.count), when(one.first_at, now),
                when(one.last_at, now),
            ),
        )
        for one in traffic.refusals
    )  # fmt: skip
    return Table("refusals", "Refused notices", columns, rows)
