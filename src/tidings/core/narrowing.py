"""What a group may not call although the installation may: it is narrowed, and never widened."""

import msgspec

from tidings.core.networks import Network, Span, parse_networks, parse_ports, told_ports


class NarrowingForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A narrowing as people write it, and as it is stored.

    Attributes:
        networks: Only these; empty: all that the installation may call.
        denied_networks: Not these.
        ports: Only these, such as `443` or `8000-8999`; empty: all that the installation may call.
        denied_ports: Not these.
        https_only: No plain http, wherever the installation has it.
    """

    networks: tuple[str, ...] = ()
    denied_networks: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    denied_ports: tuple[str, ...] = ()
    https_only: bool = False


class Narrowing(msgspec.Struct, frozen=True):
    """The same, read."""

    networks: tuple[Network, ...] = ()
    denied_networks: tuple[Network, ...] = ()
    ports: tuple[Span, ...] = ()
    denied_ports: tuple[Span, ...] = ()
    https_only: bool = False

    @property
    def form(self) -> NarrowingForm:
        """As people write it."""
        return NarrowingForm(
            tuple(map(str, self.networks)),
            tuple(map(str, self.denied_networks)),
            tuple(told_ports(self.ports)),
            tuple(told_ports(self.denied_ports)),
            self.https_only,
        )


def parse_narrowing(form: NarrowingForm) -> Narrowing:
    """Read a narrowing.

    Raises:
        InvalidInputError: With the field and what to write.
    """
    return Narrowing(
        parse_networks(form.networks, "networks"),
        parse_networks(form.denied_networks, "denied_networks"),
        parse_ports(form.ports, "ports"),
        parse_ports(form.denied_ports, "denied_ports"),
        form.https_only,
    )
