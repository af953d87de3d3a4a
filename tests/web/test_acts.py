"""What an administrator does by the API; an invalid request changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from reginfo.location.record import Record, RecordKind
from reginfo.location.stamp import Stamp

from .fake import ALICE, BOB, CAROL, binding
from .test_api import Client

NOBODY = "nobody"
CONTACT = "sip:alice@192.0.2.1"
REJECTED = Record(kind=RecordKind.REJECTED, value="", stamp=Stamp(1), owner="a")


@pytest.fixture
def client() -> Client:
    client = Client((ALICE, binding("alice")), (BOB, binding("bob")))
    client.app.barring = [(CAROL, REJECTED)]
    return client


def test_contacts_are_shortened(client: Client) -> None:
    answer = client.request("PATCH", "/v1/aors/alice@example.com", json={"expires": 30})
    assert (answer.status_code, answer.json()) == (200, {"shortened": 1})
    # What ends before is not touched; that is no error.
    body = {"expires": 40, "contact": CONTACT}
    answer = client.request("PATCH", "/v1/aors/alice@example.com", json=body)
    assert (answer.status_code, answer.json()) == (200, {"shortened": 0})


def test_a_contact_is_added_and_shown(client: Client) -> None:
    body = {"contact": "sip:carol@192.0.2.7", "expires": 600, "q": 0.5}
    answer = client.request("POST", "/v1/aors/dave@example.com", json=body)
    assert answer.status_code == 201
    made = answer.json()
    assert (made["aor"], made["uri"]) == ("sip:dave@example.com", body["contact"])
    assert (made["event"], made["expires"], made["q"]) == ("created", 600, 0.5)
    # An hour, if nothing is said.
    again = {"contact": "sip:carol@192.0.2.8"}
    answer = client.request("POST", "/v1/aors/dave@example.com", json=again)
    assert answer.json()["expires"] == 3600


def test_a_user_is_admitted_once(client: Client) -> None:
    answer = client.request("DELETE", "/v1/barred/carol@example.com")
    assert (answer.status_code, answer.json()) == (200, {"admitted": CAROL})
    answer = client.request("DELETE", "/v1/barred/carol@example.com")
    assert answer.status_code == 404
    assert answer.json() == {"error": f"{CAROL} is neither rejected nor on probation"}


def test_a_user_without_contacts_can_be_rejected(client: Client) -> None:
    answer = client.request("DELETE", "/v1/aors/dave@example.com?event=rejected")
    assert (answer.status_code, answer.json()) == (200, {"removed": 0})


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PATCH", "/v1/aors/alice@example.com", {}, 400),
        ("PATCH", "/v1/aors/alice@example.com", {"expires": -1}, 400),
        ("PATCH", "/v1/aors/alice@example.com", {"expires": "soon"}, 400),
        ("PATCH", "/v1/aors/alice@example.com", {"expires": 1, "x": 1}, 400),
        ("PATCH", "/v1/aors/alice@example.com", {"expires": 1, "contact": NOBODY}, 400),
        ("PATCH", "/v1/aors/dave@example.com", {"expires": 1}, 404),
        ("POST", "/v1/aors/alice@example.com", {}, 400),
        ("POST", "/v1/aors/alice@example.com", {"contact": ""}, 400),
        ("POST", "/v1/aors/alice@example.com", {"contact": "sip:x", "expires": 0}, 400),
        ("POST", "/v1/aors/alice@example.com", {"contact": "sip:x", "q": 2}, 400),
        ("POST", "/v1/aors/carol@example.com", {"contact": "sip:x"}, 400),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_said_and_changes_nothing(
    client: Client, method: str, path: str, body: dict[str, Any], status: int
) -> None:
    before = list(client.app.known)
    answer = client.request(method, path, json=body)
    assert answer.status_code == status
    assert answer.json()["error"]
    assert client.app.known == before


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/v1/aors/alice@example.com", {"expires": 30}),
        ("POST", "/v1/aors/alice@example.com", {"contact": "sip:x@y"}),
        ("DELETE", "/v1/barred/carol@example.com", None),
    ],
)
def test_an_act_that_is_not_on_disk_has_not_happened(
    client: Client, method: str, path: str, body: dict[str, Any] | None
) -> None:
    client.app.taken_back = [True]
    answer = client.request(method, path, json=body)
    assert answer.status_code == 503
    assert answer.json() == {"error": "the store cannot commit: nothing was changed"}
