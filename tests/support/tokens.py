"""A server of OAuth 2.0 tokens, over real HTTP, that says what it is told to."""

from collections.abc import Callable
from typing import Any

import msgspec

from tests.support.receiver import Received, Receiver, answer, says


class TokenServer(Receiver):
    """Gives numbered tokens by client credentials, unless its scripts say otherwise."""

    def __init__(self) -> None:
        super().__init__(otherwise=self._give)
        self.given = 0
        self.expires_in: Any = 3600

    async def _give(self, received: Received, writer: Any) -> None:
        self.given += 1
        body = {"access_token": f"token-{self.given}", "token_type": "Bearer", "expires_in": self.expires_in}
        writer.write(answer(200, msgspec.json.encode(body), {"content-type": "application/json"}))


def answers(status: int, body: bytes) -> Any:
    """Return a script that answers so."""
    return says(answer(status, body))


def wants(check: Callable[[Received], bool]) -> Any:
    """Return a receiver's script that answers 401 unless a request passes."""

    async def script(received: Received, writer: Any) -> None:
        writer.write(answer(200 if check(received) else 401))

    return script
