"""Credentials of NATS as `nsc` makes them: an operator, an account with JetStream, users with permissions (JWT, signed by nkeys)."""

import base64
import json
from collections.abc import Sequence
from hashlib import sha512
from os import urandom
from pathlib import Path
from typing import Any

import nkeys


def _unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    """A pair of keys, of an operator, an account or a user."""

    def __init__(self, prefix: int) -> None:
        self.seed = nkeys.encode_seed(urandom(32), prefix)
        self._pair = nkeys.from_seed(bytearray(self.seed))
        self.public = self._pair.public_key.decode()

    def sign(self, claims: dict[str, Any]) -> str:
        """Return a JWT of claims, issued by this key."""
        named = {"iss": self.public, "iat": 1_700_000_000} | claims
        named["jti"] = base64.b32encode(sha512(json.dumps(named).encode()).digest()[:32]).rstrip(b"=").decode()
        head = _unpadded(b'{"typ":"JWT","alg":"ed25519-nkey"}')
        text = f"{head}.{_unpadded(json.dumps(named).encode())}"
        return f"{text}.{_unpadded(self._pair.sign(text.encode()))}"


class Operator:
    """An operator with one account, whose users may do what they are given."""

    def __init__(self) -> None:
        self._operator = Key(nkeys.PREFIX_BYTE_OPERATOR)
        self._account, self._system = Key(nkeys.PREFIX_BYTE_ACCOUNT), Key(nkeys.PREFIX_BYTE_ACCOUNT)

    @property
    def config(self) -> str:
        """Lines of a server that believes it."""
        operator = self._operator.sign(
            {"name": "test", "sub": self._operator.public, "nats": {"type": "operator", "version": 2}}
        )
        stored = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
        accounts = {self._account.public: self._of(self._account, stored), self._system.public: self._of(self._system, {})}
        preload = ", ".join(f'{name}: "{jwt}"' for name, jwt in accounts.items())
        return f'operator: "{operator}"\nsystem_account: {self._system.public}\nresolver: MEMORY\nresolver_preload: {{ {preload} }}'

    def _of(self, account: Key, limits: dict[str, int]) -> str:
        unlimited = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1)
        claims = {"type": "account", "version": 2, "limits": unlimited | {"wildcards": True} | limits}
        return self._operator.sign({"name": "fleet", "sub": account.public, "nats": claims})

    def write_user(self, path: Path, name: str, publish: Sequence[str], subscribe: Sequence[str]) -> Path:
        """Write a user's file of credentials."""
        user = Key(nkeys.PREFIX_BYTE_USER)
        may = {"pub": {"allow": list(publish)}, "sub": {"allow": list(subscribe)}, "subs": -1, "data": -1, "payload": -1}
        jwt = self._account.sign({"name": name, "sub": user.public, "nats": {"type": "user", "version": 2} | may})
        path.write_text(
            f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n"
        )
        return path
