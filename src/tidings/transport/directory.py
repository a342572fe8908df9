"""Which home each group of the fleet lives at, as the stream last said it.

It is read every few seconds, and what was read last holds while the stream is away. Until it was read once, what follows from
the names of the homes holds: a home that knows better refuses what is brought to the wrong one.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from tidings.config import Config
from tidings.core.errors import StartupError
from tidings.core.fleet import Fleet
from tidings.core.pauses import Pauses
from tidings.transport import stream
from tidings.transport.stream import Stream
from tidings.transport.stream_away import StreamAwayError

logger = logging.getLogger("tidings.homes")

READ_INTERVAL: Final = 5.0  # seconds between looks


class Reader:
    """Reads the directory from the stream, again and again."""

    def __init__(self, config: Config, learn: Callable[[Fleet], None]) -> None:
        """Make it. `learn`: is told what the stream says."""
        self._config = config
        self._learn = learn
        self._said = ""

    async def run(self) -> None:
        """Read until cancelled, through outages of the stream."""
        pauses, config = Pauses(), self._config
        while True:
            try:
                async with stream.opened(
                    str(config.stream),
                    credentials=config.stream_credentials,
                    ca_file=config.ca_file,
                    inbox=stream.inbox_of("home", str(config.home)),
                ) as way:
                    while True:
                        await self._read(way)
                        pauses.reset()
                        await asyncio.sleep(READ_INTERVAL)
            except (StartupError, StreamAwayError) as error:
                self._tell(str(error))
                await asyncio.sleep(pauses.next())

    async def _read(self, way: Stream) -> None:
        self._learn(await way.bucket.fleet())
        self._said = ""

    def _tell(self, said: str) -> None:
        if said != self._said:
            logger.warning("where groups live cannot be read from the stream; what was read last holds: %s", said)
        self._said = said
