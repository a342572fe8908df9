"""Signing keys are rotated: new ones are published before they sign, old ones for a while after."""

import httpx
import pytest

from tests.support.engine import Engine, engine_of, eventually, routed
from tests.support.portal import visiting
from tests.support.receiver import Receiver
from tests.support.serving import ApiServer
from tidings.config import Config
from tidings.core.attempts import Attempts
from tidings.core.errors import ConflictError, InvalidInputError
from tidings.operations import signing_keys
from tidings.store.signing_keys import load_key_ring, load_signer

KEY = {"Authorization": "Bearer test"}
BEGIN = "update tidings.signing_keys set signs_from = now() where signs_from > now()"


async def published(client: httpx.AsyncClient) -> set[str]:
    """Return the ids of the keys that anybody can read."""
    return {key["kid"] for key in (await client.get("/.well-known/jwks.json")).json()["keys"]}


async def signed_by(engine: Engine, receiver: Receiver, count: int) -> str:
    """Have an event delivered, and return the ids of what signed it according to history."""
    await engine.publish("order.paid")
    await routed(engine)
    await eventually(lambda: engine.value("select count(*) = $1 from tidings.deliveries where signer_id is not null", count))
    signer = await engine.value("select signer_id from tidings.deliveries order by started_at desc limit 1")
    async with engine.services.wide.connection() as connection:
        return (await load_signer(connection, engine.services.box, signer)).webhooks.id


async def test_new_keys_are_published_before_they_sign_and_the_old_ones_after(
    config: Config, api_server: ApiServer, receiver: Receiver
) -> None:
    async with engine_of(config, running=True) as engine, api_server.serving(engine.services) as url:
        services = engine.services
        await engine.add_webhook(receiver.url(), "order.paid", asymmetric=True)
        async with httpx.AsyncClient(base_url=url, headers=KEY) as client:
            old = {one.id for one in await signing_keys.list_keys(services)}
            first = await signed_by(engine, receiver, 1)
            assert first in old
            answer = await client.post("/api/v1/signing-keys/rotate", json={"overlap_seconds": 3600})
            assert answer.status_code == 200, answer.text
            states = {one["id"]: one["state"] for one in answer.json()}
            new = set(states) - old
            assert len(new) == 2
            assert {states[one] for one in new} == {"next"}
            assert {states[one] for one in old} == {"signing"}
            assert await published(client) == old | new, "receivers have it before it signs"
            assert await signed_by(engine, receiver, 2) == first
            assert (await client.post("/api/v1/signing-keys/rotate", json={})).status_code == 409

            await engine.sql(BEGIN)
            await engine.worker.key_keeper.run_once()
            assert await signed_by(engine, receiver, 3) in new
            services.keys.read_at = None
            assert {one.state for one in await signing_keys.list_keys(services)} == {"signing", "before"}
            assert await published(client) == old | new, "what is under way still verifies"
            await engine.sql(
                "update tidings.signing_keys set published_until = now(), signs_from = now() - interval '1 d'"
                " where published_until is not null"
            )
            services.keys.read_at = None
            assert await published(client) == new
            again = await load_key_ring(services.wide, services.box, issuer=services.keys.current.issuer)
            assert again.current.webhooks.id in new


async def test_a_leaked_key_is_published_no_longer_than_it_signs(config: Config) -> None:
    async with engine_of(config) as engine:
        old = {one.id for one in await signing_keys.list_keys(engine.services)}
        with pytest.raises(InvalidInputError, match="30 days"):
            await signing_keys.rotate(engine.services, overlap_seconds=-1)
        found = await signing_keys.rotate(engine.services, overlap_seconds=0, is_leaked=True)
        assert not {one.id for one in found} & old
        assert {one.state for one in found} == {"signing"}


async def test_keys_are_rotated_in_settings(config: Config, api_server: ApiServer) -> None:
    async with engine_of(config) as engine, api_server.serving(engine.services) as url, visiting(engine, url) as visitor:
        assert api_server._framework
        api_server._framework.state["sign_in_attempts"] = Attempts()
        await visitor.sign_in()
        assert "Rotate the keys" in (await visitor.get("/settings/keys")).text
        assert "overlap_seconds is -1" in (await visitor.send("/settings/keys/rotate", {"overlap": "long"}, 422)).text
        await visitor.send("/settings/keys/rotate", {"overlap": "86400"})
        page = (await visitor.get("/settings/keys")).text
        assert "wait for their time to sign" in page
        assert "Rotate the keys" not in page
        assert page.count("published until") == 2
        assert "The signing keys were rotated" in (await visitor.get("/settings/audit")).text
        await visitor.send("/settings/keys/rotate", {"overlap": "86400"}, 409)
        with pytest.raises(ConflictError):
            await signing_keys.rotate(engine.services)
