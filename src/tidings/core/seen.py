"""Whether others of a home can have taken whoever lands its flights for gone, and begun to send ahead (`core.ahead`).

Who lands flights is seen to wait for them in the stream. While PostgreSQL is silent to it, or the process stands still, nobody
waits there; another process, without the database too, may then take the turn. Those others look at clocks of their own, so
whoever lands doubts long before they can be sure. Times are seconds of one steady clock.
"""


class Seen:
    """When others could see last that flights are landed.

    Attributes:
        is_sure: Nobody can have begun to send ahead since it was asked.
    """

    def __init__(self, unseen_seconds: float, now: float) -> None:
        """Be sure. `unseen_seconds`: without being seen, after which nothing is sure."""
        self._unseen_seconds = unseen_seconds
        self._at = now
        self.is_sure = True

    def look(self, now: float, waited: float = 0.0) -> None:
        """Doubt, when nobody could see us for too long.

        Args:
            waited: Seconds up to now in which we waited for flights, and so were seen.
        """
        if now - self._at - waited > self._unseen_seconds:
            self.is_sure = False

    def wait_ended(self, now: float) -> None:
        """Take note that until now we waited for flights."""
        self._at = now

    def doubt(self) -> None:
        """Take note that somebody may have begun, whatever the clock says."""
        self.is_sure = False

    def asked(self, now: float) -> None:
        """Take note that nobody sends ahead now."""
        self.is_sure, self._at = True, now
