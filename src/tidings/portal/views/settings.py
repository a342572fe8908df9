"""Settings as pages show them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from tidings.config import Config
from tidings.core.diagnosis import Problem
from tidings.core.event import DEFAULT_GROUP
from tidings.operations.groups import Group
from tidings.operations.installation import MANY, Installation
from tidings.operations.signing_keys import PublishedKey
from tidings.portal.views.lists import Column, Field, Option, Pager, Row, Table, link
from tidings.portal.views.sections import SETTINGS, Section, sections
from tidings.portal.views.small import Id, State, When, ident, when
from tidings.portal.views.text import Shown, count, duration, number, visible
from tidings.store.sessions import Session
from tidings.store.workers import SILENCE

PATH = "/settings"


class SessionRow(msgspec.Struct, frozen=True):
    """A browser that is signed in."""

    browser: Shown
    key: Shown
    address: Shown
    began: When
    seen: When
    ends: When
    is_this: bool


class GeneralView(msgspec.Struct, frozen=True):
    """What holds for this installation, and who is signed in."""

    sections: tuple[Section, ...]
    problems: tuple[Shown, ...]
    retention: str
    public_url: Shown
    profile: str
    sessions: Table


def general_view(
    found: Sequence[Session], this: UUID, config: Config, now: datetime, problems: Sequence[Problem] = ()
) -> GeneralView:
    """Return the settings that hold for all groups, and what is wrong with the installation."""
    return GeneralView(
        sections(SETTINGS, PATH),
        tuple(visible(problem.sentence, limit=600) for problem in problems),
        count(config.retention_days, "day"),
        visible(config.public_url or "not set: links are made for browsers on this machine alone (TIDINGS_PUBLIC_URL)"),
        config.default_profile or "that of the system whose shape it has",
        sessions_table(found, this, now),
    )


def sessions_table(found: Sequence[Session], this: UUID | None, now: datetime) -> Table:
    """Return the browsers that are signed in, as a table."""
    rows = tuple(
        Row(
            str(one.id),
            "",
            one.browser or "a browser",
            SessionRow(
                visible(one.browser or "–", limit=120),
                visible(one.begun_by, limit=100),
                visible(one.address),
                when(one.created_at, now),
                when(one.seen_at, now),
                when(one.ends_at, now),
                one.id == this,
            ),
        )
        for one in found
    )
    columns = (
        Column("Browser", "wide"),
        Column("By", is_minor=True),
        Column("Address", is_minor=True),
        Column("Signed in"),
        Column("Last seen"),
        Column("Ends", is_minor=True),
        Column("End", "action"),
    )
    return Table("sessions", "Browsers that are signed in", columns, rows)


# Groups --------------------------------------------------------------------------------------------------------------------


class GroupRow(msgspec.Struct, frozen=True):
    """A group."""

    id: Shown
    made: When
    is_here: bool
    going: str
    delete: str


class GroupsView(msgspec.Struct, frozen=True):
    """The groups, and a form to make one."""

    sections: tuple[Section, ...]
    table: Table
    pager: Pager
    field: Field


def groups_view(
    found: Sequence[Group], pager: Pager, here: str, now: datetime, *, written: str = "", error: str = ""
) -> GroupsView:
    """Return the groups.

    Args:
        here: The one that pages show.
        written: The id that somebody asked for, and why it cannot be.
    """
    columns = (Column("Group", "wide"), Column("Made"), Column("Shown", is_minor=True), Column("Delete", "action"))
    rows = tuple(
        Row(
            f"group-{place}",
            link("/webhooks", {"group": one.id}),
            one.id,
            GroupRow(
                visible(one.id, limit=100),
                when(one.created_at, now),
                one.id == here,
                "" if one.deleting_at is None else visible(one.fault or "is being deleted", limit=300).plain,
                "" if one.id == DEFAULT_GROUP or one.deleting_at else link(f"{PATH}/groups/delete", {"id": one.id}),
            ),
        )
        for place, one in enumerate(found)
    )
    hint = "Your own id or name of a tenant: up to 100 characters."
    field = Field("id", "Id", value=written, hint=hint, error=error, is_required=True, is_code=True, max_length=100)
    return GroupsView(sections(SETTINGS, f"{PATH}/groups"), Table("groups", "Groups", columns, rows), pager, field)


class GroupDeletion(msgspec.Struct, frozen=True):
    """A group that somebody wants to delete, and the form that asks for its id again. `raw`: its id as forms send it."""

    sections: tuple[Section, ...]
    id: Shown
    raw: str
    field: Field


def group_view(one: Group, *, written: str = "", error: str = "") -> GroupDeletion:
    """Return what is asked before a group is deleted.

    Args:
        written: What somebody wrote as its id, and why the group was not deleted.
    """
    hint = "Write the id of the group again. Nothing brings it back."
    field = Field("confirm", "Id", value=written, hint=hint, error=error, is_required=True, is_code=True, max_length=100)
    return GroupDeletion(sections(SETTINGS, f"{PATH}/groups"), visible(one.id, limit=100), one.id, field)


# Keys ----------------------------------------------------------------------------------------------------------------------


class KeyRow(msgspec.Struct, frozen=True):
    """A key that receivers verify with."""

    state: State
    said: str
    purpose: str
    public: str
    id: Id


class KeysView(msgspec.Struct, frozen=True):
    """The keys. `jwks`: where programs read them; `why_not`: why they cannot be rotated now."""

    sections: tuple[Section, ...]
    table: Table
    jwks: str
    overlap: Field
    why_not: str
    error: str


_PURPOSES = {"webhooks": "deliveries (v1a)", "tokens": "tokens (JWT)"}


OVERLAPS = ((86_400, "a day"), (3600, "an hour"), (7 * 86_400, "7 days"), (0, "no time: they sign at once"))


def _key_state(one: PublishedKey, now: datetime) -> tuple[State, str]:
    """Return a key's state, and until or from when it holds."""
    if one.state == "next":
        return State("busy", "clock", "next"), f"signs {when(one.signs_from, now).relative}"
    until = f"published until {when(one.until, now).exact}" if one.until else ""
    if one.state == "before":
        return State("quiet", "clock", "before"), until
    return State("good", "check", "in use"), until


def keys_view(found: Sequence[PublishedKey], base_url: str, now: datetime, *, error: str = "") -> KeysView:
    """Return the public keys."""
    columns = (Column("State"), Column("Signs"), Column("Public key", "wide"), Column("Id", is_minor=True))
    rows = tuple(
        Row(
            one.id,
            "",
            f"key {one.id}",
            KeyRow(
                *_key_state(one, now),
                _PURPOSES.get(one.purpose, one.purpose),
                one.public_key,
                ident(one.id),
            ),
        )
        for one in found
    )
    table = Table("signing-keys", "Signing keys", columns, rows)
    overlap = Field(
        "overlap", "The new keys are published, and sign after", "choice",
        options=tuple(Option(str(seconds), label) for seconds, label in OVERLAPS),
        hint="Time for receivers that keep a public key, or a copy of the list, to fetch the new ones.",
    )  # fmt: skip
    waits = any(one.state == "next" for one in found)
    why_not = "New keys are published, and wait for their time to sign." if waits else ""
    jwks = f"{base_url.rstrip('/')}/.well-known/jwks.json"
    return KeysView(sections(SETTINGS, f"{PATH}/keys"), table, jwks, overlap, why_not, error)


# About ---------------------------------------------------------------------------------------------------------------------


class WorkerRow(msgspec.Struct, frozen=True):
    """A worker."""

    state: State
    host: Shown
    pid: str
    began: When
    beat: When


class AboutView(msgspec.Struct, frozen=True):
    """What this installation is made of. `waits`: (what, how much, what that is, a tone)."""

    sections: tuple[Section, ...]
    version: str
    database: Shown
    server: Shown
    schema: str
    waits: tuple[tuple[str, str, str, str], ...]
    workers: Table


def about_view(found: Installation, version: str) -> AboutView:
    """Return what this installation is made of. Workers are seen by PostgreSQL's clock."""
    read = found.readings
    many = f"{number(MANY)} or more" if found.set_aside >= MANY else number(found.set_aside)
    waits = (
        (
            "Outbox",
            number(read.outbox_rows),
            _lagging("events not yet routed", "the oldest for", read.outbox_lag_seconds),
            "busy",
        ),
        (
            "Waiting",
            number(max(0, read.waiting)),
            _lagging("deliveries that wait", "the one due longest for", read.queue_lag_seconds),
            "busy",
        ),
        ("Sending", number(read.sending), "deliveries that a worker has under way", "busy"),
        ("Set aside", many, "events that could not be routed", "bad" if found.set_aside else "good"),
    )
    columns = (
        Column("State"),
        Column("Host", "wide"),
        Column("Process", "number", is_minor=True),
        Column("Last beat"),
        Column("Since", is_minor=True),
    )
    rows = tuple(
        Row(
            str(one.id),
            "",
            f"worker {one.pid}",
            WorkerRow(
                State("good", "check", "alive") if found.at - one.seen_at < SILENCE else State("bad", "circle-alert", "silent"),
                visible(one.host, limit=80),
                str(one.pid),
                when(one.started_at, found.at),
                when(one.seen_at, found.at),
            ),
        )
        for one in found.workers
    )
    return AboutView(
        sections(SETTINGS, f"{PATH}/about"),
        version,
        visible(found.database),
        visible(found.server_version, limit=80),
        number(found.schema_number),
        waits,
        Table("workers", "Workers", columns, rows),
    )


def _lagging(what: str, how: str, seconds: float) -> str:
    return f"{what}; {how} {duration(seconds * 1000)}" if seconds >= 0.001 else what
