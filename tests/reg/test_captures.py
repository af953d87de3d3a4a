"""What Kamailio 5.6 and OpenSIPS 4.1 really sent: all of it is understood."""

from pathlib import Path

import pytest

from reginfo.reg import xml
from reginfo.reg.document import (
    Contact,
    ContactEvent,
    Reginfo,
    Registration,
    RegistrationState,
)
from reginfo.sip.errors import RemoteProtocolError

CAPTURES = Path(__file__).parent.parent / "captures"

ALICE, BOB = "sip:alice@example.test", "sip:bob@example.com"
ACTIVE, TERMINATED = RegistrationState.ACTIVE, RegistrationState.TERMINATED


def body_of(path: Path) -> bytes:
    """The body of a capture, as long as its Content-Length says."""
    head, body = path.read_bytes().split(b"\r\n\r\n", 1)
    (length,) = [
        int(line[15:])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    ]
    assert len(body) == length
    return body


def full(*registrations: Registration, version: int = 0) -> Reginfo:
    return Reginfo(version=version, full=True, registrations=registrations)


def registration(
    aor: str, id: str, state: RegistrationState, *contacts: Contact
) -> Registration:
    return Registration(aor=aor, id=id, state=state, contacts=contacts)


def kamailio(
    id: str, event: str, expires: int, number: int, cseq: int, q: str | None = None
) -> Contact:
    return Contact(
        id=id,
        uri=f"sip:alice@127.0.0.1:{37611 + number}",
        event=ContactEvent(event),
        expires=expires,
        q=q,
        callid=f"reg-alice-{number}-fn1@drv",
        cseq=cseq,
        user_agent="drv",
    )


def opensips(
    id: str,
    uri: str,
    event: str,
    expires: int,
    callid: str,
    cseq: int,
    q: str | None = None,
    user_agent: str = "ua-one/1.0",
) -> Contact:
    return Contact(
        id=id,
        uri=uri,
        event=ContactEvent(event),
        expires=expires,
        q=q,
        callid=callid,
        cseq=cseq,
        user_agent=user_agent,
    )


A0, A1 = "0x7fafdaccf7b0", "0x7fafdacd1f60"
OF_ALICE = "0x7fafdaccf698"
CREATED = registration(ALICE, OF_ALICE, ACTIVE, kamailio(A0, "created", 600, 0, 1))
REFRESHED = registration(ALICE, OF_ALICE, ACTIVE, kamailio(A0, "refreshed", 900, 0, 2))
SECOND = registration(
    ALICE,
    OF_ALICE,
    ACTIVE,
    kamailio(A1, "created", 900, 1, 1, "0.5"),
    kamailio(A0, "registered", 899, 0, 2),
)
UNREGISTERED = registration(
    ALICE, OF_ALICE, TERMINATED, kamailio(A0, "unregistered", 893, 0, 2)
)
EXPIRED = registration(ALICE, "0x7fafdacd6fb0", TERMINATED)

BOB_UDP, BOB_1, BOB_2 = (
    "sip:bob@192.0.2.1:5060;transport=udp",
    "sip:bob@192.0.2.1",
    "sip:bob@192.0.2.2",
)
OF_BOB = "0x7f1248dc5ae8.0"
B0, B1 = "0x7f1248dc5cb0", "0x7f1248dc6600"

OF_BOBS = "0x7f89c45e3ae8."
BOTH = (
    opensips("0x7f89c45e3cb0", BOB_1, "refreshed", 595, "k1", 1),
    opensips("0x7f89c45e47f0", BOB_2, "registered", 598, "k2", 1),
)

CAROL = Contact(
    id="c1",
    uri="sip:carol@192.0.2.1",
    event=ContactEvent.REGISTERED,
    expires=500,
    callid="p1",
    cseq=1,
)
CAROL_2 = Contact(
    id="c2",
    uri="sip:carol@192.0.2.2",
    event=ContactEvent.REGISTERED,
    expires=500,
    callid="p2",
    cseq=1,
)
CAROLS = registration("sip:carol@example.com", "r1", ACTIVE, CAROL)
MERGED = registration("sip:carol@example.com", "r1", ACTIVE, CAROL, CAROL_2)

DOCUMENTS = {
    "kamailio/06-notify-created": full(CREATED),
    "kamailio/07-notify-refreshed": full(REFRESHED),
    "kamailio/08-notify-second-contact": full(SECOND),
    "kamailio/09-notify-initial-of-late-watcher": full(SECOND),
    "kamailio/10-notify-one-of-two-unregistered": full(
        registration(
            ALICE,
            OF_ALICE,
            ACTIVE,
            kamailio(A1, "unregistered", 895, 1, 1, "0.5"),
            kamailio(A0, "registered", 894, 0, 2),
        )
    ),
    "kamailio/11-notify-last-unregistered": full(UNREGISTERED),
    "kamailio/12-notify-initial-after-unregistered": full(UNREGISTERED),
    "kamailio/13-notify-last-contact-expired": full(EXPIRED),
    "kamailio/14-notify-contact-with-params": full(
        registration(
            "sip:bob@example.test",
            "0x7fafdacd4f08",
            ACTIVE,
            opensips(
                "0x7fafdacd5020",
                "sip:bob@127.0.0.1:37611;transport=udp;ob",
                "created",
                600,
                "reg-bob-0-fn1@drv",
                1,
                "0.7",
                "drv",
            ),
        )
    ),
    "kamailio/15-notify-unsubscribe": full(EXPIRED),
    "kamailio/18-notify-refreshed-dlginfo_increase_version1": full(
        registration(
            ALICE,
            "0x7f6ff0acf698",
            ACTIVE,
            opensips(
                "0x7f6ff0acf7b0",
                "sip:alice@127.0.0.1:58500",
                "refreshed",
                900,
                "reg-alice-0-fn1@drv",
                2,
                user_agent="drv",
            ),
        ),
        version=1,
    ),
    "kamailio/20-publish-initial": full(CREATED),
    "kamailio/22-publish-update": full(REFRESHED),
    "kamailio/24-notify-scscf-identities": full(
        *(
            registration(
                aor,
                id,
                ACTIVE,
                Contact(
                    id="0x7f8200198068",
                    uri="sip:alice@127.0.0.1:15090",
                    event=ContactEvent.REGISTERED,
                    expires=596,
                    q="0",
                ),
            )
            for aor, id in (
                (ALICE, "0x7f8200197c10"),
                ("sip:also-alice@example.test", "0x7f82001985b0"),
                ("tel:+15550100", "0x7f8200198a08"),
            )
        ),
        version=2,
    ),
    "opensips/01-publish-first": full(
        registration(
            BOB,
            OF_BOB,
            ACTIVE,
            opensips(B0, BOB_UDP, "registered", 600, "k1", 1, "0.5"),
        )
    ),
    "opensips/02-publish-refresh": full(
        registration(
            BOB,
            OF_BOB,
            ACTIVE,
            opensips(B0, BOB_UDP, "refreshed", 600, "k1", 2, "0.5"),
        )
    ),
    "opensips/03-publish-second-contact": full(
        registration(
            BOB,
            OF_BOB,
            ACTIVE,
            opensips(B0, BOB_UDP, "registered", 598, "k1", 2, "0.5"),
            opensips(B1, BOB_2, "registered", 600, "k2", 1, user_agent="n/a"),
        )
    ),
    "opensips/04-publish-one-of-two-unregistered": full(
        registration(
            BOB,
            OF_BOB,
            ACTIVE,
            opensips(B0, BOB_UDP, "registered", 595, "k1", 2, "0.5"),
            opensips(B1, BOB_2, "unregistered", 0, "k2", 2, user_agent="n/a"),
        )
    ),
    "opensips/05-publish-last-unregistered": full(
        registration(
            BOB,
            OF_BOB,
            TERMINATED,
            opensips(B0, BOB_UDP, "unregistered", 0, "k1", 2, "0.5"),
        )
    ),
    "opensips/06-publish-expired": full(
        registration(
            BOB,
            "0x7f1248dc61f8.0",
            TERMINATED,
            opensips("0x7f1248dc6698", BOB_UDP, "expired", 0, "k1b", 4, "0.5"),
        )
    ),
    "opensips/07-publish-identities": full(
        *(
            registration(
                aor,
                f"{OF_BOBS}{number}",
                ACTIVE,
                opensips("0x7f89c45e3cb0", BOB_1, "registered", 598, "k1", 1),
            )
            for number, aor in enumerate((BOB, "tel:+15551234"))
        )
    ),
    "opensips/08-publish-identities-badly-split": full(
        *(
            registration(aor, f"{OF_BOBS}{number}", ACTIVE, *BOTH)
            for number, aor in enumerate(
                (
                    '"Doe',
                    'J" <sip:bob@example.com;user=phone>',
                    "sip:b2@example.com",
                    "sip:x&y@example.com",
                )
            )
        )
    ),
    "opensips/11-notify-placeholder-replaced": full(CAROLS, version=2),
    "opensips/12-notify-two-registrations-of-one-aor": full(MERGED, version=3),
    "opensips/13-notify-removal-first": full(MERGED, version=4),
    "opensips/14-notify-removal-second": full(MERGED, version=1),
}
DAMAGED = "opensips/10-notify-damaged-by-overwrite"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_body_says_what_it_says(name: str) -> None:
    """A captured body is read as its peer meant it (3680-77, -80, -81)."""
    assert xml.parse(body_of(CAPTURES / f"{name}.sip")) == DOCUMENTS[name]


def test_every_document_among_the_captures_is_looked_at() -> None:
    names = {
        str(path.relative_to(CAPTURES).with_suffix(""))
        for path in CAPTURES.glob("*/*.sip")
        if b"<reginfo" in path.read_bytes()
    }
    assert names == {*DOCUMENTS, DAMAGED}


def test_damaged_body_is_refused() -> None:
    """A damaged body is refused (3680-50)."""
    with pytest.raises(RemoteProtocolError, match=r"not well-formed.*line 2"):
        xml.parse(body_of(CAPTURES / f"{DAMAGED}.sip"))


def test_two_registrations_of_one_aor_are_merged_with_a_warning() -> None:
    """
    Two registrations of one address-of-record are merged with a warning (3680-59).
    """
    name = "opensips/12-notify-two-registrations-of-one-aor"
    body = body_of(CAPTURES / f"{name}.sip")
    document = xml.parse(body)
    assert [r.id for r in document.registrations] == ["r1"]
    assert document.warnings == (
        "two <registration> of sip:carol@example.com (line 8)",
    )
    with pytest.raises(RemoteProtocolError, match="two <registration>"):
        xml.parse(body, strict=True)
