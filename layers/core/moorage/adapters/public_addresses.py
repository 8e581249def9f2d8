"""Which IP addresses are on the public internet, and which are somebody's own network or machine."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

# What ``is_global`` lets through, or lets through in some versions of Python.
_RELAYS = IPv4Network("192.88.99.0/24")
_GLOBAL_UNICAST = IPv6Network("2000::/3")
# Teredo, 6to4, and what documents may write.
_NO_SERVERS = (IPv6Network("2001::/32"), IPv6Network("2002::/16"), IPv6Network("3fff::/20"))
_TRANSLATED = IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether ``address`` is one that a server on the public internet has.

    Not so: private, shared, link-local (with the metadata services), loopback, multicast and reserved
    addresses, in whatever notation of IPv6 they are wrapped. Tunnels of 6to4 and Teredo are refused
    altogether.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address):
        if parsed in _TRANSLATED:
            return _is_public_v4(IPv4Address(int(parsed) & 0xFFFFFFFF))
        return (
            parsed in _GLOBAL_UNICAST
            and parsed.is_global
            and parsed.scope_id is None
            and not any(parsed in network for network in _NO_SERVERS)
        )
    return _is_public_v4(parsed)


def _is_public_v4(address: IPv4Address) -> bool:
    return address.is_global and not address.is_multicast and address not in _RELAYS
