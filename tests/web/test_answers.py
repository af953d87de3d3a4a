"""What the API reads of requests: JSON, with nothing in it that it does not know."""

from __future__ import annotations

import pytest

from reginfo.config.sections import PeerSection
from reginfo.location.record import Record, RecordKind
from reginfo.location.stamp import Stamp
from reginfo.routing.domains import Domains
from reginfo.web.answers import MAX_BODY, user

from .fake import ALICE, BOB, FakeApp, binding, mirror, watch
from .test_api import Client

TYPED = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{}", {}, 415),
        (b"{}", {"content-type": "text/plain"}, 415),
        (b"{", TYPED, 400),
        (b'{"rate": 0}', TYPED, 400),
        (b'{"rat": 1}', TYPED, 400),
        (b'{"rate": 1}', {"content-type": "Application/JSON; charset=utf-8"}, 202),
    ],
)
def test_a_body_is_json_and_says_so(
    body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = Client().request("POST", "/v1/drain", content=body, headers=headers)
    assert answer.status_code == status
    assert ("error" in answer.json()) == (status >= 400)


def test_a_long_body_is_not_read_to_its_end() -> None:
    """3261-158"""
    answer = Client().request(
        "POST", "/v1/drain", content=b" " * (MAX_BODY + 1), headers=TYPED
    )
    assert answer.status_code == 413
    assert answer.json() == {"error": "the body is longer than 65536 octets"}
    body = b" " * (MAX_BODY - 11) + b'{"rate": 1}'
    answer = Client().request("POST", "/v1/drain", content=body, headers=TYPED)
    assert answer.status_code == 202


@pytest.mark.parametrize(
    ("text", "aor"),
    [
        ("alice@Example.com", "sip:alice@example.com"),
        ("sip:alice@example.com;x=y", "sip:alice@example.com"),
        ("no address", "no address"),
    ],
)
def test_an_address_of_record_may_be_written_in_short(text: str, aor: str) -> None:
    assert user(FakeApp(), text) == aor


ONE_DOMAIN = Domains(
    ["example.com", "example.net"], use_domain=False, default_domain="example.com"
)


@pytest.mark.parametrize(
    ("text", "aor"),
    [
        ("alice@example.net", ALICE),
        ("sip:alice@EXAMPLE.net;x=y", ALICE),
        ("alice", ALICE),
        ("alice@elsewhere.test", "sip:alice@elsewhere.test"),
        ("tel:+1-555", "tel:+1555"),
    ],
)
def test_a_user_of_all_domains_is_found_by_any_of_them(text: str, aor: str) -> None:
    """`use_domain = false`: the API knows users as REGISTER does"""
    app = FakeApp()
    app.domains = ONE_DOMAIN
    assert user(app, text) == aor


def test_every_request_of_the_api_names_users_alike() -> None:
    rejected = Record(kind=RecordKind.REJECTED, value="", stamp=Stamp(1), owner="a")
    client = Client(
        (ALICE, binding("alice")),
        (BOB, binding("bob")),
        watches=(watch(ALICE, "1"), watch(BOB, "2")),
        peers=(PeerSection(name="b", uri="sip:b.example.com"),),
        mirrors=(mirror("b", ALICE), mirror("b", BOB)),
    )
    client.app.domains = ONE_DOMAIN
    client.app.barring = [(ALICE, rejected), (BOB, rejected)]
    other = "alice@example.net"

    def shown(path: str, rows: str) -> list[str]:
        return [row["aor"] for row in client.get(path).json()[rows]]

    assert shown(f"/v1/aors/{other}", "bindings") == [ALICE]
    assert shown(f"/v1/watchers?aor={other}", "watchers") == [ALICE]
    assert shown(f"/v1/peers?aor={other}", "peers") == [ALICE]
    assert shown(f"/v1/barred?aor={other}", "barred") == [ALICE]
    assert client.request("DELETE", f"/v1/barred/{other}").json() == {"admitted": ALICE}
    answer = client.request("PATCH", f"/v1/aors/{other}", json={"expires": 5})
    assert answer.json() == {"shortened": 1}
    assert client.request("DELETE", f"/v1/aors/{other}").json() == {"removed": 1}
    added = {"contact": "sip:alice@192.0.2.9", "expires": 60}
    answer = client.request("POST", f"/v1/aors/{other}", json=added)
    assert answer.json()["aor"] == ALICE
