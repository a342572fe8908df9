"""Code that verifies a webhook's deliveries, to be copied: for what it sends, with nothing but each language's own library.

Three ways of signing are verified: `standard` (Standard Webhooks), `bare` (a header with nothing but a signature of the body)
and `timed` (`t=…,v1=…`). The texts stand in `portal/receivers`, a file for each language, in parts that begin with `===`. What
must stay in step: `profiles.signing`, `core.signature`.
"""

from functools import cache
from importlib.resources import files

import msgspec

from tidings.core.webhook import Subscription
from tidings.portal.views.documents import CodeSample, CodeTab
from tidings.profiles import PROFILES, SecretForm

LANGUAGES = {"node": "Node", "python": "Python", "go": "Go", "php": "PHP", "ruby": "Ruby", "java": "Java"}


class Scheme(msgspec.Struct, frozen=True):
    """How deliveries are signed. `encoding`: `hex` or `base64`, of `bare`."""

    kind: str
    header: str = ""
    prefix: str = ""
    encoding: str = "hex"


_OF_PROFILE = {
    "vivreal": Scheme("bare", "x-vivreal-signature"),
    "vivreal-content": Scheme("bare", "x-vivreal-signature", "sha256="),
    "fluxbase": Scheme("bare", "x-fluxbase-signature"),
    "fluxbase-t": Scheme("timed", "x-fluxbase-signature"),
    "vski": Scheme("none"),
}
_OF_FORMAT = {"hex": ("", "hex"), "sha256=hex": ("sha256=", "hex"), "base64": ("", "base64")}


def scheme_of(webhook: Subscription) -> Scheme:
    """Return how a webhook's deliveries are signed."""
    if (asked := webhook.signature) is not None:
        if asked.format not in _OF_FORMAT:
            return Scheme("timed", asked.header.lower())
        return Scheme("bare", asked.header.lower(), *_OF_FORMAT[asked.format])
    profile = PROFILES.get(webhook.profile)
    if profile is not None and profile.secret_form is SecretForm.WHSEC:
        return Scheme("standard")
    return _OF_PROFILE.get(webhook.profile, Scheme("none"))


def receiver_code(webhook: Subscription) -> CodeSample | None:
    """Return code that verifies a webhook's deliveries, in several languages; None when nothing is signed."""
    scheme = scheme_of(webhook)
    if scheme.kind == "none":
        return None
    tabs = tuple(CodeTab(label, _filled(_text(name, scheme.kind), scheme)) for name, label in LANGUAGES.items())
    return CodeSample("receiver", tabs)


def begins_of(webhook: Subscription) -> str:
    """Return how a request begins that is not signed, and what tells who sent it."""
    body = (
        'Each request is a POST of JSON that begins {"action": "create", "collection": "posts", "record": {…}'
        if webhook.profile == "vski" and webhook.body_template is None and webhook.method == "POST"
        else f"Each request is a {webhook.method} with the body that its preview shows"
    )
    token = (
        "the token in its Authorization header tells who sent it."
        if webhook.jwt_enabled
        else "so that it can tell who sent it, give it a token: Edit, Signature, Send a token."
    )
    return f"{body}. It is not signed; {token}"


@cache
def _text(language: str, kind: str) -> str:
    """Return what a language's file has for a way of signing: the head, the way, the end."""
    whole = (files("tidings.portal") / "receivers" / f"{language}.txt").read_text()
    parts = dict(part.split("\n", 1) for part in f"\n{whole}".split("\n=== ")[1:])
    return "\n\n".join(parts[name] for name in ("head", kind, "end") if name in parts)


def _filled(text: str, scheme: Scheme) -> str:
    if not scheme.prefix:
        text = text.replace('"@prefix" + ', "").replace("'@prefix' . ", "")
    filled = (
        text.replace("@encoding", f"encoding/{scheme.encoding}")
        .replace("@header", scheme.header)
        .replace("@prefix", scheme.prefix)
    )
    for name in LANGUAGES:
        filled = filled.replace(f"@{name}", _ENCODERS[name][scheme.encoding])
    server = scheme.header.upper().replace("-", "_")
    return filled.replace("@server", f"HTTP_{server}").strip("\n") + "\n"


_ENCODERS = {
    "node": {"hex": '.digest("hex")', "base64": '.digest("base64")'},
    "python": {"hex": "digest.hex()", "base64": "base64.b64encode(digest).decode()"},
    "go": {"hex": "hex.EncodeToString", "base64": "base64.StdEncoding.EncodeToString"},
    "php": {"hex": "hash_hmac('sha256', $body, $secret)", "base64": "base64_encode(hash_hmac('sha256', $body, $secret, true))"},
    "ruby": {"hex": "hexdigest", "base64": "base64digest"},
    "java": {"hex": "HexFormat.of().formatHex", "base64": "Base64.getEncoder().encodeToString"},
}
