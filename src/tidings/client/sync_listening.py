# Made of `async_listening.py` by `python tools/make_sync_client.py`.
"""`client.listeners`, for the synchronous client."""

from collections.abc import Sequence
from typing import Unpack

from tidings.client.exchange import part
from tidings.client.filters import Id
from tidings.client.inputs import AttemptTold, ListenerInput, TakeInput
from tidings.client.listening_models import Listener, Recorded, Skipped, Taken
from tidings.client.sync_http import Http

# The class below has a method called `list`, which hides the type of that name.
_Listeners = list[Listener]


class Listeners:
    """`client.listeners`: who is given deliveries when they ask. `tidings listen` does what these calls do."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def create(self, **listener: Unpack[ListenerInput]) -> Listener:
        """Make a listener, or find the one of a name. It hears `events`, or what the webhook hears."""
        return self._http.request("POST", "/api/v1/listeners", Listener, body=listener, repeatable=True)

    def list(self) -> _Listeners:
        """List the listeners, by name."""
        return self._http.request("GET", "/api/v1/listeners", _Listeners)

    def get(self, listener_id: Id) -> Listener:
        """Read a listener."""
        return self._http.request("GET", _at(listener_id), Listener)

    def delete(self, listener_id: Id) -> None:
        """Delete a listener; what waits for it is cancelled."""
        self._http.request("DELETE", _at(listener_id), object)

    def skip(self, listener_id: Id) -> Skipped:
        """Cancel what waits for it."""
        return self._http.request("POST", f"{_at(listener_id)}/skip", Skipped)

    def take(self, listener_id: Id, **asked: Unpack[TakeInput]) -> Taken:
        """Lease deliveries, ready to be sent. Name in `held` what you have: what you were given beside that comes again.

        Ask again within 30 seconds, or the deliveries go to others.
        """
        return self._http.request("POST", f"{_at(listener_id)}/take", Taken, body=asked, repeatable=True)

    def record(self, listener_id: Id, session: Id, results: Sequence[AttemptTold]) -> Recorded:
        """Tell what came of deliveries that were leased to a session."""
        body = {"session": session, "results": results}
        return self._http.request("POST", f"{_at(listener_id)}/results", Recorded, body=body)


def _at(listener_id: Id) -> str:
    return f"/api/v1/listeners/{part(listener_id)}"
