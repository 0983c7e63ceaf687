"""What a new API key may do: never more than the credentials that make it.

Pure. A key made by a key inherits its maker's limits, or a leaked, limited key could make itself
an unlimited one.
"""

import ipaddress
from collections.abc import Iterable

import msgspec

from app.domain.identity import Principal
from app.errors import ApiError
from app.protocol.schemas import ApiKeyRequest
from app.protocol.timestamps import timestamp_ns

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """Checked and complete limits of a new key."""

    scopes: tuple[str, ...]
    symbols: tuple[str, ...] | None
    ip_allow: tuple[str, ...] | None
    expires_at_ms: int | None


def granted(request: ApiKeyRequest, maker: Principal, *, maker_ip_allow: tuple[str, ...] | None, now_ms: int) -> Grant:
    """Return the limits of the key that `maker` asks for. Raises ApiError."""
    missing = sorted(set(request.scopes) - maker.scopes)
    if missing:
        raise ApiError("missing_scope", f"The credentials lack the scope {missing[0]!r}.", field="scopes")
    return Grant(
        scopes=tuple(sorted(set(request.scopes))),
        symbols=_symbols(request.symbols, maker.symbols),
        ip_allow=_ip_allow(request.ip_allow, maker_ip_allow),
        expires_at_ms=_expires_at_ms(request.expires_at, _key_end(maker), now_ms),
    )


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Return addresses and networks in CIDR notation. Raises ApiError `invalid_request`."""
    try:
        return tuple(ipaddress.ip_network(text) for text in texts)
    except ValueError as error:
        raise ApiError("invalid_request", "Expected IP addresses or networks (CIDR).", field="ip_allow") from error


def address_allowed(address: str | None, networks: tuple[Network, ...]) -> bool:
    """Return whether an address lies in one of the networks; an unknown one does not."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in networks)


def _symbols(wanted: list[str] | None, limit: frozenset[str] | None) -> tuple[str, ...] | None:
    if wanted is None:
        return None if limit is None else tuple(sorted(limit))
    if limit is not None and not limit.issuperset(wanted):
        raise ApiError("forbidden", "The credentials are limited to other instruments.", field="symbols")
    return tuple(sorted(set(wanted)))


def _ip_allow(wanted: list[str] | None, limit: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if wanted is None:
        return limit
    networks = parse_networks(wanted)
    if limit is not None:
        allowed = parse_networks(limit)
        if not all(any(_within(network, outer) for outer in allowed) for network in networks):
            raise ApiError("forbidden", "The credentials are limited to other addresses.", field="ip_allow")
    return tuple(str(network) for network in networks)


def _within(network: Network, outer: Network) -> bool:
    if isinstance(network, ipaddress.IPv4Network) and isinstance(outer, ipaddress.IPv4Network):
        return network.subnet_of(outer)
    if isinstance(network, ipaddress.IPv6Network) and isinstance(outer, ipaddress.IPv6Network):
        return network.subnet_of(outer)
    return False


def _key_end(maker: Principal) -> int | None:
    """Return when a making key ends; an access token's own few minutes limit nothing."""
    return maker.expires_at_ms if maker.key_id is not None else None


def _expires_at_ms(wanted: str | None, limit: int | None, now_ms: int) -> int | None:
    if wanted is None:
        return limit
    expires_at_ms = timestamp_ns(wanted, field="expires_at") // 1_000_000
    if expires_at_ms <= now_ms:
        raise ApiError("invalid_request", "Expected a time in the future.", field="expires_at")
    return expires_at_ms if limit is None else min(expires_at_ms, limit)
