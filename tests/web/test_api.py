"""The administrator's API shows what the server knows, and no more."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from reginfo.location.binding import Binding
from reginfo.reg.document import ContactEvent
from reginfo.web.api import api

from .fake import ALICE, BOB, CAROL, FakeApp, binding


class Client:
    """Asks the API, without a socket."""

    def __init__(self, *known: tuple[str, Binding]) -> None:
        self._transport = httpx.ASGITransport(api(FakeApp(*known)))

    def request(self, method: str, path: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(
                transport=self._transport, base_url="http://localhost"
            ) as client:
                return await client.request(method, path)

        return asyncio.run(ask())

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", path)


@pytest.fixture
def client() -> Client:
    alice2 = binding(
        "alice2",
        q="0.5",
        params=(("+sip.instance", '"<urn:x>"'), ("ob", None)),
        path=("<sip:p1;lr>", "<sip:p2;lr>"),
        received="sip:198.51.100.1:1024",
        source="b",
        owner="b",
        event=ContactEvent.REFRESHED,
    )
    return Client(
        (ALICE, binding("alice")),
        (ALICE, alice2),
        (BOB, binding("bob")),
        (CAROL, binding("carol")),
    )


def shown(client: Client, path: str) -> list[str]:
    return [row["uri"] for row in client.get(path).json()["bindings"]]


def test_a_binding_is_shown_whole(client: Client) -> None:
    response = client.get("/v1/aors/sip%3Aalice%40example.com")
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {
        "bindings": [
            {
                "aor": ALICE,
                "uri": "sip:alice@192.0.2.1",
                "owner": "a",
                "source": None,
                "expires": 60,
                "callid": "call-alice",
                "cseq": 7,
                "q": None,
                "params": {},
                "path": [],
                "received": None,
                "event": "registered",
            },
            {
                "aor": ALICE,
                "uri": "sip:alice2@192.0.2.1",
                "owner": "b",
                "source": "b",
                "expires": 60,
                "callid": "call-alice2",
                "cseq": 7,
                "q": 0.5,
                "params": {"+sip.instance": '"<urn:x>"', "ob": None},
                "path": ["<sip:p1;lr>", "<sip:p2;lr>"],
                "received": "sip:198.51.100.1:1024",
                "event": "refreshed",
            },
        ]
    }


@pytest.mark.parametrize("aor", ["bob@example.com", "sip:bob@EXAMPLE.com", BOB])
def test_an_aor_is_found_however_it_is_written(client: Client, aor: str) -> None:
    assert shown(client, f"/v1/aors/{aor}") == ["sip:bob@192.0.2.1"]


@pytest.mark.parametrize("aor", ["sip:dave@example.com", "%00", "sip:", "a/b"])
def test_an_unknown_aor_is_404(client: Client, aor: str) -> None:
    response = client.get(f"/v1/aors/{aor}")
    assert response.status_code == 404
    assert "nobody is registered as" in response.json()["error"]


def test_a_page_has_all_contacts_of_its_aors(client: Client) -> None:
    first = client.get("/v1/aors?limit=1").json()
    assert [row["aor"] for row in first["bindings"]] == [ALICE, ALICE]
    assert first["next"] == ALICE

    second = client.get(f"/v1/aors?limit=2&after={ALICE}").json()
    assert [row["aor"] for row in second["bindings"]] == [BOB, CAROL]
    assert "next" not in second


def test_aors_are_filtered_by_a_part(client: Client) -> None:
    assert shown(client, "/v1/aors?q=sip:c") == ["sip:carol@192.0.2.1"]
    assert len(shown(client, "/v1/aors?q=example.com")) == 4
    assert shown(client, "/v1/aors?q=nobody") == []


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=10001", "lmit=1"])
def test_a_wrong_query_is_400(client: Client, query: str) -> None:
    response = client.get(f"/v1/aors?{query}")
    assert response.status_code == 400
    assert response.json()["error"]


def test_other_errors_are_json_too(client: Client) -> None:
    assert client.get("/v2").json() == {"error": "no such resource"}
    assert client.request("POST", "/v1/aors").json() == {"error": "only GET"}


def test_health_is_the_servers_own(client: Client) -> None:
    assert client.get("/v1/health").json() == {"status": "ok"}


def test_octets_that_are_no_utf8_do_not_break_the_page() -> None:
    odd = binding("odd", params=(("name", "\udcff"),))
    client = Client((ALICE, odd))
    assert client.get("/v1/aors").json()["bindings"][0]["params"] == {"name": "\ufffd"}
