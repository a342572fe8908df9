# Made of `async_administration.py` by `python tools/make_sync_client.py`.
"""What administers an installation: `groups`, `keys`, `audit`, `egress` and others, for the synchronous client."""

from collections.abc import Iterator
from typing import Any, Unpack

from tidings.client.egress_models import EgressRules, Judgement, Narrowing
from tidings.client.examined_models import Examined
from tidings.client.exchange import WALKED, by_cursor, by_last, by_offset, by_place, part
from tidings.client.filters import (
    AfterPaged,
    AuditExported,
    AuditFilters,
    AuditStretch,
    FaultsPaged,
    Id,
    KeysPaged,
    Paged,
    SetAsidePaged,
)
from tidings.client.history_models import Page
from tidings.client.inputs import ApiKeyInput, ApiKeyRotation, KeyRotation, LimitsInput, NarrowingInput, PortalLinkInput
from tidings.client.limit_models import GroupLimits, Limits
from tidings.client.source_models import (
    ApiKey,
    AuditEntry,
    AuditVerification,
    Fault,
    Group,
    MadeApiKey,
    MadePortalLink,
    PortalLink,
    SealedEntry,
    SetAsideEvent,
    SigningKey,
)
from tidings.client.sync_http import Http

# The classes below have a method called `list`, which hides the type of that name.
_Groups = list[Group]
_ApiKeys = list[ApiKey]
_PortalLinks = list[PortalLink]
_SigningKeys = list[SigningKey]
_SetAside = list[SetAsideEvent]
_Faults = list[Fault]
_Entries = list[AuditEntry]
_Sealed = list[SealedEntry]


class Groups:
    """`client.groups`: customers or tenants."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def create(self, id: str) -> Group:
        """Create a group."""
        return self._http.request("POST", "/api/v1/groups", Group, body={"id": id})

    def list(self, **page: Unpack[AfterPaged]) -> _Groups:
        """List groups, in order of their ids."""
        return self._http.request("GET", "/api/v1/groups", _Groups, query=page)

    def walk(self, **page: Unpack[AfterPaged]) -> Iterator[Group]:
        """Read every group, in order of their ids."""
        return self._http.walk("/api/v1/groups", _Groups, {"limit": WALKED, **page}, by_last("id"))

    def get(self, group_id: str) -> Group:
        """Read a group."""
        return self._http.request("GET", f"/api/v1/groups/{part(group_id)}", Group)

    def delete(self, group_id: str, *, confirm: str, everything: bool = False) -> None:
        """Begin to delete a group, which goes in the background.

        Args:
            confirm: Its id again, since nothing brings it back.
            everything: With all it has; otherwise it is refused while it has something.
        """
        query = {"confirm": confirm, "everything": everything}
        self._http.request("DELETE", f"/api/v1/groups/{part(group_id)}", object, query=query)


class GroupsLimits:
    """`client.limits`: what groups may have and do, and what is used of it."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def get(self, group_id: str) -> GroupLimits:
        """Read the limits of a group, and what is used of them."""
        return self._http.request("GET", f"/api/v1/groups/{part(group_id)}/limits", GroupLimits)

    def set(self, group_id: str, **limits: Unpack[LimitsInput]) -> GroupLimits:
        """Change limits of a group; those that are left out stay, and None takes one away."""
        return self._http.request("PATCH", f"/api/v1/groups/{part(group_id)}/limits", GroupLimits, body=limits)

    def reset(self, group_id: str) -> GroupLimits:
        """Take away a group's own limits, so that those of all groups hold for it."""
        return self._http.request("DELETE", f"/api/v1/groups/{part(group_id)}/limits", GroupLimits)

    def get_defaults(self) -> Limits:
        """Read the limits of all groups that have none of their own."""
        return self._http.request("GET", "/api/v1/limits", Limits)

    def set_defaults(self, **limits: Unpack[LimitsInput]) -> Limits:
        """Change the limits of all groups that have none of their own; those that are left out stay."""
        return self._http.request("PATCH", "/api/v1/limits", Limits, body=limits)


class Keys:
    """`client.keys`: what opens the API, each with what it may do."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def create(self, **said: Unpack[ApiKeyInput]) -> MadeApiKey:
        """Make a key. The answer holds it, this once."""
        return self._http.request("POST", "/api/v1/keys", MadeApiKey, body=said)

    def list(self, **page: Unpack[KeysPaged]) -> _ApiKeys:
        """List keys, newest first, those that were revoked or expired lately among them."""
        return self._http.request("GET", "/api/v1/keys", _ApiKeys, query=page)

    def walk(self, **page: Unpack[KeysPaged]) -> Iterator[ApiKey]:
        """Read every key, newest first."""
        return self._http.walk("/api/v1/keys", _ApiKeys, {"limit": WALKED, **page}, by_offset)

    def get(self, key_id: Id) -> ApiKey:
        """Read a key, with when it was last used."""
        return self._http.request("GET", f"/api/v1/keys/{part(key_id)}", ApiKey)

    def get_current(self) -> ApiKey:
        """Read the key that this client has: what it may do, and for how long."""
        return self._http.request("GET", "/api/v1/keys/current", ApiKey)

    def update(self, key_id: Id, *, name: str) -> ApiKey:
        """Call a key otherwise. What is on record keeps the name of then."""
        return self._http.request("PATCH", f"/api/v1/keys/{part(key_id)}", ApiKey, body={"name": name})

    def rotate(self, key_id: Id, **rotation: Unpack[ApiKeyRotation]) -> MadeApiKey:
        """Give a key another secret. The present one is good beside it until the overlap ends."""
        return self._http.request("POST", f"/api/v1/keys/{part(key_id)}/rotate", MadeApiKey, body=rotation)

    def revoke(self, key_id: Id) -> None:
        """End a key. Within a second it opens nothing any more."""
        self._http.request("DELETE", f"/api/v1/keys/{part(key_id)}", object)


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
    """`client.set_aside`: what could be neither routed nor delivered, and settings that cannot be read; of all groups."""

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
        """Put it back where it was taken from. When its reason still holds, it is set aside again, under another number."""
        self._http.request("POST", f"/api/v1/set-aside/{part(number)}/route", object)

    def delete(self, number: int) -> None:
        """Discard it for good: it is told to nobody."""
        self._http.request("DELETE", f"/api/v1/set-aside/{part(number)}", object)

    def list_settings(self, **page: Unpack[FaultsPaged]) -> _Faults:
        """List settings that cannot be read, kind by kind. They come back by themselves once they can."""
        return self._http.request("GET", "/api/v1/set-aside/settings", _Faults, query=page)

    def retry_setting(self, kind: str, setting_id: str) -> None:
        """Read a setting again. What waited for it goes on; a refusal says why it still cannot be read."""
        self._http.request("POST", f"/api/v1/set-aside/settings/{part(kind)}/{part(setting_id)}/retry", object)

    def delete_setting(self, kind: str, setting_id: str) -> None:
        """Remove a webhook with what waits for it, a job, an integration, or the settings of a table."""
        self._http.request("DELETE", f"/api/v1/set-aside/settings/{part(kind)}/{part(setting_id)}", object)


class Audit:
    """`client.audit`: who did what."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(self, **filters: Unpack[AuditFilters]) -> _Entries:
        """List who did what, newest first, of all groups or of one."""
        return self._http.request("GET", "/api/v1/audit", _Entries, query=filters)

    def walk(self, **filters: Unpack[AuditFilters]) -> Iterator[AuditEntry]:
        """Read all that was done, newest first."""
        return self._http.walk("/api/v1/audit", _Entries, filters, by_cursor)

    def export(self, **asked: Unpack[AuditExported]) -> Page[SealedEntry]:
        """Read a page of sealed entries, in the order of the chain. Go on with `after`: the page's `next`; None: all is read.
        A page may be empty and go on nevertheless.
        """
        return self._http.page("/api/v1/audit/export", _Sealed, asked)

    def walk_export(self, **asked: Unpack[AuditExported]) -> Iterator[SealedEntry]:
        """Read all sealed entries in the order of the chain, a page at a time: each once, and none before another later."""
        return self._http.walk("/api/v1/audit/export", _Sealed, asked, by_place)

    def verify(self, **stretch: Unpack[AuditStretch]) -> AuditVerification:
        """Verify a stretch of the audit: nothing of it was changed, removed, inserted or reordered. Go on with `next`."""
        return self._http.request("GET", "/api/v1/audit/verification", AuditVerification, query=stretch)


class Installation:
    """`client.diagnosis`: what is wrong with the installation."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def get(self) -> Examined:
        """Read what is wrong, each with its remedy. Hosts that webhooks name are connected to; nothing is sent to them."""
        return self._http.request("GET", "/api/v1/diagnosis", Examined)


class Egress:
    """`client.egress`: what the installation may call, and what groups may not call although it may."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def get(self) -> EgressRules:
        """Read what the settings allow to be called."""
        return self._http.request("GET", "/api/v1/egress", EgressRules)

    def judge(self, url: str) -> Judgement:
        """Tell whether a URL of the group's may be called. Its name is looked up, and nobody is called."""
        return self._http.request("POST", "/api/v1/egress/judge", Judgement, body={"url": url})

    def get_narrowing(self, group_id: str) -> Narrowing:
        """Read what a group may not call although the installation may."""
        return self._http.request("GET", f"/api/v1/groups/{part(group_id)}/egress", Narrowing)

    def narrow(self, group_id: str, **said: Unpack[NarrowingInput]) -> Narrowing:
        """Narrow what a group may call. It widens nothing; an empty one narrows nothing."""
        return self._http.request("PUT", f"/api/v1/groups/{part(group_id)}/egress", Narrowing, body=said)
