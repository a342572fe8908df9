"""One webhook: its head, how it fares, what it was sent lately, its secrets, its versions."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from tidings.core.customers import Access
from tidings.core.event import TEST_TYPE
from tidings.core.health import Health
from tidings.core.statistics import Figures
from tidings.core.webhook import Subscription
from tidings.operations.history.deliveries import Delivery
from tidings.operations.webhooks.secrets import Secrets
from tidings.operations.webhooks.standing import Standing
from tidings.portal.views.documents import Diff
from tidings.portal.views.lists import Column, Pager, Row, Table, link
from tidings.portal.views.may import ALL, May
from tidings.portal.views.small import Empty, Id, Notice, Secret, State, Url, When, ident, state, url, when
from tidings.portal.views.text import Shown, count, duration, number, shortened, visible
from tidings.portal.views.webhook_credentials import CredentialsView, credentials_view
from tidings.portal.views.webhook_settings import NOT_FOR_CUSTOMERS, settings_lines, version_diff
from tidings.portal.views.webhooks import PATH, manager_of, rate_of, standing_of
from tidings.profiles import PROFILES
from tidings.store.webhook_versions import Version


class Tab(msgspec.Struct, frozen=True):
    """A page of a webhook."""

    label: str
    href: str
    is_here: bool


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What stands above each page of a webhook.

    Attributes:
        sentence: Why it is in its state, and what happens next.
        managed: What it belongs to, and where it is changed; empty: it is changed here.
        fault: Why it is set aside; None: it is not.
    """

    path: str
    id: Id
    name: Shown
    url: Url
    state: State
    since: When | None
    sentence: Shown
    enabled: bool
    managed: str
    managed_href: str
    fault: Shown | None
    tabs: tuple[Tab, ...]


_TABS = (
    ("Overview", ""), ("Test", "/test"), ("Diagnose", "/diagnose"), ("Dry run", "/dry-run"), ("Secrets", "/secrets"),
    ("Versions", "/versions"),
)  # fmt: skip
_MANAGERS = {
    "job": ("a job", "/sources/jobs"),
    "collection": ("the triggers of a collection", "/sources/collections"),
    "listener": ("a listener, by the command tidings listen", ""),
}


def head(webhook: Subscription, health: Health, now: datetime, here: str, *, may: May = ALL) -> Head:
    """Return what stands above the pages of a webhook.

    Args:
        here: The label of the page that is shown; empty: another.
        may: What whoever looks may ask for.
    """
    path = f"{PATH}/{webhook.id}"
    by, href = _MANAGERS.get(manager_of(webhook), ("", ""))
    return Head(
        path=path,
        id=ident(webhook.id),
        name=visible(webhook.name, limit=120),
        url=url(webhook.url),
        state=state(standing_of(webhook, health)),
        since=None if health.since is None else when(health.since, now),
        sentence=visible(health.sentence, limit=500),
        enabled=webhook.enabled,
        managed=f"It belongs to {by}, and is changed, paused and deleted there." if by else "",
        managed_href=_manager_path(webhook, href),
        fault=None if webhook.fault is None else visible(webhook.fault, limit=1000),
        tabs=tuple(
            Tab(label, f"{path}{end}", label == here) for label, end in _TABS if label == here or may.open(f"{path}{end}")
        ),
    )


def _manager_path(webhook: Subscription, href: str) -> str:
    """Return the page of what a webhook belongs to; a collection is known by its name, which the webhook does not tell."""
    return f"{href}/{(webhook.managed_by or '').partition(':')[2]}" if manager_of(webhook) == "job" else href


# Overview ----------------------------------------------------------------------------------------------------------------


class Tile(msgspec.Struct, frozen=True):
    """A figure: of which time, the success rate, and how long attempts took."""

    label: str
    value: str
    tone: str
    said: str


class DeliveryRow(msgspec.Struct, frozen=True):
    """The cells of a delivery."""

    at: When
    state: State
    type: Shown
    answer: str
    tries: int
    following: When | None
    error: Shown | None


class WebhookView(msgspec.Struct, frozen=True, kw_only=True):
    """The first page of a webhook.

    Attributes:
        tables: Of each table it names that is not captured as it should be: name, state, why.
        history: The path of all its deliveries; `failed`: of those that failed.
        delete_name: What is typed to delete it.
        credentials: That it shows to be let in; None: none, or a customer looks, whose operator's they are.
    """

    head: Head
    tiles: tuple[Tile, ...]
    deliveries: Table
    empty: Empty | None
    settings: tuple[tuple[str, tuple[Shown, ...]], ...]
    tables: tuple[tuple[Shown, State, Shown], ...]
    history: str
    failed: str
    delete_name: str
    credentials: CredentialsView | None = None


_PERIODS = (("hour", "Last hour"), ("day", "Last day"), ("month", "Last 30 days"))
_COLUMNS = (
    Column("Time"),
    Column("State"),
    Column("Event", "wide"),
    Column("Answer", "number"),
    Column("Tries", "number", is_minor=True),
    Column("Next", is_minor=True),
)


def webhook_view(
    standing: Standing, latest: Sequence[Delivery], now: datetime, *, access: Access | None = None, may: May = ALL
) -> WebhookView:
    """Return the first page of a webhook.

    Args:
        access: What the customer may do who looks; None: an operator looks.
        may: What whoever looks may ask for.
    """
    webhook, lane = standing.webhook, standing.state.lane
    top = head(webhook, standing.state.health, now, "Overview", may=may)
    tiles = [_tile(label, standing.figures[name]) for name, label in _PERIODS]
    oldest = f", next {when(lane.due_at, now).relative}" if lane.waiting and lane.due_at and lane.due_at > now else ""
    tiles.append(Tile("Waiting", number(lane.waiting), "quiet", f"{number(lane.in_flight)} under way{oldest}"))
    asked = {"webhook": str(webhook.id)}
    return WebhookView(
        head=top,
        tiles=tuple(tiles),
        deliveries=deliveries_table(webhook, latest, now),
        empty=None if latest else _nothing(top),
        settings=settings_lines(webhook, is_customer=access is not None),
        tables=tuple(
            (visible(f"{one.schema}.{one.table}"), state(one.state), visible(one.reason or ""))
            for one in standing.tables
            if one.state != "captured"
        ),
        history=link("/deliveries", asked),
        failed=link("/deliveries", {**asked, "status": "failed"}),
        delete_name=name_to_type(webhook),
        credentials=None if access is not None else credentials_view(webhook, now),
    )


def _tile(label: str, figures: Figures) -> Tile:
    rate, tone = rate_of(figures.success_rate)
    made = figures.succeeded + figures.retried + figures.failed
    if not made:
        return Tile(label, "–", "quiet", "no attempts")
    took = f"median {duration(figures.p50_ms)}, 95 % within {duration(figures.p95_ms)}"
    return Tile(label, rate, tone, f"of {count(made, 'attempt')}; {took}")


def deliveries_table(webhook: Subscription, latest: Sequence[Delivery], now: datetime) -> Table:
    """Return deliveries of one webhook as a table."""
    profile = PROFILES.get(webhook.profile)
    rows = []
    for one in latest:
        called = one.event.type if profile is None else profile.vocabulary.name_of(one.event)
        shown = state("retrying" if one.state == "pending" and one.attempt_count else one.state.value)
        cells = DeliveryRow(
            at=when(one.created_at, now),
            state=shown,
            type=visible(called, limit=80),
            answer=str(one.response_status) if one.response_status else (one.failure or "–"),
            tries=one.attempt_count,
            following=None if one.next_retry_at is None else when(one.next_retry_at, now),
            error=visible(one.error, limit=200) if one.error and one.state != "succeeded" else None,
        )
        rows.append(Row(str(one.id), f"/deliveries/{one.id}", f"{cells.type.plain}, {shown.word}", cells))
    return Table("deliveries", "Latest deliveries", _COLUMNS, tuple(rows))


def _nothing(top: Head) -> Empty:
    if not top.enabled:
        return Empty("Nothing was sent", "It is paused: events that come now are not sent to it.", icon="pause")
    return Empty(
        "Nothing was sent yet", "The first event it wants appears here.", "Send a test", f"{top.path}/test", icon="send"
    )


# After it was made -------------------------------------------------------------------------------------------------------


class First(msgspec.Struct, frozen=True):
    """Whether the first delivery has come.

    Attributes:
        state: `waiting`, `delivered` or `failed`.
        look: The path that is asked again; empty: it is not asked any more by itself.
    """

    state: str
    said: Shown
    path: str
    look: str = ""


MAX_LOOKS = 300  # by itself, one every two seconds


def first_view(webhook: Subscription, found: Sequence[Delivery], looks: int) -> First:
    """Return whether the first delivery of a new webhook has come."""
    path = f"{PATH}/{webhook.id}"
    tried = next((one for one in found if one.attempt_count), None)
    if tried is None:
        look = f"{path}/first?looks={looks + 1}" if looks < MAX_LOOKS else ""
        return First("waiting", visible("Waiting for the first delivery."), path, look)
    called = "The test" if tried.event.type == TEST_TYPE else visible(tried.event.type, limit=80).plain
    if tried.state == "succeeded":
        return First("delivered", visible(f"{called} was delivered: the receiver answered {tried.response_status}."), path)
    look = f"{path}/first?looks={looks + 1}" if looks < MAX_LOOKS else ""
    return First("failed", visible(f"{called} was not acknowledged: {tried.error or 'no answer'}", limit=500), path, look)


# Secrets -------------------------------------------------------------------------------------------------------------------


class SecretsView(msgspec.Struct, frozen=True, kw_only=True):
    """The secrets of a webhook. `overlap`: what the overlap means for what it sends."""

    head: Head
    secret: Secret
    previous: Secret | None
    until: When | None
    public_key: str
    overlap: str
    errors: dict[str, str]
    typed: str


_OVERLAPS = {
    "standard": "Until the overlap ends each request carries both signatures, and verifies with either secret.",
    "timed": "Until the overlap ends the header carries both signatures, and verifies with either secret.",
    "bare": "The header has room for one signature: it stays with the old secret until the overlap ends, and the same header "
    "with -Next behind its name carries the new one's. Change the receiver before the overlap ends.",
    "none": "Nothing is signed with it.",
}
SHOWN_ON_RECORD = "That it was shown is on record."


def secrets_view(
    top: Head,
    scheme: str,
    secrets: Secrets | None,
    now: datetime,
    *,
    errors: dict[str, str] | None = None,
    typed: str = "",
) -> SecretsView:
    """Return the secrets of a webhook.

    Args:
        scheme: How it signs (`views.receivers`).
        secrets: Once somebody asked for them; None: hidden.
    """
    reveal = f"{top.path}/secrets/reveal"
    hidden = secrets is None
    previous = secrets.previous_secret if secrets else None
    return SecretsView(
        head=top,
        secret=Secret("signing secret", None if hidden else secrets.secret, reveal, SHOWN_ON_RECORD),  # type: ignore[union-attr]
        previous=Secret("previous secret", previous) if previous else None,
        until=when(secrets.previous_secret_until, now) if secrets and secrets.previous_secret_until else None,
        public_key=secrets.public_key if secrets else "",
        overlap=_OVERLAPS[scheme],
        errors=errors or {},
        typed=typed,
    )


# Versions ------------------------------------------------------------------------------------------------------------------


class VersionView(msgspec.Struct, frozen=True):
    """A version. `diff`: what changed in it; None: it is the first that is kept."""

    number: int
    at: When
    is_present: bool
    changed: str
    diff: Diff | None


class VersionsView(msgspec.Struct, frozen=True):
    """The versions of a webhook, newest first."""

    head: Head
    versions: tuple[VersionView, ...]
    pager: Pager


def versions_view(
    top: Head, found: Sequence[Version], more: bool, before: str, now: datetime, *, is_customer: bool = False
) -> VersionsView:
    """Return the versions of a webhook.

    Args:
        more: There are older ones.
        before: The last number of the page before; empty: this is the first page.
        is_customer: Who looks is told no values of headers.
    """
    hidden = NOT_FOR_CUSTOMERS if is_customer else frozenset()
    views = tuple(
        VersionView(
            one.version,
            when(one.created_at, now),
            one.superseded_at is None,
            _changed(one.changes, is_customer=is_customer),
            version_diff(one.changes, is_customer=is_customer) if one.changes.keys() - hidden else None,
        )
        for one in found
    )
    path = f"{top.path}/versions"
    older = link(path, {"before": str(found[-1].version)}) if more and found else ""
    return VersionsView(top, views, Pager(path if before else "", older))


def _changed(changes: Mapping[str, object], *, is_customer: bool) -> str:
    names = [name for name in changes if not is_customer or name not in NOT_FOR_CUSTOMERS]
    return ", ".join(names) or ("what whoever runs this service has set" if changes else "set up")


# Going ---------------------------------------------------------------------------------------------------------------------


class GoneView(msgspec.Struct, frozen=True):
    """The question before a webhook is deleted. `wanted`: what is to be typed."""

    head: Head
    wanted: str
    typed: str
    error: str


def name_to_type(webhook: Subscription) -> str:
    """Return what is typed to delete a webhook: its name, or where that cannot be typed, its id's beginning."""
    name = webhook.name.strip()
    return name if name and visible(name).plain == name else shortened(str(webhook.id), head=8, tail=0).rstrip("…")


def notice_of_change(what: str) -> Notice:
    """Return what is told after a webhook was paused or resumed."""
    if what == "pause":
        return Notice("good", "The webhook is paused. Events that come now are not sent to it.")
    return Notice("good", "The webhook is resumed. What waited is sent now.")
