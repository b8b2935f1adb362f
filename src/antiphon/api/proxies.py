"""Proxies: which addresses are trusted to name their client, and under which name a client is counted."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

#: Bits of an IPv6 address that stand for one client: the rest of it a client chooses by itself.
IPV6_CLIENT = 64


class TrustedProxies:
    """The networks of --trusted-proxies."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(network, strict=False) for network in networks]

    def __bool__(self) -> bool:
        return bool(self._networks)

    def trust(self, address: str) -> bool:
        found = parsed(address) if self._networks else None
        return found is not None and any(found in network for network in self._networks)


def parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address; of an IPv4 address in IPv6's form, as a listener on `::` sees it, the IPv4 address."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, ipaddress.IPv6Address) else found


def client_of(address: str) -> str:
    """The name under which an address is counted: of an IPv6 address its network, which belongs to one client."""
    found = parsed(address)
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, IPV6_CLIENT), strict=False))
    return address if found is None else str(found)
