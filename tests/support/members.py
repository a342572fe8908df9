"""Members of a fleet as deploy/nats/members.conf has them, and what of NATS answers them."""

import asyncio
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nats.aio.client import Client

from tests.support.limits import PATIENCE

MEMBERS = Path(__file__).parents[2] / "deploy" / "nats" / "members.conf"
LAST = "last.of.all"  # to which nobody listens


def accounts() -> str:
    """Return members.conf with the password `p` for all, `root` for who runs `tidings stream`, and one more source, `shop`."""
    text = re.sub(r"\$NATS_\w+_PASSWORD", "p", MEMBERS.read_text()).replace("user: admin", "user: root")
    billing = re.search(r"^  billing \{.*?^  \}\n", text, re.DOTALL | re.MULTILINE)
    assert billing is not None
    return text.replace(billing[0], billing[0] + billing[0].replace("billing", "shop"))


def parts_of(text: str) -> dict[str, str]:
    """Return what the file says of each account, by its name."""
    return dict(re.findall(r"^  (\w+) \{\n(.*?)^  \}\n", text, re.DOTALL | re.MULTILINE))


async def unheard(client: Client, inbox: str, subjects: Iterable[str]) -> set[str]:
    """Return which subjects nobody hears whom a member publishes to, by the servers' own word.

    Args:
        inbox: What the subjects begin with that the member may hear.
    """
    asked = [*subjects, LAST]
    found: set[str] = set()
    is_last = asyncio.Event()

    async def note(message: Any) -> None:
        subject = asked[int(message.subject.rpartition(".")[2])]
        if (message.headers or {}).get("Status") == "503":
            found.add(subject)
        if subject == LAST:  # the servers say so at once, in the order in which they were asked
            is_last.set()

    subscribed = await client.subscribe(f"{inbox}.heard.*", cb=note)
    for number, subject in enumerate(asked):
        await client.publish(subject, b"{}", reply=f"{inbox}.heard.{number}")
    async with asyncio.timeout(PATIENCE):
        await is_last.wait()
    await subscribed.unsubscribe()
    return found - {LAST}
