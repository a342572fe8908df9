"""The form of an integration, and what to enter where in the system that is to send its notices here."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import UNSET

from tidings.core.errors import ConflictError, InvalidInputError, TidingsError
from tidings.core.notice import PLATFORMS
from tidings.core.webhook import SIGNATURE_FORMATS
from tidings.operations.sources.integrations import IntegrationChange
from tidings.portal.views.lists import Field, Option
from tidings.portal.views.small import Secret
from tidings.portal.views.text import Shown, visible
from tidings.store.integrations import Integration, Settings

MAX_TEXT = 20_000  # characters of a field that are read
PLATFORM_LABELS = {
    "stripe": "Stripe",
    "github": "GitHub",
    "standard": "Standard Webhooks",
    "hmac": "any other that signs with HMAC",
}


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """The form of an integration as it was typed."""

    name: str = ""
    platform: str = "stripe"
    secret: str = ""
    header: str = Settings().header
    format: str = Settings().format
    id_header: str = ""
    deployed: str = ""


class Step(msgspec.Struct, frozen=True):
    """What to do in the other system. `copied`: what is entered there; empty: nothing."""

    said: str
    copied: str = ""
    hint: str = ""


class IntegrationFormView(msgspec.Struct, frozen=True):
    """The form of an integration. `shown`: of one that is there, what cannot be changed."""

    path: str
    cancel: str
    is_new: bool
    fields: dict[str, Field]
    is_hmac: bool
    error: str


class MadeView(msgspec.Struct, frozen=True):
    """An integration that was made just now. `secret`: shown this once; None: the other system made it."""

    name: Shown
    path: str
    platform: str
    secret: Secret | None
    steps: tuple[Step, ...]


def entered(form: Mapping[str, str]) -> Entered:
    """Return what was typed; a field that is missing is as for a new integration."""
    given = {name: form[name][:MAX_TEXT].replace("\r\n", "\n") for name in Entered.__struct_fields__ if name in form}
    return Entered(**given)


def entered_of(found: Integration) -> Entered:
    """Return the form that says what an integration is. Its secret is not in it."""
    own = found.settings
    return Entered(
        name=found.name, platform=found.platform, header=own.header, format=own.format, id_header=own.id_header or "",
        deployed="\n".join(own.deployed_types),
    )  # fmt: skip


def change_of(form: Entered, *, is_new: bool) -> IntegrationChange:
    """Return what the form asks for."""
    settings: dict[str, Any] = {}
    if form.platform == "hmac":
        settings = {"header": form.header.strip(), "format": form.format}
        if form.id_header.strip():
            settings["id_header"] = form.id_header.strip()
    if types := [one for line in form.deployed.split("\n") if (one := line.strip())]:
        settings["deployed_types"] = types
    secret = form.secret.strip() or UNSET
    if not is_new:
        return IntegrationChange(secret=secret, settings=settings)
    return IntegrationChange(name=form.name.strip(), platform=form.platform, secret=secret, settings=settings)


def form_view(form: Entered, path: str, cancel: str, *, is_new: bool, error: TidingsError | None = None) -> IntegrationFormView:
    """Return the form as it was typed, with what is wrong with it at its field."""
    where = _field_of(error)
    fields = {
        name: _field(name, form, error.message if error and where == name else "", is_new=is_new)
        for name in Entered.__struct_fields__
    }
    return IntegrationFormView(
        path, cancel, is_new, fields, form.platform == "hmac", error.message if error and not where else ""
    )


def _field_of(error: TidingsError | None) -> str:
    if isinstance(error, ConflictError):
        return "name"
    if not isinstance(error, InvalidInputError):
        return ""
    root, _, member = error.field.partition(".")
    field = {"deployed_types": "deployed"}.get(member, member) if root == "settings" else root
    return field if field in Entered.__struct_fields__ else ""


_TEXTS = {  # label, hint
    "name": ("Name", "Letters, digits, _ and -. It is the end of the address that notices are sent to."),
    "platform": ("Who sends", ""),
    "secret": ("Secret", ""),
    "header": ("Header of the signature", ""),
    "format": ("Format of the signature", ""),
    "id_header": ("Header of the notice's id", "Empty: the id of its body, or its digest."),
    "deployed": ("Types that mean a deployed site", "One a line; such a notice becomes site.deployed."),
}


def _field(name: str, form: Entered, error: str, *, is_new: bool) -> Field:
    label, hint = _TEXTS[name]
    if name == "secret":
        hint = (
            "Stripe makes its own, which begins with whsec_: copy it here, since its notices are verified with it. "
            "For the others leave it empty, and one is made here."
            if is_new
            else "Leave it empty to keep the one there is."
        )
    choices: dict[str, str] = {}
    if name == "platform":
        choices = {one: PLATFORM_LABELS.get(one, one) for one in PLATFORMS}
    elif name == "format":
        choices = {one: one for one in SIGNATURE_FORMATS}
    options = tuple(Option(one, said, one == getattr(form, name)) for one, said in choices.items())
    kind = "choice" if options else "area" if name == "deployed" else "text"
    return Field(
        name, label, kind, value="" if name == "secret" and not error else getattr(form, name), hint=hint, error=error,
        options=options, is_required=name in {"name", "header"}, is_code=name != "platform", max_length=MAX_TEXT,
        placeholder={"name": "shop"}.get(name, ""), when_empty="needed for Stripe" if name == "secret" and is_new else "",
    )  # fmt: skip


# What to do in the other system --------------------------------------------------------------------------------------------


def address_of(name: str, base_url: str) -> str:
    """Return where an integration's notices are sent to.

    Args:
        base_url: Where this installation is reached.
    """
    return f"{base_url.rstrip('/')}/in/{quote(name, safe='')}"


def made_view(made: Integration, base_url: str, path: str, *, is_made_here: bool) -> MadeView:
    """Return an integration that was made just now, with its secret and what to do with both.

    Args:
        is_made_here: The secret was made here, and is shown this once.
    """
    secret = Secret("secret", made.secret, warning="It is shown this once.") if is_made_here else None
    return MadeView(visible(made.name), path, PLATFORM_LABELS.get(made.platform, made.platform), secret, guide(made, base_url))


def guide(one: Integration, base_url: str) -> tuple[Step, ...]:
    """Return what to enter where in the other system."""
    address = address_of(one.name, base_url)
    if one.platform == "stripe":
        return (
            Step("In Stripe's dashboard open Developers, Webhooks, and add an endpoint with this URL.", address),
            Step("Choose the events that shall come here, and save."),
            Step("Reveal the endpoint's signing secret, and see that it is the one given here.", hint="Change it with Edit."),
        )
    if one.platform == "github":
        return (
            Step("In the repository, or the organisation, open Settings, Webhooks, Add webhook. Payload URL:", address),
            Step("Content type: application/json."),
            Step("Secret: the one that was shown when this integration was made.", hint="Lost? Give it a new one with Edit."),
            Step("Choose the events, and save. GitHub sends a ping, which is listed here."),
        )
    how = "signs as Standard Webhooks says" if one.platform == "standard" else _hmac(one.settings)
    return (
        Step("Have the other system send its notices, as POST with a JSON body, to this URL.", address),
        Step(f"It {how}, with the secret that was shown when this integration was made."),
    )


def _hmac(own: Settings) -> str:
    header, form = visible(own.header, limit=80).plain, visible(own.format, limit=40).plain
    return f"signs the body with HMAC-SHA256 and sends the signature in {header} as {form}"
