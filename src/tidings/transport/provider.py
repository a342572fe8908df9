"""Asks the sign-in provider: what it is, its keys, and who somebody is for a code. The operator configured it, so its calls are
none of those that tenants cause: they may go anywhere, within bounds of time and size, and never on to somewhere else.

What it is and its keys are kept for an hour. A token that names a key which is not among them has the keys read anew, at most
once in some seconds, so that a rotation stops nobody and a made-up name costs the provider nothing.
"""

import asyncio
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus

from tidings.core.echoes import Echo
from tidings.core.id_token import NoSuchKeyError, read_keys, verified
from tidings.core.oidc import Answered, Discovery, ProviderError, discovery_url, read_answer, read_discovery
from tidings.core.outcome import Exchange

if TYPE_CHECKING:
    import httpx

MAX_BYTES: Final = 512 * 1024  # of one answer
CALL_SECONDS: Final = 10.0  # of one call, from the name's look-up to the last byte
KEPT_SECONDS: Final = 3600.0
AGAIN_SECONDS: Final = 5.0  # between two calls for the same, when it failed or had not what was looked for
AT_ONCE: Final = 4  # calls; more wait
WAITING: Final = 32  # that wait; more are refused


class Provider:
    """The sign-in provider. One event loop reads and writes it."""

    def __init__(self, issuer: str, client_id: str, client_secret: str | None, *, call_seconds: float = CALL_SECONDS) -> None:
        self.issuer, self.client_id, self._secret = issuer, client_id, client_secret
        self._echo = None if client_secret is None else Echo(client_secret, f"{client_id}:{client_secret}")
        self._call_seconds = call_seconds
        self._monotonic: Callable[[], float] = time.monotonic
        self._client: httpx.AsyncClient | None = None
        self._room, self._asking = asyncio.Semaphore(AT_ONCE), 0
        self._found: tuple[Discovery, float] | None = None
        self._keys: tuple[tuple[Mapping[str, Any], ...], float] | None = None
        self._failed: tuple[ProviderError, float] | None = None
        self._learning = asyncio.Lock()

    async def discover(self) -> Discovery:
        """Return what the provider says of itself.

        Raises:
            ProviderError: It cannot be asked, or says what it should not.
        """
        async with self._learning:
            at = self._monotonic()
            if self._found is not None and at - self._found[1] < KEPT_SECONDS:
                return self._found[0]
            if self._failed is not None and at - self._failed[1] < AGAIN_SECONDS:
                raise self._failed[0]
            try:
                found = read_discovery(await self._get(discovery_url(self.issuer)), self.issuer)
            except ProviderError as error:
                self._failed = error, self._monotonic()
                raise
            self._found = found, at
            return found

    async def exchange(self, code: str, verifier: str, back: str) -> Answered:
        """Return what the provider gives for a code.

        Raises:
            ProviderError: It gives none.
        """
        found = await self.discover()
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": back, "code_verifier": verifier}
        headers = {}
        if self._secret is None:
            form["client_id"] = self.client_id
        elif "client_secret_basic" in found.token_endpoint_auth_methods_supported:
            # RFC 6749, 2.3.1: each is written as in a form before they are joined.
            basic = f"{quote_plus(self.client_id)}:{quote_plus(self._secret)}"
            headers["Authorization"] = f"Basic {b64encode(basic.encode()).decode()}"
        else:
            form |= {"client_id": self.client_id, "client_secret": self._secret}
        return read_answer(await self._call("POST", found.token_endpoint, headers, form))

    async def claims(self, token: str) -> dict[str, Any]:
        """Return what a token says, when the provider signed it.

        Raises:
            ProviderError: It did not.
        """
        try:
            return verified(token, await self._known_keys())
        except NoSuchKeyError:
            return verified(token, await self._known_keys(after=AGAIN_SECONDS))

    async def user_info(self, access_token: str) -> bytes | None:
        """Return what the provider tells of whoever a token is of; None: it is not to be asked.

        Raises:
            ProviderError: It does not tell.
        """
        url = (await self.discover()).userinfo_endpoint
        if url is None or not access_token:
            return None
        return await self._call("GET", url, {"Authorization": f"Bearer {access_token}"}, None)

    async def close(self) -> None:
        """Give back the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _known_keys(self, *, after: float = KEPT_SECONDS) -> tuple[Mapping[str, Any], ...]:
        """Return the provider's keys, read anew when that was so many seconds ago."""
        found = await self.discover()
        async with self._learning:
            at = self._monotonic()
            if self._keys is None or at - self._keys[1] >= after:
                self._keys = read_keys(await self._get(found.jwks_uri)), at
            return self._keys[0]

    def _hide(self, said: bytes) -> bytes:
        """Return what the provider says for the log, without what it was told to know us by."""
        return said if self._echo is None else self._echo.hidden(Exchange(body=said)).body

    async def _get(self, url: str) -> bytes:
        return await self._call("GET", url, {}, None)

    async def _call(self, method: str, url: str, headers: dict[str, str], form: dict[str, str] | None) -> bytes:
        if self._asking >= AT_ONCE + WAITING:
            raise ProviderError("Too many sign-ins wait for the provider.")
        self._asking += 1
        try:
            async with asyncio.timeout(self._call_seconds), self._room:
                return await self._answer(method, url, headers, form)
        except TimeoutError as error:
            raise ProviderError(f"{method} {url} took longer than {self._call_seconds:g} s.") from error
        finally:
            self._asking -= 1

    async def _answer(self, method: str, url: str, headers: dict[str, str], form: dict[str, str] | None) -> bytes:
        import httpx  # a fifth of a second, which only those wait for who sign in so

        if self._client is None:
            # Without `Accept-Encoding` what is counted is what came. Proxies of the environment are the operator's.
            self._client = httpx.AsyncClient(
                follow_redirects=False, timeout=CALL_SECONDS, limits=httpx.Limits(max_connections=AT_ONCE),
                headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "tidings"},
            )  # fmt: skip
        try:
            async with self._client.stream(method, url, headers=headers, data=form) as response:
                return await _body(response, f"{method} {url}", self._hide)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, UnicodeError) as error:
            raise ProviderError(f"{method} {url} failed: {type(error).__name__} {error}") from error


async def _body(response: "httpx.Response", call: str, hide: Callable[[bytes], bytes]) -> bytes:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise ProviderError(f"{call} answers compressed, which was not asked for.")
    body = b""
    async for part in response.aiter_raw():
        body += part
        if len(body) > MAX_BYTES:
            raise ProviderError(f"{call} answers more than {MAX_BYTES} bytes.")
    if response.status_code != 200:
        told = hide(body)[:300].decode("utf-8", "replace")
        raise ProviderError(f"{call} answers {response.status_code}: {told!r}")
    return body
