"""How the values of keys are read, and the messages about wrong ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reginfo.config import values
from reginfo.config.address import AdvertisedAddress, ListenAddress, SocketAddress
from reginfo.sip.transport import Transport

Read = Callable[[object], Any]


@pytest.mark.parametrize(
    ("read", "value", "kept"),
    [
        (values.text, "a", "a"),
        (values.flag, True, True),
        (values.flag, 0, False),
        (values.whole(1), 1, 1),
        (values.seconds, 1, 1.0),
        (values.seconds, 0.5, 0.5),
        (values.duration, "5m", 300.0),
        (values.duration, "1 d", 86_400.0),
        (values.duration, 7, 7.0),
        (values.one_of("x", "y"), "y", "y"),
        (values.several(values.text), ["a", "b"], ("a", "b")),
        (values.one_or_several(values.text), "a", ("a",)),
        (values.one_or_several(values.text), ["a"], ("a",)),
        (values.token, "a-b.c", "a-b.c"),
        (values.host_name, "Example.COM.", "example.com"),
        (values.host_name, "192.0.2.1", "192.0.2.1"),
        (values.sip_uri, "sips:a@b", "sips:a@b"),
        (values.watched, "sip:a@b", "sip:a@b"),
        (values.group_uri, "sip:all@b", "sip:all@b"),
        (values.watcher, "peers", "peers"),
        (values.watcher, "Example.com", "example.com"),
        (values.watcher, "sip:a@b", "sip:a@b"),
        (values.listen_address, "udp:192.0.2.1:5060", ("192.0.2.1", Transport.UDP)),
        (values.listen_address, "TCP:[2001:db8::1]:5060",
         ("2001:db8::1", Transport.TCP)),
        (values.listen_address, "udp:eth0:5060", ("eth0", Transport.UDP)),
        (values.listen_address, "tcp:eth0:5060", ("eth0", Transport.TCP)),
        (values.advertised_address, "", AdvertisedAddress("")),
        (values.advertised_address, "sip.example.com:5070",
         AdvertisedAddress("sip.example.com", 5070)),
        (values.admin_address, "127.0.0.1:80", SocketAddress("127.0.0.1", 80)),
        (values.store_path, "memory:", None),
        (values.store_path, "sqlite:a/b.db", Path("a/b.db")),
        (values.file_path, "a.py", Path("a.py")),
        (values.users_place, "script", "script"),
        (values.users_place, "a/users", Path("a/users")),
        (values.realm, "Example, Inc.", "Example, Inc."),
        (values.socket_address, "192.0.2.53", SocketAddress("192.0.2.53", 53)),
        (values.socket_address, "[2001:db8::1]:54", SocketAddress("2001:db8::1", 54)),
        (values.source_address, "192.0.2.1", ("192.0.2.1", None)),
        (values.source_address, "[2001:db8::1]", ("2001:db8::1", None)),
        (values.source_address, "192.0.2.1:5060", ("192.0.2.1", 5060)),
    ],
)  # fmt: skip
def test_a_value_is_read(read: Read, value: object, kept: object) -> None:
    """docs/configuration.md: the forms of each value."""
    found = read(value)
    if isinstance(found, ListenAddress):
        assert found.port == 5060
        found = (found.host, found.transport)
    assert found == kept and type(found) is type(kept)


@pytest.mark.parametrize(
    ("read", "value", "said"),
    [
        (values.text, "", "a string is needed"),
        (values.text, 1, "a string is needed, not 1"),
        (values.flag, "yes", 'true or false is needed, not "yes"'),
        (values.flag, 2, "true or false"),
        (values.whole(1), 0, "at least 1"),
        (values.whole(1), True, "a whole number"),
        (values.whole(1), 1.0, "a whole number"),
        (values.seconds, math.inf, "a number of seconds"),
        (values.seconds, -1, "a number of seconds is needed, not -1"),
        (values.seconds, True, "a number of seconds"),
        (values.duration, "5 weeks", "a duration such as"),
        (values.duration, "-5m", "a duration such as"),
        (values.one_of("x", "y"), "z", '"x" or "y" is needed, not "z"'),
        (values.several(values.text), "a", "a list is needed"),
        (values.several(values.text, at_least=1), [], "the list is empty"),
        (values.several(values.text), [1], "a string is needed"),
        (values.token, "a b", "is not a token"),
        (values.host_name, "-a", "is not a host name"),
        (values.host_name, "[2001:db8::1]", "is not a host name"),
        (values.sip_uri, "tel:+1", "is not a SIP URI"),
        (values.sip_uri, "sip:", "is not a SIP URI"),
        (values.watched, "sip:*@b", "[[group]]"),
        (values.group_uri, "sip:b", "does not name a group"),
        (values.group_uri, "sip:*@b", "does not name a group"),
        (values.listen_address, "192.0.2.1:5060",
         '"udp:HOST:PORT" or "tcp:HOST:PORT" or "tls:HOST:PORT" or "ws:HOST:PORT" or'
         ' "wss:HOST:PORT" is needed'),
        (values.listen_address, "sctp:192.0.2.1:5060", "is needed, not"),
        (values.web_origin, "phone.example.com", '"https://HOST" or "*" is needed'),
        (values.web_origin, "https://phone.example.com/", '"https://HOST" or'),
        (values.web_origin, "https://*.example.com", '"https://HOST" or'),
        (values.listen_address, "udp:eth0:70000", "is not INTERFACE:PORT"),
        (values.listen_address, "udp:eth0:x", "is not INTERFACE:PORT"),
        (values.advertised_address, "a b", "neither HOST nor HOST:PORT"),
        (values.store_path, "postgres:x",
         '"sqlite:PATH" or "memory:" is needed, not "postgres:x"'),
        (values.web_origin, "ftp:a", 'is needed, not "ftp:a"'),
        (values.store_path, "sqlite:", '"sqlite:PATH" or "memory:"'),
        (values.source_address, "h:x", "h"),
        (values.realm, 'a"b', "is not a realm: printable ASCII is needed"),
        (values.realm, "a\\b", "is not a realm"),
        (values.realm, "café", "is not a realm"),
        (values.realm, "a\tb", "is not a realm"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_reported(read: Read, value: object, said: str) -> None:
    """docs/configuration.md: an error says what is needed, and what was written."""
    with pytest.raises(ValueError) as error:
        read(value)
    assert said in str(error.value)


@pytest.mark.parametrize(
    "read",
    [
        values.text, values.flag, values.whole(0), values.seconds, values.duration,
        values.token, values.host_name, values.sip_uri, values.watched, values.watcher,
        values.group_uri, values.listen_address, values.advertised_address,
        values.admin_address, values.store_path, values.source_address,
        values.socket_address,
    ],
)  # fmt: skip
@given(st.none() | st.integers() | st.floats() | st.text() | st.lists(st.text()))
def test_no_value_raises_anything_else(read: Read, value: object) -> None:
    """Bad input is normal input."""
    try:
        read(value)
    except ValueError as exc:
        assert str(exc)


def test_a_long_value_is_shortened() -> None:
    assert values.shown("a") == '"a"' and values.shown(1) == "1"
    assert len(values.shown("x" * 1000)) == 80


def test_the_last_port_is_a_port() -> None:
    assert values.listen_address("udp:eth0:65535").port == 65_535
