"""Verification for receivers: every profile, and every way it can fail."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_profiles import hex_of, row, sent, stamped_by, to
from tidings.client.verify import VerificationError, verify, verify_signature
from tidings.core.webhook import Signature
from tidings.profiles import PROFILES

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "signatures.json").read_text())
SIGNED = [name for name in PROFILES if name != "vski"]
AT = 1_705_678_901


@pytest.mark.parametrize("profile", SIGNED)
def test_what_is_sent_verifies_and_what_is_altered_does_not(profile: str) -> None:
    target = to(profile)
    request = sent(row("UPDATE"), target, AT)
    headers = {name.upper(): value for name, value in request.headers}
    assert verify(request.body, headers, target.secret, profile=profile, now=AT) == json.loads(request.body)
    assert verify(request.body.decode(), headers, [to(profile).secret], profile=profile, now=AT + 299)
    other = "whsec_" + "A" * 44
    for body, secret in ((request.body + b" ", target.secret), (request.body, other)):
        with pytest.raises(VerificationError):
            verify(body, headers, secret, profile=profile, now=AT)
    with pytest.raises(VerificationError, match="missing"):
        verify(request.body, {}, target.secret, profile=profile, now=AT)


@pytest.mark.parametrize("profile", ["standard", "cloudevents", "fluxbase-t"])
@pytest.mark.parametrize("now", [AT + 301, AT - 301])
def test_a_time_out_of_bounds_is_refused(profile: str, now: int) -> None:
    request = sent(row(), to(profile), AT)
    with pytest.raises(VerificationError):
        verify(request.body, dict(request.headers), to(profile).secret, profile=profile, now=now)


@pytest.mark.parametrize("vector", VECTORS, ids=range(len(VECTORS)))
def test_the_vectors_verify(vector: dict[str, Any]) -> None:
    body, key, now = vector["body"].encode(), vector["key"], float(vector["timestamp"])
    stamped = f"t={vector['timestamp']},v1={vector['timestamped_hex']}"
    for signature in (
        vector["hex"],
        "sha256=" + vector["hex"],
        stamped,
        f"t=1, t={vector['timestamp']}, v2=x,, v1=no, {stamped[13:]}",
    ):
        assert verify_signature(body, signature, key, now=now), signature
    for signature in (
        None,
        "",
        vector["hex"].upper(),
        vector["hex"][:-1],
        "t=x,v1=" + vector["timestamped_hex"],
        "v1=" + vector["hex"],
    ):
        assert not verify_signature(body, signature, key, now=now), signature
    assert not verify_signature(body, stamped, key, now=now + 301)
    assert not verify_signature(body, vector["hex"], "another", now=now)


def test_an_asymmetric_signature_verifies_without_the_secret() -> None:
    from base64 import b64encode

    from tests.unit.test_signature_and_profile import KEYS

    request = sent(row(), to("standard", asymmetric=True), AT)
    public = "whpk_" + b64encode(KEYS.webhooks.public_bytes).decode()
    other = "whpk_" + b64encode(KEYS.tokens.public_bytes).decode()
    assert verify(request.body, dict(request.headers), public, now=AT)
    with pytest.raises(VerificationError):
        verify(request.body, dict(request.headers), other, now=AT)


def test_a_timestamped_profile_does_not_take_a_signature_without_a_time() -> None:
    body = b"{}"
    assert verify(body, {"x-fluxbase-signature": stamped_by("k", AT, body)}, "k", profile="fluxbase-t", now=AT) == {}
    with pytest.raises(VerificationError):
        verify(body, {"x-fluxbase-signature": hex_of("k", body)}, "k", profile="fluxbase-t", now=AT)


def test_what_is_no_profile_or_no_secret_is_said() -> None:
    with pytest.raises(ValueError, match="write one of"):
        verify(b"{}", {}, "k", profile="vsky")
    headers = {"webhook-id": "1", "webhook-timestamp": str(AT), "webhook-signature": "v1,x"}
    with pytest.raises(ValueError, match="whsec_"):
        verify(b"{}", headers, "k", now=AT)


def test_a_vski_delivery_is_known_by_its_token() -> None:
    from base64 import b64encode

    from tests.unit.test_signature_and_profile import KEYS
    from tidings.core.jwt import jwk, sign_jwt, webhook_claims

    target = to("vski", jwt_enabled=True)
    request = sent(row(), target, AT)
    headers = dict(request.headers)
    public = "whpk_" + b64encode(KEYS.tokens.public_bytes).decode()
    options: dict[str, Any] = {"profile": "vski", "now": AT, "issuer": KEYS.issuer, "webhook_id": str(target.id)}
    for keys in ({"keys": [jwk(KEYS.tokens)]}, public, [public]):
        assert verify(request.body, headers, keys, **options) == json.loads(request.body)
    assert verify(b"", headers, public, **options) is None

    def signed(**claims: Any) -> dict[str, str]:
        said = webhook_claims(target.id, "default", KEYS.issuer, AT) | claims
        return {"authorization": f"Bearer {sign_jwt(KEYS.tokens, said)}"}

    other = "whpk_" + b64encode(KEYS.webhooks.public_bytes).decode()
    for sent_headers, keys, more, fault in (
        ({}, public, {}, "authorization is missing"),
        ({"Authorization": "Basic x"}, public, {}, "no bearer token"),
        ({"Authorization": "Bearer a.b.c"}, public, {}, "no token that can be read"),
        (headers, other, {}, "not signed"),
        (headers, {"keys": []}, {}, "not signed"),
        (headers, public, {"now": AT + 601}, "time is over"),
        (headers, public, {"now": AT - 301}, "time is over"),
        (signed(exp="late"), public, {}, "time is over"),
        (signed(roles=["user"]), public, {}, "not one of a webhook"),
        (headers, public, {"issuer": "https://other.example"}, "not of https://other.example"),
        (headers, public, {"webhook_id": "another"}, "not of webhook another"),
    ):
        with pytest.raises(VerificationError, match=fault):
            verify(request.body, sent_headers, keys, **(options | more))


@pytest.mark.parametrize("form", ["hex", "sha256=hex", "base64", "t=,v1="])
@pytest.mark.parametrize("profile", ["standard", "vski"])
def test_a_signature_of_the_webhooks_own_verifies(profile: str, form: str) -> None:
    target = to(profile, signature=Signature("X-Hub-Signature", form))
    request = sent(row(), target, AT)
    own = {"header": "X-Hub-Signature", "format": form}
    options: dict[str, Any] = {"profile": profile, "signature": own, "now": AT}
    headers = dict(request.headers)
    assert verify(request.body, headers, ["another", target.secret], **options) == json.loads(request.body)
    for body, secret in ((request.body + b" ", target.secret), (request.body, "another")):
        with pytest.raises(VerificationError, match="x-hub-signature is not"):
            verify(body, headers, secret, **options)
    with pytest.raises(VerificationError, match="x-hub-signature is missing"):
        verify(request.body, {}, target.secret, **options)


def test_what_is_no_format_is_said() -> None:
    with pytest.raises(ValueError, match="write one of hex"):
        verify(b"{}", {}, "k", signature={"header": "X-Own", "format": "md5"})


def test_what_is_no_json_is_said() -> None:
    with pytest.raises(VerificationError, match="not JSON"):
        verify(b"{", {"x-fluxbase-signature": hex_of("k", b"{")}, "k", profile="fluxbase", now=AT)
