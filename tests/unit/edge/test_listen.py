"""Addresses to listen on."""

import socket

import pytest

from broker.edge.listen import Address, ListenError


def test_an_ipv6_host_is_shown_in_brackets() -> None:
    assert str(Address("::1", 80)) == "[::1]:80"
    assert str(Address("127.0.0.1", 80)) == "127.0.0.1:80"


def test_a_taken_port_says_which_setting_to_change() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=rf"KEYBROKER_X: .*127\.0\.0\.1:{port}.* in use"):
            Address("127.0.0.1", port).bind("KEYBROKER_X")


def test_a_host_that_does_not_exist_is_told() -> None:
    with pytest.raises(ListenError, match="KEYBROKER_X"):
        Address("no-such-host.invalid", 1).bind("KEYBROKER_X")
