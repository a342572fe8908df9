"""Whether a database is the one that the installation was made in, or a copy of it, from which nothing may be sent by accident.

A copy has everything: webhooks with their secrets, and deliveries that wait. Were it started like the original, each receiver
would hear from both. So an installation notes which database it is in, and looks at each start whether it is still there. What
was dumped and restored, or cloned by `create database … template`, is in another database, perhaps of another cluster. A
standby that was promoted is the same: it goes on. So is a copy of a cluster's files, which nothing can tell from it.
"""

import re
from typing import Final

import msgspec

HELD: Final = "held"  # noted by somebody who knows that it is a copy, though nothing shows it
_NOTE: Final = re.compile(r"(\d+|\?):(\d+)")

COPY: Final = (
    "This database is a copy: the installation in it was made in another one. So nothing is routed or sent from here. "
    "If this is to be the installation from now on, and the other one sends nothing any more, run `tidings adopt`."
)


class Home(msgspec.Struct, frozen=True):
    """Which database it is.

    Attributes:
        system: Of the cluster, its number; None: our role may not read it.
        database: Its number within the cluster, which a change of its name leaves as it is.
    """

    system: int | None
    database: int

    @property
    def note(self) -> str:
        """The same as a text that is kept."""
        return f"{'?' if self.system is None else self.system}:{self.database}"


def is_copy(note: str | None, here: Home) -> bool:
    """Decide whether an installation was copied to where it is now.

    Args:
        note: What it has kept; None: nothing yet. What cannot be read is taken for a copy: to hold is undone, to send is not.
    """
    if note is None:
        return False
    found = _NOTE.fullmatch(note)
    if found is None:
        return True
    is_known = found[1] != "?" and here.system is not None
    return int(found[2]) != here.database or (is_known and int(found[1]) != here.system)
