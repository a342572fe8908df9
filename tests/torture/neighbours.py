"""Receivers that answer as they should, in a process of their own: as many as there are hostile ones, for comparison."""

import asyncio
import json
import sys

from tests.support.receiver import Receiver


async def _stand_alone(count: int) -> None:
    receivers = [Receiver() for _ in range(count)]
    for receiver in receivers:
        await receiver.start()
    print(json.dumps({f"neighbour {number}": receiver.url() for number, receiver in enumerate(receivers)}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await asyncio.gather(*(receiver.stop() for receiver in receivers))


if __name__ == "__main__":
    asyncio.run(_stand_alone(int(sys.argv[1])))
