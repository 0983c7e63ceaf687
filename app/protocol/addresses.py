"""Callers by address: what one of them can choose at will counts as one."""

import ipaddress

IPV6_PREFIX = 64
"""Bits of an IPv6 address that are one caller: the rest is his to choose."""


def caller_of(host: str) -> str:
    """Return an IPv4 address, also a mapped one, or an IPv6 network; what is neither comes back as it is."""
    if ":" not in host:
        return host
    try:
        address = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address), IPV6_PREFIX), strict=False))
