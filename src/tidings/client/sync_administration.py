# Made of `async_administration.py` by `python tools/make_sync_client.py`.
"""`client.groups`, `portal_links`, `signing_keys` and `set_aside`, for the synchronous client."""

from collections.abc import Iterator
from typing import Any, Unpack

from tidings.client.exchange import WALKED, by_last, by_offset, part
from tidings.client.inputs import Id, KeyRotation, Paged, PortalLinkInput, SetAsidePaged
from tidings.client.source_models import Group, MadePortalLink, PortalLink, SetAsideEvent, SigningKey
from tidings.client.sync_http import Http

# The classes below have a method called `list`, which hides the type of that name.
_Groups = list[Group]
_PortalLinks = list[PortalLink]
_SigningKeys = list[SigningKey]
_SetAside = list[SetAsideEvent]


class Groups:
    """`client.groups`: customers or tenants."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def create(self, id: str) -> Group:
        """Create a group."""
        return self._http.request("POST", "/api/v1/groups", Group, body={"id": id})

    def list(self, **page: Unpack[Paged]) -> _Groups:
        """List groups."""
        return self._http.request("GET", "/api/v1/groups", _Groups, query=page)

    def walk(self, **page: Unpack[Paged]) -> Iterator[Group]:
        """Read every group."""
        return self._http.walk("/api/v1/groups", _Groups, {"limit": WALKED, **page}, by_offset)

    def get(self, group_id: str) -> Group:
        """Read a group."""
        return self._http.request("GET", f"/api/v1/groups/{part(group_id)}", Group)


class PortalLinks:
    """`client.portal_links`: what shows customers their own webhooks in the portal."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def create(self, group_id: str, **said: Unpack[PortalLinkInput]) -> MadePortalLink:
        """Make a link that shows a customer this group's webhooks, deliveries and tests in the portal, and nothing else."""
        return self._http.request("POST", f"/api/v1/groups/{part(group_id)}/portal-link", MadePortalLink, body=said)

    def list(self, **page: Unpack[Paged]) -> _PortalLinks:
        """List the group's links whose time is not over, newest first."""
        return self._http.request("GET", "/api/v1/portal-links", _PortalLinks, query=page)

    def walk(self, **page: Unpack[Paged]) -> Iterator[PortalLink]:
        """Read every link of the group whose time is not over, newest first."""
        return self._http.walk("/api/v1/portal-links", _PortalLinks, {"limit": WALKED, **page}, by_offset)

    def delete(self, link_id: Id) -> None:
        """End a link before its time, and what was opened with it."""
        self._http.request("DELETE", f"/api/v1/portal-links/{part(link_id)}", object)


class SigningKeys:
    """`client.signing_keys`: what signs `v1a` signatures and tokens."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(self) -> _SigningKeys:
        """List the public keys, the last to sign first."""
        return self._http.request("GET", "/api/v1/signing-keys", _SigningKeys)

    def rotate(self, **rotation: Unpack[KeyRotation]) -> _SigningKeys:
        """Make new keys, which sign when receivers have had time to read them."""
        return self._http.request("POST", "/api/v1/signing-keys/rotate", _SigningKeys, body=rotation)

    def get_jwks(self) -> dict[str, Any]:
        """Read the keys that tokens verify by, as a JSON Web Key Set: what `verify` takes for profile `vski`."""
        return self._http.request("GET", "/.well-known/jwks.json", dict[str, Any])


class SetAside:
    """`client.set_aside`: events that could not be routed, of all groups."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(self, **page: Unpack[SetAsidePaged]) -> _SetAside:
        """List what was set aside, newest first."""
        return self._http.request("GET", "/api/v1/set-aside", _SetAside, query=page)

    def walk(self, **page: Unpack[SetAsidePaged]) -> Iterator[SetAsideEvent]:
        """Read everything that was set aside, newest first."""
        return self._http.walk("/api/v1/set-aside", _SetAside, {"limit": WALKED, **page}, by_last("number", "before"))

    def get(self, number: int) -> SetAsideEvent:
        """Read what was set aside under a number, with the row as it was."""
        return self._http.request("GET", f"/api/v1/set-aside/{part(number)}", SetAsideEvent)

    def route(self, number: int) -> None:
        """Route it again. When its reason still holds, it is set aside again, under another number."""
        self._http.request("POST", f"/api/v1/set-aside/{part(number)}/route", object)

    def delete(self, number: int) -> None:
        """Discard it for good: its event is told to nobody."""
        self._http.request("DELETE", f"/api/v1/set-aside/{part(number)}", object)
