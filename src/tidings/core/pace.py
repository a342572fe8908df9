"""How hard to work while others need the machine.

The promise is that a change is never slowed by its delivery. When users' transactions and our work want the same
processor, it must be ours that waits, and operating systems do not see to that (priorities end at the border of a session,
a container or a host). So we look for ourselves: users are writing right now, and a trivial question to PostgreSQL
takes much longer than it has at its quickest. Then every stretch of work is followed by a longer rest. The backlog this
leaves is durable, and is worked off at full speed as soon as either sign is gone.
"""

CROWDED_RATIO = 3.0  # a question that takes this many times its quickest time has waited for a processor
CROWDED_FLOOR_SECONDS = 0.001  # what is quicker than this is not slow, however quick it was once
REST_RATIO = 8.0  # seconds of rest for each second of work
MAX_REST_SECONDS = 0.5
_FORGET = 1.001  # the quickest time grows by this with each question, so that a lucky one does not count for ever


class Pace:
    """Decides, from one look after the other, whether the machine is crowded."""

    def __init__(self) -> None:
        self._quickest = float("inf")

    def is_crowded(self, *, writers: int, question_seconds: float) -> bool:
        """Take one look.

        Args:
            writers: How many transactions with captured changes are open.
            question_seconds: How long PostgreSQL took to tell that.
        """
        self._quickest = min(self._quickest * _FORGET, question_seconds)
        return writers > 0 and question_seconds > max(CROWDED_FLOOR_SECONDS, CROWDED_RATIO * self._quickest)

    @staticmethod
    def rest_seconds(work_seconds: float) -> float:
        """Return how long to rest after so much work on a crowded machine."""
        return min(MAX_REST_SECONDS, REST_RATIO * work_seconds)
