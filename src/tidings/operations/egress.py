"""What may be called: asked before a URL is saved or shown, told to operators, and narrowed by group."""

import msgspec

from tidings.core.audit import Action
from tidings.core.egress import Refusal
from tidings.core.errors import ConflictError, InvalidInputError
from tidings.core.narrowing import Narrowing, NarrowingForm, parse_narrowing
from tidings.core.target import Target, Way, parse_target
from tidings.core.webhook import check_url
from tidings.operations import audit
from tidings.operations.lookups import there
from tidings.operations.services import Services
from tidings.store import egress, groups
from tidings.store.database import Connection

MAX_ADDRESSES = 20  # of a name that are judged one by one
MAX_CHANGED_FIELDS = 200


class Rules(msgspec.Struct, frozen=True):
    """What the installation may call, as its settings say it.

    Attributes:
        ports: Only these; empty: all but those of other protocols.
        http_hosts: None: plain http:// goes to `allowed_networks`.
        proxy: What everything goes out by, without user and password.
    """

    allowed_networks: list[str]
    denied_networks: list[str]
    ports: str
    denied_ports: str
    http_hosts: list[str] | None
    allow_http: bool
    proxy: str | None


class JudgedAddress(msgspec.Struct, frozen=True):
    """An address of a name, and why it may not be called; None: it may."""

    address: str
    cause: str | None


class Judgement(msgspec.Struct, frozen=True):
    """Whether a URL may be called, without calling it.

    Attributes:
        sentence: What whoever writes the URL is told, when it may not.
        cause: Which rule refuses it.
        addresses: What its name resolves to, each judged.
    """

    url: str
    group: str
    is_allowed: bool
    sentence: str | None
    cause: str | None
    addresses: list[JudgedAddress]


async def target_of(services: Services, url: str, field: str = "url") -> Target:
    """Return where a URL of the group's leads.

    Raises:
        InvalidInputError: It cannot be a webhook's URL.
    """
    try:
        check_url(url)
    except InvalidInputError as error:
        raise InvalidInputError(field, error.message) from error
    narrowing = await narrowing_of(services)
    return parse_target(url, None if narrowing is None else Way(narrowing))


async def narrowing_of(services: Services) -> Narrowing | None:
    """Return what narrows the calls of the group; None: nothing does."""
    async with services.database.connection() as connection:
        return await egress.narrowing_of(connection, services.group_id)


def check_written(services: Services, url: str, narrowing: Narrowing | None) -> None:
    """Refuse a URL that may not be called whatever its name resolves to. Nothing is asked.

    Args:
        narrowing: Of the group.

    Raises:
        InvalidInputError: With what is wrong with it.
    """
    check_url(url)
    if (refusal := services.sender.egress.refusal_of(parse_target(url), narrowing)) is not None:
        raise InvalidInputError("url", said(services, refusal))


async def check_callable(services: Services, url: str, field: str = "url") -> None:
    """Refuse a URL that may not be called as its name resolves now.

    Raises:
        InvalidInputError: With what is wrong with it.
    """
    target = await target_of(services, url, field)
    if (refusal := await services.sender.refusal(target)) is not None:
        raise InvalidInputError(field, said(services, refusal))


def said(services: Services, refusal: Refusal) -> str:
    """Return a refusal for whoever asks: which rule it is, and what a name resolves to, is for those who act for all groups."""
    is_same = services.bound_to is not None or refusal.cause in refusal.sentence
    return refusal.sentence if is_same else f"{refusal.sentence} {refusal.cause}"


# For operators -----------------------------------------------------------------------------------------------------------


def rules(services: Services) -> Rules:
    """Return what the installation may call."""
    policy, config = services.sender.egress, services.config
    return Rules(
        allowed_networks=list(map(str, policy.allowed)),
        denied_networks=list(map(str, policy.denied)),
        ports=config.allow_ports,
        denied_ports=config.deny_ports,
        http_hosts=None if policy.http_hosts is None else list(policy.http_hosts),
        allow_http=policy.allow_http,
        proxy=None if config.forward_proxy is None else f"{config.forward_proxy.host} port {config.forward_proxy.port}",
    )


async def judge(services: Services, url: str) -> Judgement:
    """Return whether a URL of the group's may be called. Its name is looked up, and nobody is called.

    Raises:
        InvalidInputError: It cannot be a webhook's URL.
    """
    target = await target_of(services, url)
    narrowing = target.by.narrowing if target.by else None
    policy, addresses = services.sender.egress, list[JudgedAddress]()
    refusal = policy.refusal_of(target, narrowing)
    if refusal is None and not policy.is_proxied:
        found = (await services.sender.resolve(target))[:MAX_ADDRESSES]
        judged = [(address, policy.refusal_of_address(address, target, narrowing)) for address in found]
        addresses = [JudgedAddress(address, None if one is None else one.cause) for address, one in judged]
        may_be, first = policy.callable_ones(found, target, narrowing)
        refusal = None if may_be else first
    sentence, cause = (None, None) if refusal is None else refusal
    return Judgement(url, services.group_id, refusal is None, sentence, cause, addresses)


async def read_narrowing(services: Services, group_id: str) -> NarrowingForm:
    """Return what a group may not call although the installation may; empty where it is not narrowed.

    Raises:
        NotFoundError: There is no such group.
    """
    async with services.wide.connection() as connection:
        there(await groups.get(connection, group_id), f"There is no group {group_id!r}.")
        narrowing = await egress.narrowing_of(connection, group_id)
    return (narrowing or Narrowing()).form


async def narrow(services: Services, group_id: str, asked: NarrowingForm) -> NarrowingForm:
    """Narrow what a group may call. What is claimed from now on is sent by it; an empty narrowing takes it away.

    Raises:
        InvalidInputError: With the field and the reason.
        NotFoundError: There is no such group.
    """
    narrowing = parse_narrowing(asked)
    of_it = msgspec.structs.replace(services, group_id=group_id)
    async with services.wide.transaction() as connection:
        there(await groups.get(connection, group_id), f"There is no group {group_id!r}.")
        before = await _before(connection, group_id)
        await audit.note(of_it, connection, Action.EGRESS_NARROWED, subject=group_id, before=before, after=narrowing.form)
        kept = None if narrowing == Narrowing() else narrowing
        await egress.put_narrowing(connection, group_id, kept, services.clock.now())
    return narrowing.form


async def _before(connection: Connection, group_id: str) -> NarrowingForm | None:
    """Return how a group is narrowed; None where that cannot be read: it is mended by being written anew."""
    try:
        return (await egress.narrowing_of(connection, group_id) or Narrowing()).form
    except ConflictError:
        return None
