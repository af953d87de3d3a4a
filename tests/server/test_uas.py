"""The handlers of requests to this server, called without a network."""

from __future__ import annotations

import pytest

from reginfo.config.config import Config
from reginfo.ledger.part import Found
from reginfo.location.binding import BindingChange
from reginfo.location.keyring import KeyChange
from reginfo.location.place import Aor, Place
from reginfo.server.app import App
from reginfo.server.uas import METHODS, Uas
from reginfo.sip.destination import Destination
from reginfo.sip.errors import Refusal, RemoteProtocolError
from reginfo.sip.flow import Flow
from reginfo.sip.transport import UDP
from reginfo.sip.uri import Uri

from ..make import ALICE, LOCAL, NOW, PEER, PHONE, moment, place, request

CONTACT = "Contact: <sip:alice@192.0.2.50>"
CONFIG = """
[server]
id = "a"
listen = ["udp:192.0.2.1:5060"]
domains = ["example.com"]
[store]
url = "memory:"
[pua_reginfo]
server_address = "sip:reginfo@192.0.2.1"
[[peer]]
name = "p"
uri = "sip:192.0.2.2"
unsolicited = true
"""
AT_PHONE, AT_PEER = Flow(LOCAL, PHONE), Flow(LOCAL, PEER)


class Names:
    """Resolves the URI of the peer."""

    def find(self, uri: Uri, found: Found) -> None:
        assert uri.host == PEER[0]
        found([Destination(UDP, PEER)])


@pytest.fixture
def app() -> App:
    app = App(Config.parse(CONFIG))
    app.begin([LOCAL], Names())
    return app


@pytest.fixture
def uas(app: App) -> Uas:
    return app._assembly.uas


def test_each_method_that_is_allowed_has_its_handler(uas: Uas) -> None:
    assert tuple(uas.handlers) == METHODS


def test_a_register_is_decided_and_applied_in_its_table(app: App, uas: Uas) -> None:
    """RFC 3261 §10.3"""
    asked = request("REGISTER", CONTACT, "Expires: 60")
    decision = uas.register(asked, AT_PHONE, "phones", moment())
    assert decision.response.status == 200
    kept = app.store.bindings(Place("phones", Aor(ALICE)), NOW)
    assert kept == list(decision.claims) and kept[0].owner == "a"
    assert app.store.bindings(place(ALICE), NOW) == []


def test_a_query_changes_nothing(app: App, uas: Uas) -> None:
    decision = uas.register(request("REGISTER"), AT_PHONE, "location", moment())
    assert (decision.response.status, decision.claims) == (200, ())
    assert app.journal.close().entries == []


@pytest.mark.parametrize(
    ("uri", "to", "status"),
    [
        ("sip:example.org", f"<{ALICE}>", 404),  # §10.3 step 1
        ("sip:example.com", "<sip:alice@example.org>", 404),  # step 5
        ("sip:192.0.2.1", f"<{ALICE}>", None),
        ("sip:example.com:5070", "<sip:alice@example.com:5070>", None),
    ],
)
def test_users_register_only_in_configured_domains(
    app: App, uas: Uas, uri: str, to: str, status: int | None
) -> None:
    asked = request("REGISTER", CONTACT, uri=uri, to=to)
    if status is None:
        uas.register(asked, AT_PHONE, "location", moment())
        assert len(app.store.bindings(place(ALICE), NOW)) == 1
        return
    with pytest.raises(Refusal) as caught:
        uas.register(asked, AT_PHONE, "location", moment())
    assert caught.value.status == status
    assert app.journal.close().entries == []


def test_a_uri_without_a_user_cannot_be_registered(uas: Uas) -> None:
    asked = request("REGISTER", CONTACT, to="<mailto:alice@example.com>")
    with pytest.raises(RemoteProtocolError) as caught:
        uas.register(asked, AT_PHONE, "location", moment())
    assert caught.value.status == 416


@pytest.mark.parametrize("quiet", [True, False])
def test_a_change_states_whether_it_is_published(
    app: App, uas: Uas, quiet: bool
) -> None:
    heard: list[BindingChange | KeyChange] = []
    app.store.listener = heard.append
    asked = request("REGISTER", CONTACT)
    uas.register(asked, AT_PHONE, "location", moment(), is_published=not quiet)
    (change,) = heard
    assert change.is_published is not quiet


def test_the_date_is_the_present_one(uas: Uas) -> None:
    """RFC 3261 §10.3 step 8"""
    dates = []
    for wall in (784111777.0, 784111777.9, 784111778.0):
        found = uas.register(
            request("REGISTER"), AT_PHONE, "location", moment(NOW, wall)
        )
        dates += found.response.headers["Date"]
    assert dates == [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:38 GMT",
    ]


def test_only_a_permitted_peer_may_notify_unasked(uas: Uas) -> None:
    notify = request("NOTIFY", "Event: reg", uri="sip:reginfo@192.0.2.1")
    assert uas.unsolicited(notify, AT_PEER) == "p"
    assert uas.expects(notify, AT_PEER)
    assert uas.unsolicited(notify, AT_PHONE) is None
    assert not uas.expects(notify, AT_PHONE)


def test_a_stranger_publishes_nothing(uas: Uas) -> None:
    publish = request("PUBLISH", "Event: reg", uri=ALICE)
    with pytest.raises(Refusal) as caught:
        uas.publish(publish, AT_PHONE, moment())
    assert caught.value.status == 403


def test_nothing_is_published_for_another_domain(uas: Uas) -> None:
    publish = request("PUBLISH", "Event: reg", uri="sip:alice@example.org")
    with pytest.raises(Refusal) as caught:
        uas.publish(publish, AT_PEER, moment())
    assert caught.value.status == 404
