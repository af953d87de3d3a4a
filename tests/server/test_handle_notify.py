"""
`reginfo_handle_notify` returns exactly 2, 1 or -1, and the registry is as it says.

In each situation in which Kamailio and OpenSIPS go wrong, what we do instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reginfo.reg import xml
from reginfo.reg.document import Reginfo, RegistrationState
from reginfo.testing import Script

from .scripted import (
    BOB,
    BOBS_PHONE,
    CONFIG,
    PEER,
    WATCHES_BOB,
    Notifier,
    contact,
    document,
    written,
)

# What it returns, and why, stands in the reason phrase.
REPORTS = """
    @route.request("NOTIFY")
    def notify(msg: Message) -> None:
        code = msg.reginfo_handle_notify("location")
        msg.send_reply(200, f"{int(code)} {msg.reginfo_reason}".strip())
"""
DESK = "sip:bob@192.0.2.61"
GOOD = document(contact())


class Fed:
    """A server whose script takes in what a peer notifies."""

    def __init__(self, path: Path, config: str = CONFIG + WATCHES_BOB) -> None:
        self.script = Script(written(path, REPORTS), config)
        self.peer = Notifier(self.script)

    def feed(self, body: bytes, **others: str) -> str:
        """What the function returned, and the reason."""
        answer = self.peer.notify(body, **others)  # type: ignore[arg-type]
        assert answer.status == 200, answer.reason
        return answer.reason

    def contacts(self, aor: str = BOB) -> list[str]:
        return [binding.contact for binding in self.script.bindings(aor)]


@pytest.fixture
def fed(tmp_path: Path) -> Iterator[Fed]:
    yield Fed(tmp_path / "routes.py")


# The three codes.


def test_updated_and_a_contact_is_registered_is_1(fed: Fed) -> None:
    assert fed.feed(document(contact())) == "1"
    assert fed.contacts() == [BOBS_PHONE]


def test_updated_and_none_is_registered_is_2(fed: Fed) -> None:
    fed.feed(document(contact()))
    gone = document(contact(event="unregistered", expires=0), version=1)
    assert fed.feed(gone) == "2"
    assert fed.contacts() == []


def test_of_two_contacts_one_that_is_left_is_1(fed: Fed) -> None:
    fed.feed(document(contact(), contact(DESK, callid="desk")))
    left = document(contact(event="expired"), version=1, full=False,
                    state=RegistrationState.ACTIVE)  # fmt: skip
    assert fed.feed(left) == "1"
    assert fed.contacts() == [DESK]


def test_no_body_is_1_and_changes_nothing(fed: Fed) -> None:
    """peers.md 3: Kamailio's presence server sends such at the start and on refresh."""
    assert fed.feed(b"") == "1"
    fed.feed(document(contact()))
    assert fed.feed(b"") == "1"
    assert fed.contacts() == [BOBS_PHONE]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<reginfo", "malformed reginfo: "),
        (b'<!DOCTYPE a><reginfo version="0" state="full"/>', "document type"),
        (GOOD.replace(b'version="0" ', b""), "<reginfo> without version"),
        (GOOD.replace(b' aor="', b' oar="'), "<registration> without aor"),
        (GOOD.replace(b' id="', b' di="', 1), "<registration> without id"),
        (b"x" * (1 << 20) + b"y", "bytes, 1048576 allowed"),
        (b"<a>" * 20 + b"</a>" * 20, "not a reginfo document"),
    ],
)
def test_an_invalid_document_is_minus_1_and_changes_nothing(
    fed: Fed, body: bytes, reason: str
) -> None:
    """The contract, "Bad input": one line says why, and the registry is untouched."""
    fed.feed(document(contact()))
    said = fed.feed(body)
    assert said.startswith("-1 ") and reason in said
    assert fed.contacts() == [BOBS_PHONE]
    assert fed.feed(document(contact(), version=1)) == "1"


def test_a_body_of_another_type_is_minus_1(fed: Fed) -> None:
    assert fed.feed(document(contact()), content_type="text/plain").startswith("-1 415")
    assert fed.contacts() == []


# peers.md 4, situation by situation: what Kamailio does wrong, and we right.


@pytest.mark.parametrize("event", ["shortened", "created", "refreshed", "registered"])
def test_every_event_of_a_bound_contact_binds_it(fed: Fed, event: str) -> None:
    """Kamailio skips `shortened`."""
    assert fed.feed(document(contact(event=event))) == "1"
    assert fed.contacts() == [BOBS_PHONE]


@pytest.mark.parametrize(
    "event", ["deactivated", "rejected", "probation", "expired", "unregistered"]
)
def test_every_event_of_a_contact_that_has_gone_removes_it(
    fed: Fed, event: str
) -> None:
    """Kamailio skips three of them, or stores the contact as live."""
    fed.feed(document(contact()))
    assert fed.feed(document(contact(event=event, expires=300), version=1)) == "2"
    assert fed.contacts() == []


def test_the_state_of_a_contact_counts(fed: Fed) -> None:
    """Kamailio ignores it; here a contact whose state denies its event is left out."""
    wrong = document(contact()).replace(
        b'state="active" event="registered"', b'state="terminated" event="registered"'
    )
    assert fed.feed(wrong).startswith("-1 ")
    assert fed.contacts() == []


def test_a_contact_without_expires_is_taken(fed: Fed) -> None:
    """Kamailio skips it, and returns -1; it lives as long as the subscription."""
    assert fed.feed(document(contact(expires=None))) == "1"
    (bound,) = fed.script.bindings(BOB)
    assert bound.expires(fed.script.wire.now) == 3660


def test_a_registration_that_never_was_is_2(fed: Fed) -> None:
    """`init` is -1 there; it is a valid document (RFC 3680 §4.7.1)."""
    assert fed.feed(document(state=RegistrationState.INIT)) == "2"


def test_a_full_document_removes_what_it_leaves_out(fed: Fed) -> None:
    """Kamailio ignores `state="full"`."""
    fed.feed(document(contact(), contact(DESK, callid="desk")))
    assert fed.feed(document(contact(DESK, callid="desk"), version=1)) == "1"
    assert fed.contacts() == [DESK]


def test_a_document_that_was_overtaken_changes_nothing(fed: Fed) -> None:
    """Kamailio ignores `version`."""
    fed.feed(document(contact(cseq=2), version=5))
    old = document(contact(event="unregistered", cseq=1), version=4)
    assert fed.feed(old) == "1"
    assert fed.contacts() == [BOBS_PHONE]


def test_a_lower_cseq_makes_no_second_row(fed: Fed) -> None:
    """There, a lower CSeq of the same Call-ID is a duplicate row."""
    fed.feed(document(contact(cseq=5)))
    fed.feed(document(contact(cseq=3), version=1))
    (bound,) = fed.script.bindings(BOB)
    assert bound.cseq == 5


def test_parameters_are_those_of_the_contact(fed: Fed) -> None:
    """There, `unknown-param` is glued to the URI, unquoted."""
    params = (("+sip.instance", '"<urn:uuid:1>"'), ("audio", None))
    fed.feed(document(contact(params=params)))
    (bound,) = fed.script.bindings(BOB)
    assert (bound.contact, bound.params) == (BOBS_PHONE, params)


def test_one_bad_contact_loses_no_good_one(fed: Fed) -> None:
    """The contract: lenient mode; a contact without Call-ID or id ends OpenSIPS."""
    body = document(contact(), contact(DESK)).replace(
        b"</registration>", b"<contact/></registration>"
    )
    assert fed.feed(body) == "1"
    assert fed.contacts() == [BOBS_PHONE, DESK]


def test_an_address_of_record_without_a_user_is_one(fed: Fed) -> None:
    """OpenSIPS ends by it."""
    assert fed.feed(document(contact(), aor="sip:example.com")) == "1"
    assert fed.contacts("sip:example.com") == [BOBS_PHONE]


def test_a_quoted_ampersand_stays_one(fed: Fed) -> None:
    """OpenSIPS writes an empty `<uri/>` then."""
    uri = "sip:bob@192.0.2.60;x=a&b"
    fed.feed(document(contact(uri)))
    assert fed.contacts() == [uri]


def test_two_registrations_of_one_user_are_merged(fed: Fed) -> None:
    """peers.md 5: OpenSIPS writes one for each publisher; to it, they are fatal."""
    one = document(contact())
    other = document(contact(DESK, callid="desk"))
    registration = other[other.index(b"<registration") : other.index(b"</reginfo>")]
    both = one.replace(b"</reginfo>", registration + b"</reginfo>")
    assert fed.feed(both) == "1"
    assert fed.contacts() == [BOBS_PHONE, DESK]


def test_a_version_with_leading_zeros_and_blanks_is_read(fed: Fed) -> None:
    """peers.md 5: OpenSIPS writes its own over eleven zeros."""
    body = document(contact()).replace(b'version="0"', b'version="1          " ')
    assert fed.feed(body) == "1"


# What belongs to no subscription never enters the script.


def test_a_stray_notify_is_answered_481_and_registers_nobody(fed: Fed) -> None:
    """There, it registers anybody (RFC 6665 §4.1.3)."""
    answer = fed.peer.notify(document(contact()), call_id="forged")
    assert (answer.status, fed.contacts()) == (481, [])


def test_a_notify_of_another_package_is_answered_489(fed: Fed) -> None:
    """6665-56: as one of no dialog of ours, it is none of the script's business."""
    answer = fed.peer.notify(document(contact()), event="presence", call_id="forged")
    assert answer.status == 481
    answer = fed.peer.notify(document(contact()), event="presence")
    assert (answer.status, answer.header("Allow-Events")) == (489, "reg")
    assert fed.contacts() == []
    assert fed.feed(document(contact())) == "1"


def test_a_notify_of_another_fork_is_answered_481(fed: Fed) -> None:
    """3680-33: of a SUBSCRIBE that was forked, the first to notify is the one."""
    assert fed.feed(document(contact())) == "1"
    fork = document(contact(DESK), version=1)
    assert fed.peer.notify(fork, tag="other").status == 481
    assert fed.contacts() == [BOBS_PHONE]


def test_a_notify_of_ours_that_is_wrong_enters_the_script(fed: Fed) -> None:
    assert fed.feed(document(contact()), state="").startswith("-1 ")
    assert fed.contacts() == []


def test_a_peer_that_may_notify_unasked_enters_the_script(tmp_path: Path) -> None:
    config = CONFIG + WATCHES_BOB + "unsolicited = true\n"
    fed = Fed(tmp_path / "routes.py", config)
    answer = fed.peer.notify(document(contact()), call_id="unasked")
    assert (answer.status, answer.reason) == (200, "1")
    assert fed.contacts() == [BOBS_PHONE]
    stranger = fed.peer.notify(
        document(contact(DESK)), call_id="stray", source=("192.0.2.3", 5060)
    )
    assert (stranger.status, fed.contacts()) == (481, [BOBS_PHONE])


@pytest.mark.parametrize("call_id", [None, "unasked"])
def test_a_full_document_of_nobody_that_leaves_none_registered_is_2(
    tmp_path: Path, call_id: str | None
) -> None:
    """Asked for or not: those whom it no longer names are not registered."""
    fed = Fed(tmp_path / "routes.py", CONFIG + WATCHES_BOB + "unsolicited = true\n")
    fed.peer.notify(document(contact()), call_id=call_id)
    empty = xml.serialize(Reginfo(version=1, full=True, registrations=()))
    assert fed.peer.notify(empty, call_id=call_id).reason == "2"
    assert fed.contacts() == []


# What else a script can do with it.


@pytest.mark.parametrize(
    ("body", "others", "status"),
    [
        (document(contact()), {}, 200),
        (b"<nonsense", {}, 400),
        (document(contact()), {"content_type": "text/plain"}, 415),
        (document(contact()), {"event": "presence"}, 489),
    ],
)
def test_the_response_that_fits(
    tmp_path: Path, body: bytes, others: dict[str, str], status: int
) -> None:
    """The contract: `msg.reply_for_notify()`."""
    text = """
    @route.request("NOTIFY")
    async def notify(msg: Message) -> None:
        await msg.reginfo_handle_notify("location")
        msg.reply_for_notify()
    """
    script = Script(written(tmp_path / "routes.py", text), CONFIG + WATCHES_BOB)
    answer = Notifier(script).notify(body, **others)  # type: ignore[arg-type]
    assert answer.status == status
    if status == 415:
        assert answer.header("Accept") == "application/reginfo+xml"


def test_it_may_be_another_table(tmp_path: Path) -> None:
    text = """
    @route.request("NOTIFY")
    def notify(msg: Message) -> None:
        msg.reginfo_handle_notify("$var(none)elsewhere")
        msg.send_reply(202, "Accepted")
    """
    script = Script(written(tmp_path / "routes.py", text), CONFIG + WATCHES_BOB)
    assert Notifier(script).notify(document(contact())).status == 202
    assert script.bindings(BOB) == []
    assert [b.contact for b in script.bindings(BOB, "elsewhere")] == [BOBS_PHONE]


def test_another_request_is_minus_1(tmp_path: Path) -> None:
    text = """
    @route.request()
    def main(msg: Message) -> None:
        code = msg.reginfo_handle_notify()
        msg.send_reply(200, f"{int(code)} {msg.reginfo_reason}")
    """
    script = Script(written(tmp_path / "routes.py", text))
    answer = script.send("MESSAGE", BOB)
    assert answer is not None and answer.reason == "-1 MESSAGE is not NOTIFY"


@pytest.mark.parametrize(
    ("body", "others", "said"),
    [
        (
            GOOD.replace(b' aor="', b'\n oar="'),
            {},
            f"! NOTIFY of p/{BOB}: <registration> without aor (line 2)",
        ),
        (
            GOOD,
            {"content_type": "text/plain"},
            f"! reginfo_handle_notify: NOTIFY from {PEER[0]}:{PEER[1]}: 415",
        ),
    ],
)
def test_what_was_wrong_is_one_line_in_the_log(
    fed: Fed,
    caplog: pytest.LogCaptureFixture,
    body: bytes,
    others: dict[str, str],
    said: str,
) -> None:
    """The contract, "Bad input": it names the peer, the element and the line."""
    with caplog.at_level("WARNING"):
        fed.feed(body, **others)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(said)
