"""What is asked of lists: which entries, and which part of them, as types for keyword arguments."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypedDict
from uuid import UUID

Id = UUID | str
When = datetime | str


class Paged(TypedDict, total=False):
    """Which part of a list: at most `limit` entries, without the `offset` first ones."""

    limit: int
    offset: int


class Walked(TypedDict, total=False):
    """Which part of a list: at most `limit` entries after the page that ended with `cursor`."""

    limit: int
    cursor: Id | int


class AfterPaged(Paged, total=False):
    """Which part of a list: `cursor` is the last id of the page before."""

    cursor: Id


class SetAsidePaged(TypedDict, total=False):
    """Which entries: only those with a smaller number than `before`."""

    limit: int
    before: int


class FaultsPaged(TypedDict, total=False):
    """Which settings: only those behind the one with this cursor."""

    limit: int
    cursor: str


class KeysPaged(Paged, total=False):
    """Which keys: those that are good and stop before a time, or those that are good and were not used from a time on."""

    expires_before: datetime | str
    unused_since: datetime | str


class AuditFilters(SetAsidePaged, total=False):
    """What somebody did: about which group, by what (`who`), with which key (its id or name), to what, whence and when.

    `action`: such as `webhook.deleted`, or a family such as `secret.*`; several of them in a list.
    """

    cursor: str
    group: str
    who: str
    who_id: Id
    with_key: Id
    action: str | Sequence[str]
    subject_id: Id
    subject: str
    address: str
    since: datetime | str
    until: datetime | str


class AuditStretch(TypedDict, total=False):
    """Which part of the audit is verified: at most `limit` entries behind the place `after`; `head`: one that was noted."""

    after: int
    limit: int
    head: str


class AuditExported(TypedDict, total=False):
    """Which sealed entries: those behind the place `after`, about which group and of which time; at most `limit` in a page."""

    after: int | str
    limit: int
    group: str
    since: datetime | str
    until: datetime | str


class Numbered(TypedDict, total=False):
    """Which page of a list, counted from 1, and how long pages are."""

    page: int
    perPage: int


class RecordFilters(Numbered, total=False):
    """Which records. `filter`: such as `status = "active" && total > 5`; `sort`: fields, with `-` for descending."""

    filter: str
    sort: str


class ObjectFilters(Paged, total=False):
    """Which objects of an integration."""

    type: str


class DryRunAsked(TypedDict, total=False):
    """Of how many days, and which page."""

    days: int
    limit: int
    cursor: Id


class ExplainAsked(TypedDict, total=False):
    """For which webhooks an event is explained: all, page by page, or one."""

    webhook_id: Id
    limit: int
    cursor: str


class StatisticsFilters(TypedDict, total=False):
    """Of which time, in steps of a `minute`, an `hour` or a `day`."""

    since: When
    until: When
    step: Literal["minute", "hour", "day"]


class AllStatisticsFilters(StatisticsFilters, total=False):
    """Of which webhook, or of all."""

    webhook_id: Id


class EventFilters(TypedDict, total=False):
    """What events are asked for. Types may be several, families such as `order.*`, or in a receiver's words."""

    type: str | list[str]
    table: str
    record_id: str
    subject: str
    external_id: str
    text: str
    since: When
    until: When
    limit: int
    offset: int
    cursor: Id
    count: bool


class RetryFilters(TypedDict, total=False):
    """What is sent again. Without `status`, what was not acknowledged: failed and retrying."""

    status: str | list[str]
    webhook_id: Id
    event_id: Id
    type: str | list[str]
    table: str
    record_id: str
    failure: str | list[str]
    response_status: int | str | list[int | str]
    text: str
    since: When
    until: When


class WebhookDeliveryFilters(TypedDict, total=False):
    """What deliveries of one webhook are asked for. States, types, failures and statuses may be several."""

    status: str | list[str]
    event_id: Id
    type: str | list[str]
    table: str
    record_id: str
    failure: str | list[str]
    response_status: int | str | list[int | str]
    text: str
    since: When
    until: When
    limit: int
    offset: int
    cursor: Id
    count: bool


class DeliveryFilters(WebhookDeliveryFilters, total=False):
    """What deliveries are asked for."""

    webhook_id: Id


class BinRequestFilters(SetAsidePaged, total=False):
    """Which requests: newest first, or those behind the number `after`, oldest first."""

    after: int
