"""Signing in by the provider: begun, answered, and who of the members it is."""

import asyncio
import logging
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Coroutine, Mapping
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4

import msgspec

from tidings.core.audit import Action, Actor, Who
from tidings.core.errors import ForbiddenError, NotFoundError, StartupError
from tidings.core.oidc import (
    BEGUN_SECONDS,
    Begun,
    Identity,
    ProviderError,
    SignInError,
    authorization_url,
    check_answer,
    check_claims,
    is_of_domains,
    redirect_uri,
    with_user_info,
)
from tidings.core.roles import Held, Role
from tidings.operations import audit, sessions
from tidings.operations.services import Services
from tidings.store import members
from tidings.store.database import Connection
from tidings.store.members import Member
from tidings.store.sessions import Session
from tidings.transport.provider import Provider

logger = logging.getLogger("tidings.sign_in")

ANSWER_SECONDS: Final = 25.0  # for all calls to the provider that one sign-in makes
_BEGUN: Final = UUID("6a0e1f52-9a0c-4c3e-8f5e-5f6f0c2f9b11")  # whom a begun sign-in is sealed for
_OWNER: Final = Held(Role.OWNER, None)
T = TypeVar("T")


class NotMemberError(ForbiddenError):
    """Somebody is who they are at the provider, and may do nothing here."""


class SignedIn(msgspec.Struct, frozen=True):
    """A sign-in that came to its end. `to`: where it leads."""

    session: Session
    to: str


class Leave(msgspec.Struct, frozen=True):
    """Where a browser goes to sign in, and what it keeps meanwhile."""

    url: str
    kept: str


def _provider(services: Services) -> Provider:
    if services.provider is None:
        raise NotFoundError("Nobody signs in here by a provider: TIDINGS_OIDC_ISSUER is not set. Sign in with a key.")
    return services.provider


async def begin(services: Services, to: str, *, state: str, nonce: str, verifier: str) -> Leave:
    """Begin a sign-in. Nothing is kept here for it: its browser keeps what it was, sealed.

    Args:
        state, nonce, verifier: 256 random bits each, as text.

    Raises:
        NotFoundError: No provider is configured.
        ProviderError: It does not say where to go.
    """
    provider = _provider(services)
    found = await _within_bounds(provider.discover())
    begun = Begun(state, nonce, verifier, to, int(services.clock.now().timestamp()) + BEGUN_SECONDS)
    sealed = services.box.seal(msgspec.json.encode(begun).decode(), _BEGUN)
    url = authorization_url(found, provider.client_id, _back(services), begun)
    return Leave(url, urlsafe_b64encode(sealed).decode())


async def finish(
    services: Services, said: Mapping[str, str], kept: str, token: str, *, before: str, browser: str, address: str
) -> SignedIn:
    """Begin a session for whoever comes back from the provider.

    Args:
        said: The query that they bring.
        kept: What `begin` gave the browser; empty: nothing.
        token: The token of the session.
        before: The browser's token so far; empty when it had none.

    Raises:
        NotFoundError: No provider is configured.
        NotMemberError: They may do nothing here.
        ProviderError: The provider fails, or what it says is not believed.
        SignInError: The browser brings no answer to the sign-in that it began.
    """
    identity, to = await _within_bounds(_identified(services, said, kept))
    async with services.wide.transaction() as connection:
        member = await _member(services, connection, identity, address)
        session = await sessions.begin_as_member(
            services, connection, token, member, before=before, browser=browser, address=address
        )
        if session is None:
            raise NotMemberError(f"You signed in as {member.email}, and have no role here. Ask an owner for one.")
    return SignedIn(session, to)


async def _identified(services: Services, said: Mapping[str, str], kept: str) -> tuple[Identity, str]:
    provider, begun = _provider(services), _opened(services, kept)
    now = services.clock.now().timestamp()
    if begun is None:
        raise SignInError("This browser has begun no sign-in, or cookies are off. Sign in again.", "no begun sign-in")
    code = check_answer(said, begun, await provider.discover(), int(now))
    given = await provider.exchange(code, begun.verifier, _back(services))
    claims, trusts = await provider.claims(given.id_token), services.config.oidc_trust_unverified_email
    identity = check_claims(
        claims,
        issuer=provider.issuer,
        client_id=provider.client_id,
        nonce=begun.nonce,
        now=services.clock.now().timestamp(),
        trusts_unverified=trusts,
    )
    if "email" not in claims and (told := await provider.user_info(given.access_token)) is not None:
        identity = with_user_info(identity, told, trusts_unverified=trusts)
    return identity, begun.to


async def _within_bounds(answer: Coroutine[Any, Any, T]) -> T:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await answer
    except TimeoutError as error:
        raise ProviderError(f"The provider's answers took longer than {ANSWER_SECONDS:.0f} s together.") from error


def _opened(services: Services, kept: str) -> Begun | None:
    try:
        return msgspec.json.decode(services.box.open(urlsafe_b64decode(kept), _BEGUN), type=Begun)
    except (StartupError, ValueError, msgspec.MsgspecError):
        return None


def _back(services: Services) -> str:
    return redirect_uri(services.config.public_url or "")


# Who it is -----------------------------------------------------------------------------------------------------------------


async def _member(services: Services, connection: Connection, identity: Identity, address: str) -> Member:
    """Return which member somebody is, who becomes one when they were invited or the settings name them as an owner.

    Raises:
        NotMemberError: They are none.
    """
    now, email = services.clock.now(), identity.email
    config = services.config
    if config.oidc_domain_names and (email is None or not is_of_domains(email, config.oidc_domain_names)):
        raise _refused(identity, "Nobody with an address of that domain signs in here.")
    member = await members.lock_person(connection, identity.issuer, identity.subject)
    is_owner = email is not None and email in config.owner_emails
    if member is None:
        member = await _invited(services, connection, identity, is_owner=is_owner)
        if not _is(member, identity):
            await members.join(connection, member.id, identity.issuer, identity.subject, now)
            by = Actor(Who.MEMBER, member.id, address, key_name=member.email)
            await audit.note(services, connection, Action.MEMBER_JOINED, member.id, member.email, by=by, is_of_group=False)
    if is_owner and _OWNER not in member.held:
        await members.put_role(connection, member.id, _OWNER)
        said = f"{member.email}: owner of all groups, by TIDINGS_OWNERS"
        await audit.note(services, connection, Action.MEMBER_CHANGED, member.id, said, by=Actor(), is_of_group=False)
    await members.signed_in(connection, member.id, identity.name, now)
    found = await members.read(connection, member.id, None)
    return member if found is None else found


async def _invited(services: Services, connection: Connection, identity: Identity, *, is_owner: bool) -> Member:
    if identity.email is None:
        raise _refused(identity, "The provider does not say that your address is verified, and invitations are for addresses.")
    if is_owner:
        await members.add(connection, uuid4(), identity.email, services.clock.now())
    member = await members.lock_address(connection, identity.email)
    if member is None:
        raise _refused(identity, f"Ask an owner of this installation to invite {identity.email} (Settings, Members).")
    if _is(member, identity):  # they have come by another browser since they were looked for
        return member
    if member.issuer == identity.issuer:  # an address that was given to somebody else; another issuer is one that was left
        raise _refused(
            identity, "This address belongs to another account. Ask an owner to remove the member, and to invite you."
        )
    return member


def _is(member: Member, identity: Identity) -> bool:
    return (member.issuer, member.subject) == (identity.issuer, identity.subject)


def _refused(identity: Identity, why: str) -> NotMemberError:
    who = identity.email or identity.name or "somebody"
    logger.info("%s signed in at %s as %s, and is no member", who, identity.issuer, identity.subject)
    return NotMemberError(f"You signed in as {who}, and are no member here. {why}")
