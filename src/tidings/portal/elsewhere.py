"""Groups that live at another home of the fleet: their pages are shown by the portal there, and browsers are led to it.

A session is of one home, and its cookie of one address: pages that were handed on would have to be believed by their forms, by
their streams and by whoever frames them. So a browser is led to the other portal, where its user signs in as everywhere.
"""

from typing import Any
from urllib.parse import quote, urlencode

from litestar import Request

from tidings.core.api_key import MAX_KEY, hash_of, id_text
from tidings.core.errors import HomeAwayError, TidingsError
from tidings.core.roles import check_shown
from tidings.core.voucher import VouchedKey
from tidings.operations import sessions
from tidings.operations.services import Services
from tidings.portal.views.small import Notice
from tidings.store.sessions import Session


class LivesElsewhereError(TidingsError):
    """A page was asked for of a group that lives at another home. `href`: the page there; empty when nobody says where."""

    code = "NOT_FOUND"
    status = 404

    def __init__(self, group_id: str, home: str, href: str) -> None:
        self.href = href
        super().__init__(
            f"The group {group_id!r} lives at home {home} of the fleet, whose portal shows it. That home does not say where "
            "browsers find it: set TIDINGS_PUBLIC_URL there."
        )


async def lead_away(request: Request[Any, Any, Any], services: Services, token: str, group_id: str | None) -> None:
    """Lead a browser that asks for a group to the portal where it lives, if that is another, and it may be shown.

    Raises:
        ForbiddenError: Whoever is signed in may not look at that group.
        HomeAwayError: The other home does not answer.
        LivesElsewhereError: With the way there.
    """
    across = services.across
    if across is None or group_id is None or (home := across.elsewhere(group_id)) is None:
        return
    session = await sessions.find(services, token)
    if session is None or session.is_customer:
        return  # who that is, is for others to say
    check_shown(session.may_show, group_id)
    about = await across.about(home)
    if about is None:
        raise HomeAwayError(f"The group {group_id!r} lives at home {home}, which does not answer. Try again.", home=home)
    public, path = (about.public_url or "").rstrip("/"), quote(request.scope["path"].encode(), safe="/")
    asked = [(name, value) for name, value in request.query_params.multi_items() if name != "group"]
    raise LivesElsewhereError(group_id, home, f"{public}{path}?{urlencode([*asked, ('group', group_id)])}" if public else "")


def notice_of(request: Request[Any, Any, Any], services: Services, session: Session | None) -> Notice | None:
    """Return what is to be said above pages of a group that lives elsewhere: what is here is not what it has."""
    if session is None:
        return None
    home = request.scope["state"].get("portal_left")  # as it was when somebody was let in
    if session.is_customer:
        return None if home is None else Notice("warn", "This has just moved, and is shown again in some seconds.")
    if home is None and services.across is not None:
        home = services.across.elsewhere(session.group_id)
    if home is None:
        return None
    way = "Choose it at the top to go there, or another group." if services.across is not None else "Open the portal there."
    here = f"The group {session.group_id} lives at home {home}, and this is home {services.config.home}"
    return Notice("warn", f"{here}: its pages are there. {way}")


def home_of_key(services: Services, presented: str) -> str | None:
    """Return the home that a key is of which was let in, where that is another: sessions begin where their key is."""
    elsewhere, named = services.admission.elsewhere, id_text(presented[:MAX_KEY])
    if elsewhere is None or named is None or elsewhere.held(hash_of(presented[:MAX_KEY])) is None:
        return None
    return elsewhere.home_of(named)


def caller_of(session: Session) -> VouchedKey:
    """Return what other homes are told of somebody who is signed in here."""
    who = session.key_id or session.member_id or session.id
    return VouchedKey(who, session.begun_by, session.bound_to, tuple(scope.value for scope in session.scopes))
