"""A NOTIFY as people see it, and as programs do."""

from __future__ import annotations

from reginfo.agent.watching import Notification
from reginfo.cli.told import builtins, lines, moment
from reginfo.events.headers import SubscriptionState
from reginfo.reg.document import (
    ClaimElement,
    Contact,
    ContactEvent,
    Reginfo,
    Registration,
    RegistrationState,
    TempGruu,
)
from reginfo.reg.table import News

from ..make import ALICE, BOB, WALL

ACTIVE = SubscriptionState("active", expires=60)


def contact(uri: str = "sip:al@h", **others: object) -> Contact:
    return Contact(id="c", uri=uri, event=ContactEvent.REGISTERED, **others)  # type: ignore[arg-type]


def told(*contacts: Contact, **others: object) -> Notification:
    state = RegistrationState.ACTIVE if contacts else RegistrationState.INIT
    registration = Registration(aor=ALICE, id="r", state=state, contacts=contacts)
    document = Reginfo(
        version=3, full=False, registrations=(registration,), warnings=("odd",)
    )
    fields: dict[str, object] = {"cseq": 7, "state": ACTIVE, "document": document}
    return Notification(**(fields | others))  # type: ignore[arg-type]


def shown(one: Notification) -> list[str]:
    time = f"{moment(WALL)}  "
    found = list(lines(one, BOB, WALL))
    assert all(line.startswith(time) for line in found)
    return [line.removeprefix(time) for line in found]


def test_a_moment_is_utc_with_milliseconds() -> None:
    assert moment(1_700_000_000.25) == "2023-11-14T22:13:20.250Z"


def test_each_contact_has_a_line() -> None:
    assert shown(told(contact(expires=60), contact("sip:b@h"))) == [
        f"{ALICE}  sip:al@h  registered  active  60",
        f"{ALICE}  sip:b@h  registered  active  -",
    ]


def test_a_registration_without_contacts_has_a_line_too() -> None:
    assert shown(told()) == [f"{ALICE}  -  -  init  -"]
    assert shown(told(document=None)) == [f"{BOB}  no document"]
    empty = Reginfo(version=0, full=True)
    assert shown(told(document=empty)) == [f"{BOB}  no registration"]


def test_an_omitted_contact_has_a_line() -> None:
    news = News(ALICE, contact("sip:gone@h"), omitted=True)
    assert shown(told(document=None, news=(news,)))[1:] == [
        f"{ALICE}  sip:gone@h  omitted  terminated  -"
    ]


def test_control_characters_cannot_move_the_cursor() -> None:
    assert "\x1b" not in shown(told(contact("sip:\x1b[2J@h")))[0]


def test_json_has_the_complete_content_of_the_document() -> None:
    claim = ClaimElement(owner="b", stamp=9)
    gruu = TempGruu("sip:gr@h", 4)
    whole = contact(
        expires=0, q="0.5", params=(("ob", None),), temp_gruu=gruu, claim=claim
    )
    news = News(ALICE, contact("sip:gone@h"), omitted=True)
    terminated = SubscriptionState("terminated", None, "probation", 30)
    found_claim = {"owner": "b", "stamp": 9, "begin": 0, "edition": 0, "until": 0}
    found_claim["gone"] = False
    found = builtins(
        told(whole, news=(news,), missed=True, state=terminated), BOB, WALL
    )
    assert found == {
        "time": moment(WALL),
        "uri": BOB,
        "cseq": 7,
        "subscription": {
            "state": "terminated",
            "expires": None,
            "reason": "probation",
            "retry_after": 30,
        },
        "document": {
            "version": 3,
            "state": "partial",
            "registrations": [
                {
                    "aor": ALICE,
                    "id": "r",
                    "state": "active",
                    "contacts": [
                        {
                            "id": "c",
                            "uri": "sip:al@h",
                            "event": "registered",
                            "state": "active",
                            "expires": 0,
                            "q": "0.5",
                            "params": {"ob": None},
                            "temp_gruu": {"uri": "sip:gr@h", "first_cseq": 4},
                            "claim": found_claim,
                        }
                    ],
                }
            ],
            "warnings": ["odd"],
        },
        "omitted": [{"aor": ALICE, "uri": "sip:gone@h"}],
        "missed": True,
    }
    assert builtins(told(document=None), BOB, WALL)["document"] is None
