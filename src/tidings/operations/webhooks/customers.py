"""Webhooks as customers make and change them by a portal link: what they may choose, how many they may make.

They say where a webhook goes, what it is called and what it hears; the rest is the installation's and the operator's.
"""

from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from tidings.core.customers import Access, check_chosen, check_moved, is_choosable, is_published
from tidings.core.errors import ConflictError, InvalidInputError
from tidings.core.filters import Filter, TypeFilter
from tidings.core.vocabulary import OPEN, Vocabulary
from tidings.core.webhook import Subscription
from tidings.operations.egress import check_callable
from tidings.operations.services import Services
from tidings.operations.webhooks import choices, previews, subscriptions
from tidings.operations.webhooks.changes import WebhookChange
from tidings.operations.webhooks.choices import Choices
from tidings.operations.webhooks.previews import Preview, Wish
from tidings.operations.webhooks.shapes import entries_of
from tidings.operations.webhooks.subscriptions import Made, Standing
from tidings.profiles import PROFILES
from tidings.store import customer_webhooks, search
from tidings.store.webhook_rows import filter_to_json

DEFAULT_PROFILE = "standard"
_THEIRS = ("name", "description", "url", "events", "version")  # fields that a customer sets


async def offered(services: Services, access: Access) -> Choices:
    """Return what a customer can choose from. How tables are captured is the operator's."""
    every = await choices.read(services)
    if access is Access.FULL:
        return msgspec.structs.replace(every, settings={})
    return Choices(
        types={name: said for name, said in every.types.items() if is_published(name)},
        examples={name: text for name, text in every.examples.items() if is_published(name)},
        seen=frozenset(name for name in every.seen if is_published(name)),
    )


def keeps(access: Access, before: Subscription) -> list[Filter]:
    """Return the entries of a webhook's events that a customer has no say in."""
    if access is Access.FULL or before.profile not in PROFILES:
        return []
    return [one for one in before.events if not is_choosable(one, PROFILES[before.profile].vocabulary)]


def may_choose_none(access: Access | None, before: Subscription) -> bool:
    """Whether a change need name no event: of a customer's webhook, what they have no say in stays. None: no customer."""
    return access is not None and bool(keeps(access, before))


async def create(services: Services, access: Access, asked: WebhookChange) -> Made:
    """Create a webhook of a customer's.

    Raises:
        ConflictError: Customers of the group have made as many as they may.
        InvalidInputError: With the field and the reason.
    """
    asked = _drafted(services, await _checked(services, access, asked))
    if asked.url is not UNSET:
        await check_callable(services, asked.url)
    webhook, reason = subscriptions.draft(services, asked)
    most = services.config.customer_webhooks
    async with services.database.transaction() as connection:
        if await customer_webhooks.count(connection, services.group_id) >= most:
            raise ConflictError(
                f"There are {most} webhooks that were made here, and no more may be. Delete one, or change one."
            )
        made, states = await subscriptions.add(services, connection, webhook)
        await customer_webhooks.add(connection, made.id, services.group_id)
    return Made(made, states, reason)


async def change(services: Services, access: Access, webhook_id: UUID, asked: WebhookChange) -> Standing[Subscription]:
    """Change a webhook as a customer asks. What they have no say in of its events stays.

    Args:
        asked: With the version that was read: what is checked here is what is changed.

    Raises:
        ConflictError: It is changed elsewhere, or would send the operator's headers to another host.
        InvalidInputError: With the field and the reason.
        NotFoundError: There is none.
    """
    before = (await subscriptions.read(services, webhook_id)).webhook
    return await subscriptions.change(services, webhook_id, await checked_change(services, access, before, asked))


async def checked_change(services: Services, access: Access, before: Subscription, asked: WebhookChange) -> WebhookChange:
    """Return what a customer's change comes to, with what they have no say in.

    Raises:
        ConflictError: It would send the operator's headers to another host.
        InvalidInputError: They cannot choose an event of it.
    """
    if asked.url is not UNSET:
        check_moved(before, asked.url)
    asked = asked if asked.version is not UNSET else msgspec.structs.replace(asked, version=before.version)
    return await _checked(services, access, asked, before)


async def preview_draft(services: Services, access: Access, asked: WebhookChange) -> Preview:
    """Return the request of a customer's webhook that is not saved yet, signed with an example.

    Raises:
        InvalidInputError: With the field and the reason, as its creation would be refused.
    """
    checked = _drafted(services, await _checked(services, access, asked))
    return await previews.of_draft(services, checked, Wish(), is_repeated=True)


def _drafted(services: Services, asked: WebhookChange) -> WebhookChange:
    """Return what is asked for with the profile of all webhooks of customers: none follows from what they choose."""
    return msgspec.structs.replace(asked, profile=services.config.default_profile or DEFAULT_PROFILE)


async def _checked(
    services: Services, access: Access, asked: WebhookChange, before: Subscription | None = None
) -> WebhookChange:
    theirs = WebhookChange(**{name: value for name in _THEIRS if (value := getattr(asked, name)) is not UNSET})
    if access is Access.FULL or asked.events is UNSET:
        return theirs
    vocabulary = _vocabulary(services, before)
    names = _names(asked.events)
    had = [] if before is None else [one.name for one in before.events if isinstance(one, TypeFilter)]
    async with services.database.connection() as connection:
        known = await search.known_types(connection, services.group_id, names)
    check_chosen(names, known, had, vocabulary)
    kept = [] if before is None else [filter_to_json(one) for one in keeps(access, before)]
    return msgspec.structs.replace(theirs, events=[*names, *kept])


def _vocabulary(services: Services, before: Subscription | None) -> Vocabulary:
    name = services.config.default_profile or DEFAULT_PROFILE if before is None else before.profile
    return PROFILES[name].vocabulary if name in PROFILES else OPEN


def _names(events: list[object] | str | UnsetType) -> list[str]:
    names = []
    for entry in entries_of(events):  # type: ignore[arg-type]
        if not isinstance(entry, str):
            raise InvalidInputError("events", "Tables and collections cannot be chosen here. Tick events of the list.")
        names.append(entry)
    return names
