"""Addresses of callers: what one caller can choose at will is one."""

import pytest

from app.protocol.addresses import caller_of


@pytest.mark.parametrize(
    ("host", "caller"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("not:an:address", "not:an:address"),
        ("unix", "unix"),
        ("", ""),
    ],
)
def test_caller_is_an_address_or_an_ipv6_network(host: str, caller: str) -> None:
    assert caller_of(host) == caller
