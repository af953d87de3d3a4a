"""Peers that are configured to may notify without being asked."""

from __future__ import annotations

import pytest

from reginfo.location.foreign import GRACE
from reginfo.reg import xml
from reginfo.reg.document import (
    RecordKey,
    Reginfo,
    RegistrationState,
)
from reginfo.roles import unsolicited
from reginfo.roles.listing import Listed
from reginfo.roles.unsolicited import Stream
from reginfo.sip.errors import Refusal, RemoteProtocolError
from reginfo.sip.uri import Uri

from ..make import (
    ALICE,
    NOW,
    WALL,
    place,
    request,
)
from .told import (
    DESK,
    PHONE_URI,
    Server,
    claim,
    contact,
    document,
    with_keys,
)


def test_what_a_peer_notifies_without_being_asked_is_known_here() -> None:
    server = Server()
    told = server.stray(document(0, contact(), contact(DESK, expires=None)))
    assert told == (ALICE,)
    one, desk = server.bound()
    assert (one.owner, one.source, one.expires_at) == ("p", "p/unsolicited", NOW + 600)
    assert (
        desk.expires_at == NOW + 3600 + GRACE
    )  # as long as the subscription is said to
    server.stray(document(1, contact(event="unregistered", cseq=2), full=False,
                          state=RegistrationState.ACTIVE))  # fmt: skip
    assert server.contacts() == [DESK]


def test_a_stray_notify_that_says_no_time_is_believed_as_long_as_any() -> None:
    server = Server()
    server.stray(document(0, contact(expires=None)), state="active")
    assert server.bound()[0].expires_at == NOW + 7200


@pytest.mark.parametrize("expires", [7201, 10**6, 2**32 - 1, None])
@pytest.mark.parametrize("state", ["active", f"active;expires={2**32 - 1}"])
def test_a_stray_notify_is_not_believed_for_years(
    expires: int | None, state: str
) -> None:
    """The expires of an unsolicited NOTIFY is limited (3680-110, 6665-84)."""
    server = Server()
    server.stray(document(0, contact(expires=expires)), state=state)
    assert server.bound()[0].expires_at == NOW + 7200


def test_a_stray_notify_prolongs_what_it_mentions_again() -> None:
    """An unsolicited NOTIFY prolongs a contact that it lists again (3680-103)."""
    server = Server()
    server.stray(document(0, contact(expires=None)), state="active;expires=60")
    server.pass_time(30)
    server.stray(document(0, contact(expires=None)), state="active;expires=60")
    assert server.bound()[0].expires_at == NOW + 90 + GRACE


def test_a_stray_notify_without_a_body_changes_nothing() -> None:
    server = Server()
    assert server.stray(None) == ()
    assert server.changes == []
    assert server.journal.close().entries == []


def test_a_stray_notify_that_was_overtaken_changes_nothing() -> None:
    server = Server()
    server.stray(document(1, contact()), cseq=5)
    server.stray(document(0, contact(DESK)), cseq=4)
    server.stray(document(1, contact(DESK)), cseq=5)
    assert server.contacts() == [PHONE_URI]
    server.stray(document(1, contact(DESK)), cseq=6)
    assert server.contacts() == [DESK]


@pytest.mark.parametrize(
    "other", [{"call_id": "another"}, {"peer": "q"}], ids=["dialog", "peer"]
)
def test_each_stray_dialog_counts_for_itself(other: dict[str, str]) -> None:
    server = Server()
    server.stray(document(7, contact()), cseq=5)
    server.stray(document(0, contact(DESK)), cseq=1, **other)
    assert server.contacts() == [PHONE_URI, DESK]


def test_of_stray_dialogs_the_one_that_is_silent_longest_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unsolicited, "DIALOGS", 2)
    server = Server()
    for call_id in ("1", "2", "1", "3"):
        server.stray(document(5, contact()), call_id=call_id)
    server.stray(document(4, contact(DESK)), call_id="1", cseq=1)
    assert server.contacts() == [PHONE_URI]
    server.stray(document(4, contact(DESK)), call_id="2", cseq=1)  # as if it were new
    assert server.contacts() == [PHONE_URI, DESK]


@pytest.mark.parametrize(
    ("event", "state", "status"), [("presence", "active", 489), ("reg", "", 400)]
)
def test_a_stray_notify_that_makes_no_sense_is_refused(
    event: str, state: str, status: int
) -> None:
    """An unsolicited NOTIFY that cannot be used is refused (6665-57, -59)."""
    server = Server()
    with pytest.raises((Refusal, RemoteProtocolError)) as caught:
        server.stray(document(0, contact()), event=event, state=state)
    assert isinstance(caught.value, (Refusal, RemoteProtocolError))
    assert caught.value.status == status
    if isinstance(caught.value, Refusal):
        assert caught.value.headers == (("Allow-Events", "reg"),)
    assert server.changes == []


def test_a_stray_notify_that_cannot_be_read_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    message = request(
        "NOTIFY", "Event: reg", "Subscription-State: active",
        f"Content-Type: {xml.MEDIA_TYPE}", body=b"<",
    )  # fmt: skip
    with pytest.raises(RemoteProtocolError):
        Server().subscriber.receive_unsolicited("p", message, NOW, WALL)
    assert "! NOTIFY of p: malformed reginfo" in caplog.text


def test_a_stray_notify_that_is_taken_back_never_was() -> None:
    server = Server()
    server.stray(document(5, contact()))
    server.journal.close().take_back()
    assert server.bound() == []
    server.stray(document(5, contact()), cseq=server.cseq)
    server.journal.close()
    server.stray(document(6, contact(DESK), full=False))
    server.journal.close().take_back()
    assert server.contacts() == [PHONE_URI]
    server.stray(document(5, contact(DESK)), cseq=server.cseq - 1)  # known already
    assert server.contacts() == [PHONE_URI]
    server.stray(document(6, contact(DESK), full=False), cseq=server.cseq + 1)
    assert server.contacts() == [PHONE_URI, DESK]


def test_keys_are_learned_though_nobody_has_asked() -> None:
    server = Server()
    server.stray(with_keys(document(0, contact()), RecordKey("k", "v", "a", 70)))
    assert server.store.keys(place(ALICE)) == {"k": "v"}
    (key,) = server.store.records(place(ALICE))
    assert key.source == "p/unsolicited"


def test_whom_a_document_that_nobody_asked_for_leaves_out_it_tells_of() -> None:
    server = Server()
    server.stray(document(0, contact()))
    assert server.stray(Reginfo(version=1, full=True, registrations=())) == (ALICE,)
    assert server.contacts() == []


# Who lists what.


def listed(server: Server, uri: str = PHONE_URI) -> list[tuple[str, str, str, float]]:
    """The peers that list a contact, each with its source and the end there."""
    found: list[Listed] = [
        *server.subscriber.listings(ALICE, Uri.parse(uri), server.now)
    ]
    return [(one.peer, one.source, one.aor, one.expires_at) for one in found]


def test_a_stray_notify_updates_the_table_that_its_listener_names() -> None:
    server = Server()
    server.stray(document(0, contact()), location="elsewhere")
    found = server.store.bindings(place(ALICE, "elsewhere"), NOW)
    assert ([one.contact for one in found], server.contacts()) == ([PHONE_URI], [])


def test_a_stray_notify_is_believed_as_long_as_its_peer_may_be() -> None:
    server = Server(longest={"p": 90, "q": 7200}.__getitem__)
    server.stray(document(0, contact(), contact(DESK, expires=None)))
    assert [one.expires_at for one in server.bound()] == [NOW + 90, NOW + 90]
    assert listed(server) == [("p", "p/unsolicited", ALICE, NOW + 90)]
    assert listed(server, DESK) == [("p", "p/unsolicited", ALICE, NOW + 90 + GRACE)]


def test_a_dialog_that_is_forgotten_lists_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unsolicited, "DIALOGS", 2)
    server = Server()
    server.stray(document(0, contact()), call_id="1")
    server.stray(document(0, contact(DESK)), call_id="2")
    # One that is known makes no other one go.
    server.stray(document(1, contact(DESK)), call_id="2", cseq=2)
    assert len(listed(server)) == 1
    server.stray(document(0), call_id="3")
    assert (listed(server), len(listed(server, DESK))) == ([], 1)


@pytest.mark.parametrize("state", ["active", "pending", "terminated;reason=timeout"])
@pytest.mark.parametrize("peer", ["p", "q"])
def test_a_stray_notify_without_a_body_takes_no_place(
    monkeypatch: pytest.MonkeyPatch, state: str, peer: str
) -> None:
    """However many there are, in dialogs that are known and in others."""
    monkeypatch.setattr(unsolicited, "DIALOGS", 2)
    server = Server()
    server.stray(document(0, contact()), call_id="1")
    server.stray(document(0, contact(DESK)), call_id="2")
    for number in range(5):
        server.stray(None, call_id=f"x{number}", peer=peer, state=state)
        server.stray(None, call_id="2", peer=peer, state=state, cseq=number + 2)
    assert (len(listed(server)), len(listed(server, DESK))) == (1, 1)
    assert server.contacts() == [PHONE_URI, DESK]


def test_a_dialog_whose_place_was_taken_by_what_is_taken_back_is_the_oldest_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unsolicited, "DIALOGS", 2)
    server = Server()
    server.stray(document(0, contact()), call_id="1")
    server.stray(document(0, contact(DESK)), call_id="2")
    server.journal.close()
    server.stray(document(0), call_id="3")
    assert listed(server) == []
    server.journal.close().take_back()
    assert (len(listed(server)), len(listed(server, DESK))) == (1, 1)
    # It counts its documents as before, and goes first.
    server.stray(document(0), call_id="1", cseq=1)
    assert len(listed(server)) == 1
    server.stray(document(0), call_id="2", cseq=2)
    server.stray(document(0), call_id="3")
    assert listed(server) == []


def test_a_dialog_that_is_taken_back_takes_no_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unsolicited, "DIALOGS", 2)
    server = Server()
    server.stray(document(0, contact()), call_id="1")
    server.journal.close()
    server.stray(document(0, contact(DESK)), call_id="2")
    server.journal.close().take_back()
    assert listed(server, DESK) == []
    server.stray(document(0), call_id="3")
    assert len(listed(server)) == 1


def test_what_is_taken_back_has_its_former_end() -> None:
    assert Stream("p").until == 0.0
    server = Server()
    server.stray(document(0, contact(expires=None)), state="active;expires=60")
    server.journal.close()
    before = [("p", "p/unsolicited", ALICE, NOW + 60 + GRACE)]
    assert listed(server) == before
    server.stray(document(1, contact(expires=None)), state="active;expires=600")
    assert listed(server) == [("p", "p/unsolicited", ALICE, NOW + 600 + GRACE)]
    server.journal.close().take_back()
    assert listed(server) == before


def test_a_stray_contact_is_listed_until_it_ends_there() -> None:
    server = Server()
    server.stray(document(0, contact(claim=claim())), peer="r")  # this is in the store
    server.stray(document(0, contact()))
    server.now += 599.999
    assert listed(server) == [("p", "p/unsolicited", ALICE, NOW + 600)]
    server.now = NOW + 600
    assert listed(server) == []
