"""Who may call: the key, in whichever header a client of the seed systems puts it."""

import hmac
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from tidings.api.http.scopes import needed
from tidings.core.api_key import KEY_REQUIRED, ApiKey, check_group, check_scope, id_text
from tidings.core.audit import Actor, Who
from tidings.core.errors import InvalidInputError, NotFoundError, TooManyAttemptsError, UnauthorizedError
from tidings.core.hops import HEADER, hops_of
from tidings.core.scopes import Scope
from tidings.core.trace import HEADER as TRACE_HEADER
from tidings.core.trace import traceparent_of
from tidings.operations import groups
from tidings.operations.services import Services
from tidings.store.settings import hash_key

GROUP_HEADER = "x-tidings-group"
HOME_HEADER = "x-tidings-home"
OWN_ADDRESS = "tidings.metrics_address"  # in the scope of what comes to the address that metrics have for themselves
VOUCHED = "tidings.vouched"  # in the scope of what another home hands on: the caller's key, which it has judged (`api.across`)
ACTING = "tidings.acting"  # in the scope at a home of a fleet: takes note of the group that a request is about (`api.moved`)

_KEY_HEADERS = ("x-api-key", "apikey", "x-client-key", "x-service-key")
_SCHEMES = ("bearer ", "servicekey ")
_QUERY_NAMES = frozenset({*_KEY_HEADERS, "key", "api_key", "api-key", "token", "access_token", "authorization", "servicekey"})
_KEY, _ADMITTED_AT = "tidings_key", "tidings_admitted_at"  # in the state of a request that was let in
_SLOW = timedelta(seconds=1)  # that a key is believed without another look
_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})


async def require_key(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Let a request pass whose key may do what it asks for (`scopes.NEEDS`).

    Raises:
        ForbiddenError: Its key lacks a scope, or is for one group and this is about all.
        InvalidInputError: Its key stands in the query string.
        TooManyAttemptsError: Too many wrong keys came before it.
        UnauthorizedError: It carries none that is good.
    """
    key = await _admitted(connection)
    need = needed(str(connection.scope.get("method")), connection.scope["path_template"])
    check_scope(key, need.scopes, is_for_all_groups=need.is_for_all_groups)
    if GROUP_HEADER in connection.headers:  # before anything of the request is read
        check_group(key.group_id, group_named(connection.headers[GROUP_HEADER]))


async def require_reader(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Let a request pass that may know how the API looks: by any key, by its address, or as configured.

    Raises:
        TidingsError: It may not.
    """
    if not _is_watcher(connection):
        await _admitted(connection)


async def require_watcher(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Let a request pass that may know how this installation is doing: by a key of it, by its address, or as configured.

    Raises:
        TidingsError: It may not.
    """
    if not _is_watcher(connection):
        check_scope(await _admitted(connection, KEY_OR_METRICS_KEY), (Scope.ADMIN,), is_for_all_groups=True)


KEY_OR_METRICS_KEY = "A valid key is required, one with the scope admin or TIDINGS_METRICS_KEY: Authorization: Bearer <key>."


def _is_watcher(connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
    services: Services = connection.app.state.services
    config = services.config
    if config.open_documents or connection.scope.get(OWN_ADDRESS):
        return True
    if not config.metrics_key:
        return False
    presented = key_in(connection.headers)
    services.admission.refuse_guess(presented, address_of(connection))
    return hmac.compare_digest(hash_key(presented), hash_key(config.metrics_key))


async def _admitted(connection: ASGIConnection[Any, Any, Any, Any], required: str = KEY_REQUIRED) -> ApiKey:
    refuse_in_query(connection.query_params.multi_items() if connection.scope["query_string"] else ())
    services: Services = connection.app.state.services
    key: ApiKey | None = connection.scope.get(VOUCHED)  # type: ignore[assignment]  # the framework knows its own names alone
    if key is None:
        presented = key_in(connection.headers)
        if not presented:
            raise UnauthorizedError(required)
        key = await services.admission.admit(presented, address_of(connection), services.clock.now())
    connection.scope["state"][_KEY] = key
    connection.scope["state"][_ADMITTED_AT] = services.clock.now()
    return key


def refuse_in_query(items: Iterable[tuple[str, Any]]) -> None:
    """Refuse a key in a query string: addresses stand in logs, histories and the headers of the next page.

    Raises:
        InvalidInputError: There is one.
    """
    for name, value in items:
        if name.lower() in _QUERY_NAMES or id_text(str(value)) is not None:
            raise InvalidInputError(
                name[:100],
                "A key in an address is not taken, since addresses stand in logs. Send it as Authorization: Bearer <key>, and "
                "rotate this one if it is real: it may stand in a log by now.",
            )


def address_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Return the address that a request comes from, as far as those whom we believe say; empty when nobody does."""
    return connection.client.host if connection.client else ""


def key_in(headers: Mapping[str, str]) -> str:
    """Return the key that headers carry, or an empty text."""
    authorization = headers.get("authorization", "")
    for scheme in _SCHEMES:
        if authorization[: len(scheme)].lower() == scheme:
            return authorization[len(scheme) :].strip()
    return next((headers[name] for name in _KEY_HEADERS if name in headers), "")


def group_named(value: str) -> str:
    """Return the group that a header names: percent-encoded, as in a URL, where its id has more than a header can carry.

    Frameworks read the bytes of a header as Latin-1, and some clients write UTF-8.

    Raises:
        NotFoundError: No group is called so.
    """
    try:
        return unquote_to_bytes(value.encode("latin-1")).decode()
    except (UnicodeEncodeError, UnicodeDecodeError) as error:
        raise NotFoundError(f"There is no group {value!r}: X-Tidings-Group is not UTF-8. Percent-encode it.") from error


async def services_of(request: Request[Any, Any, Any]) -> Services:
    """Return the parts a request is answered with, for the group that it names in `X-Tidings-Group`.

    Raises:
        ForbiddenError: Its key is for another group.
        NotFoundError: There is no such group.
        HomesDisagreeError: It is to change a group that lives at another home by now.
        BusyError: It is to change a group that is being moved at this moment.
        UnauthorizedError: Its key was good as the request began, and is not any more.
    """
    key: ApiKey | None = request.scope["state"].get(_KEY)
    services: Services = request.app.state.services
    address = address_of(request)
    if key is None:  # a door that is everybody's: it is about no group, and tells nobody which there are
        return msgspec.structs.replace(services, actor=Actor(Who.KEY, address=address))
    if request.method not in _WITHOUT_BODY:
        await request.body()
        if services.clock.now() - request.scope["state"][_ADMITTED_AT] >= _SLOW:
            key = await _admitted(request)  # it may have been revoked while the body came
    services = await services_for(services, request.headers, key)
    acting: Any = request.scope.get(ACTING)
    if acting is not None:
        group_id = acting.for_group(services.group_id)
        if group_id is not None and request.method not in _WITHOUT_BODY:
            await groups.expect_here(services, group_id)
    if VOUCHED in request.scope or HOME_HEADER in request.headers:  # another home asks, or this one is asked alone
        services = msgspec.structs.replace(services, across=None)
    return msgspec.structs.replace(services, actor=Actor(Who.KEY, key.id, address, key.id, key.name))


def key_of(request: Request[Any, Any, Any]) -> ApiKey:
    """Return the key that a request was let in with."""
    key: ApiKey = request.scope["state"][_KEY]
    return key


async def is_still_admitted(request: Request[Any, Any, Any]) -> bool:
    """Whether the key that a request was let in with opens anything still: an answer without an end asks now and then."""
    if VOUCHED in request.scope:
        return True  # the home that handed it on sees to that
    services: Services = request.app.state.services
    try:
        await services.admission.admit(key_in(request.headers), address_of(request), services.clock.now())
    except (UnauthorizedError, TooManyAttemptsError):
        return False
    return True


async def services_for(services: Services, headers: Mapping[str, str], key: ApiKey | None = None) -> Services:
    """Return the parts for the group that headers name. What a delivery led to is told by them as well (`core.hops`), and the
    trace that a call belongs to (`core.trace`).

    Args:
        key: The key that the request was let in with. One that is for one group acts for that, and for no other.

    Raises:
        ForbiddenError: The key is for another group. Whether there is one so called is not told.
        NotFoundError: There is no such group.
    """
    hops, traceparent = hops_of(headers.get(HEADER)), traceparent_of(headers.get(TRACE_HEADER))
    if hops or traceparent is not None:
        services = services.after(hops, traceparent)
    bound_to = None if key is None else key.group_id
    named = group_named(headers[GROUP_HEADER]) if GROUP_HEADER in headers else bound_to or services.group_id
    if bound_to is not None:
        check_group(bound_to, named)
        services = msgspec.structs.replace(services, bound_to=bound_to)
    if named == services.group_id:
        return services
    return await groups.acting_for(services, named)
