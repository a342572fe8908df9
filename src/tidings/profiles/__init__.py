"""How an event looks on one receiver's wire. Pure: `render(rendering) -> Request`."""

from typing import Final

from tidings.core.jwt import sign_jwt, webhook_claims
from tidings.profiles import cloudevents, fluxbase, standard, template, vivreal, vski
from tidings.profiles.profile import Profile, SecretForm
from tidings.profiles.request import Headers, Rendering, Request
from tidings.profiles.signing import asked_for

PROFILES: Final[dict[str, Profile]] = {
    "standard": standard.PROFILE,
    "cloudevents": cloudevents.BINARY,
    "cloudevents-structured": cloudevents.STRUCTURED,
    "vivreal": vivreal.PROFILE,
    "vivreal-content": vivreal.CONTENT,
    "fluxbase": fluxbase.PROFILE,
    "fluxbase-t": fluxbase.WITH_TIME,
    "vski": vski.PROFILE,
}


def render(rendering: Rendering) -> Request:
    """Return the request of one attempt: the profile's, with what its webhook has instead.

    Raises:
        RenderError: The record cannot be written as JSON.
    """
    webhook = rendering.webhook
    profile = PROFILES[webhook.profile]
    if webhook.body_template is None:
        body = profile.body(rendering)
    else:
        body = template.fill(webhook.body_template, rendering, profile.vocabulary.name_of(rendering.event))
    headers: Headers = (
        profile.sign(rendering, body) if webhook.signature is None else asked_for(webhook.signature, rendering, body)
    )
    if webhook.jwt_enabled:
        claims = webhook_claims(webhook.id, webhook.group_id, rendering.keys.issuer, rendering.timestamp)
        headers.append(("Authorization", f"Bearer {sign_jwt(rendering.keys.tokens, claims)}"))
    headers += webhook.headers.items()
    if not any(name.lower() == "content-type" for name in webhook.headers):
        headers.append(("content-type", profile.content_type))
    return Request(webhook.method, webhook.url, headers, body)


__all__ = ["PROFILES", "Profile", "Rendering", "Request", "SecretForm", "render"]
