"""What whoever looks may ask for: pages ask it before they show a way, so that none leads to a refusal."""

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit


class May:
    """What a session may ask of the portal. It is only about what is shown: what may not be asked is refused anyway."""

    def __init__(self, allows: Callable[[str, str], bool]) -> None:
        """Take what says of a method and a path whether they are allowed."""
        self._allows = allows

    def open(self, href: str) -> bool:
        """Whether a link leads somewhere. Those to elsewhere do."""
        return self._ask("GET", href)

    def send(self, action: str) -> bool:
        """Whether a form that is sent there is taken."""
        return self._ask("POST", action)

    def _ask(self, method: str, address: str) -> bool:
        if not address.startswith("/"):
            return bool(address)
        return self._allows(method, urlsplit(address).path)


ALL: Final = May(lambda _, __: True)
