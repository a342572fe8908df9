"""What may be called, as a page shows it."""

from collections.abc import Mapping, Sequence

import msgspec

from tidings.core.narrowing import NarrowingForm
from tidings.operations.egress import Judgement, Rules
from tidings.portal.views.lists import Field
from tidings.portal.views.sections import SETTINGS, Section, sections
from tidings.portal.views.small import Notice
from tidings.portal.views.text import Shown, visible

PATH = "/settings/egress"
MAX_LIST = 20_000  # characters of a list that are read
_LISTS = {
    "networks": ("Only these networks", "all that the installation may call", "203.0.113.0/24"),
    "denied_networks": ("Not these networks", "none", "198.51.100.0/24"),
    "ports": ("Only these ports", "all that the installation may call", "443, 8000-8999"),
    "denied_ports": ("Not these ports", "none", "8080"),
}


class Rule(msgspec.Struct, frozen=True):
    """A line of what the settings allow. `setting`: where it is changed."""

    label: str
    said: str
    setting: str


class Judged(msgspec.Struct, frozen=True):
    """What was found about an address of a name."""

    address: str
    said: str


class EgressView(msgspec.Struct, frozen=True):
    """What may be called: the settings, a URL that was asked about, and what the shown group may not."""

    sections: tuple[Section, ...]
    rules: tuple[Rule, ...]
    url: Field
    verdict: Notice | None
    told: Shown
    judged: tuple[Judged, ...]
    group: Shown
    fields: tuple[Field, ...]
    https_only: bool


def egress_view(
    rules: Rules,
    group_id: str,
    narrowing: NarrowingForm,
    *,
    url: str = "",
    judgement: Judgement | None = None,
    written: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
) -> EgressView:
    """Return the page.

    Args:
        judgement: Of the URL that was asked about.
        written: The narrowing as it was typed, when it cannot be one.
        errors: By field.
    """
    errors = errors or {}
    asked = Field(
        "url", "A URL", value=url, placeholder="https://hooks.example.com/in", error=errors.get("url", ""), is_required=True
    )
    verdict, told = _verdict(judgement)
    judged = tuple(Judged(one.address, one.cause or "may be called") for one in judgement.addresses) if judgement else ()
    values = {name: ", ".join(getattr(narrowing, name)) for name in _LISTS} if written is None else written
    fields = tuple(
        Field(
            name,
            label,
            value=values.get(name, ""),
            placeholder=example,
            when_empty=empty,
            error=errors.get(name, ""),
            max_length=MAX_LIST,
        )
        for name, (label, empty, example) in _LISTS.items()
    )
    is_https = narrowing.https_only if written is None else bool(written.get("https_only"))
    here = sections(SETTINGS, PATH)
    return EgressView(here, _rules(rules), asked, verdict, visible(told), judged, visible(group_id), fields, is_https)


def _verdict(judgement: Judgement | None) -> tuple[Notice | None, str]:
    if judgement is None:
        return None, ""
    if not judgement.is_allowed:
        return Notice("bad", f"It is not called. {judgement.cause}"), judgement.sentence or ""
    found = "" if judgement.addresses else " Its name is judged when it is called: it is not found, or the proxy looks it up."
    return Notice("good", f"It may be called.{found}"), ""


def _rules(rules: Rules) -> tuple[Rule, ...]:
    hosts = "the networks above" if rules.http_hosts is None else ", ".join(rules.http_hosts) or "no host"
    return (
        Rule("Called beside public addresses", _list(rules.allowed_networks), "TIDINGS_ALLOW_PRIVATE_NETWORKS"),
        Rule("Never called", _list(rules.denied_networks), "TIDINGS_DENY_NETWORKS"),
        Rule("Ports", rules.ports or "all but those of other protocols", "TIDINGS_ALLOW_PORTS"),
        Rule("Ports that are not called", rules.denied_ports or "none", "TIDINGS_DENY_PORTS"),
        Rule("Plain http:// goes to", "everything" if rules.allow_http else hosts, "TIDINGS_HTTP_HOSTS, TIDINGS_ALLOW_HTTP"),
        Rule("Proxy", f"{rules.proxy}; it resolves the names" if rules.proxy else "none", "TIDINGS_PROXY"),
    )


def _list(entries: Sequence[str]) -> str:
    return ", ".join(entries) or "none"
