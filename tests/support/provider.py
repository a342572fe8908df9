"""A sign-in provider that can be told to misbehave: its answers are real HTTP and real signatures, wrong in one way each."""

import asyncio
import base64
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from tests.support.node import free_port

CLIENT, SECRET = "tidings test", "s e+c/r%et"
Claims = dict[str, Any]


class Key:
    """A pair of keys, with its public half as a JWK."""

    def __init__(self, algorithm: str, key_id: str) -> None:
        self.algorithm, self.id = algorithm, key_id
        self.private: Any
        match algorithm:
            case "RS256" | "PS256":
                self.private = rsa.generate_private_key(65537, 2048)
                self.jwk = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
            case "ES256":
                self.private = ec.generate_private_key(ec.SECP256R1())
                self.jwk = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
            case _:
                self.private = ed25519.Ed25519PrivateKey.generate()
                self.jwk = OKPAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        self.jwk |= {"kid": key_id, "use": "sig", "alg": algorithm}

    def sign(self, claims: Claims) -> str:
        return jwt.encode(claims, self.private, self.algorithm, {"kid": self.id})

    def sign_as_hmac(self, claims: Claims) -> str:
        """The old confusion: the public key as the secret of an HMAC. PyJWT refuses to make one, so it is made by hand."""
        secret = self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        import hmac

        head, body = (_part(one) for one in ({"alg": "HS256", "kid": self.id}, claims))
        return f"{head}.{body}.{_b64(hmac.digest(secret, f'{head}.{body}'.encode(), 'sha256'))}"


def unsigned(claims: Claims, algorithm: Any = "none") -> str:
    return f"{_part({'alg': algorithm})}.{_part(claims)}."


def _part(value: Any) -> str:
    import json

    return _b64(json.dumps(value).encode())


def _b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


class Provider:
    """The provider. Whoever comes is signed in at once as `claims` say."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.key = Key("RS256", "one")
        self.published = [self.key]
        self.claims: Claims = {"sub": "ada-1", "email": "ada@example.com", "email_verified": True, "name": "Ada"}
        self.user_info: Claims | None = None  # told when it is asked, and not in the token
        self.sign: Callable[[Claims], str] | None = None
        self.answers: dict[str, tuple[int, bytes, dict[str, str]]] = {}  # path to what it answers instead
        self.hangs: set[str] = set()
        self.calls: list[str] = []
        self.asked: dict[str, dict[str, str]] = {}  # code to what was asked for
        self.released = asyncio.Event()

    def ask(self, url: str) -> str:
        """Sign somebody in who was led to an address; returns the query that they bring back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self.asked)}"
        self.asked[code] = asked
        return f"code={code}&state={asked['state']}&session_state=whatever&group=none"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path, body = scope["path"], b""
        self.calls.append(path)
        while (message := await receive()).get("more_body") or message.get("body"):
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if path in self.hangs:
            await self.released.wait()
        status, content, headers = self.answers.get(path) or (200, self._answer(path, scope, body), {})
        if not content:
            status = 400
        lines = [(name.encode(), value.encode()) for name, value in ({"content-type": "application/json"} | headers).items()]
        await send({"type": "http.response.start", "status": status, "headers": lines})
        await send({"type": "http.response.body", "body": content})

    def _answer(self, path: str, scope: Any, body: bytes) -> bytes:
        import json

        match path:
            case "/.well-known/openid-configuration":
                found = {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"}
                found |= {f"{kind}_endpoint": f"{self.issuer}/{kind}" for kind in ("authorization", "token")}
                if self.user_info is not None:
                    found["userinfo_endpoint"] = f"{self.issuer}/info"
                return json.dumps(found).encode()
            case "/info" if self.user_info is not None and dict(scope["headers"])[b"authorization"] == b"Bearer x":
                return json.dumps(self.user_info).encode()
            case "/keys":
                return json.dumps({"keys": [key.jwk for key in self.published]}).encode()
            case "/token":
                return json.dumps({"access_token": "x", "token_type": "Bearer", "id_token": self._token(scope, body)}).encode()
        return b""

    def _token(self, scope: Any, body: bytes) -> str:
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        asked = self.asked.pop(form["code"])
        challenge = _b64(hashlib.sha256(form["code_verifier"].encode()).digest())
        assert challenge == asked["code_challenge"]
        assert form["redirect_uri"] == asked["redirect_uri"]
        basic = base64.b64decode(dict(scope["headers"])[b"authorization"].removeprefix(b"Basic ")).decode()
        assert basic == "tidings+test:s+e%2Bc%2Fr%25et"
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "nonce": asked["nonce"], "iat": now, "exp": now + 300} | self.claims
        return (self.sign or self.key.sign)({name: value for name, value in claims.items() if value is not None})


@asynccontextmanager
async def providing() -> AsyncIterator[Provider]:
    """Run a provider."""
    port = free_port()
    provider = Provider(f"http://127.0.0.1:{port}")
    server = uvicorn.Server(uvicorn.Config(provider, port=port, log_level="error", lifespan="off"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield provider
    finally:
        provider.released.set()
        server.should_exit = True
        await task
