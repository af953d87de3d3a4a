"""The administrator's API shows what the server knows, and no more."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

from reginfo.config.sections import PeerSection
from reginfo.events.headers import SubscriptionState
from reginfo.events.states import SubscriberState
from reginfo.location.binding import Binding
from reginfo.location.place import Aor
from reginfo.reg.document import ContactEvent
from reginfo.web.api import api

from .fake import ALICE, BOB, CAROL, NOW, FakeApp, binding, mirror, watch


class Client:
    """Asks the API, without a socket."""

    def __init__(self, *known: tuple[str, Binding], **others: Any) -> None:
        self.app = FakeApp(*known, **others)
        self._transport = httpx2.ASGITransport(
            api(self.app), raise_app_exceptions=False
        )

    def request(self, method: str, path: str, **others: Any) -> httpx2.Response:
        async def ask() -> httpx2.Response:
            async with httpx2.AsyncClient(
                transport=self._transport, base_url="http://localhost"
            ) as client:
                return await client.request(method, path, **others)

        return asyncio.run(ask())

    def get(self, path: str) -> httpx2.Response:
        return self.request("GET", path)


@pytest.fixture
def client() -> Client:
    alice2 = binding(
        "alice2",
        q="0.5",
        params=(("+sip.instance", '"<urn:x>"'), ("ob", None)),
        path=("<sip:p1;lr>", "<sip:p2;lr>"),
        received="sip:198.51.100.1:1024",
        source=f"b/{ALICE}",
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
                "source": f"b/{ALICE}",
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


@pytest.mark.parametrize(
    ("query", "users"),
    [
        ("q=sip:c", "carol"),
        ("q=example.com", "alice alice2 bob carol"),
        ("q=nobody", ""),
        ("prefix=sip:al", "alice alice2"),
        ("prefix=al", ""),
        ("domain=EXAMPLE.com", "alice alice2 bob carol"),
        ("domain=example.co", ""),
        ("owner=b", "alice2"),
        ("source=b", "alice2"),
        ("source=b/sip:alice@example.com", "alice2"),
        ("source=b/sip:bob@example.com", ""),
        ("owner=a&q=ali", "alice"),
    ],
)
def test_bindings_are_filtered(client: Client, query: str, users: str) -> None:
    expected = [f"sip:{user}@192.0.2.1" for user in users.split()]
    assert shown(client, f"/v1/aors?{query}") == expected


def test_a_filtered_page_has_as_many_as_a_whole_one(client: Client) -> None:
    first = client.get("/v1/aors?owner=a&limit=2").json()
    assert [row["uri"] for row in first["bindings"]] == [
        "sip:alice@192.0.2.1",
        "sip:bob@192.0.2.1",
    ]
    assert first["next"] == BOB


def test_who_has_no_contact_left_takes_no_room_in_a_page() -> None:
    class Gone(FakeApp):
        def aors(self) -> list[Aor]:
            return [ALICE, BOB, CAROL]

    client = Client()
    client.app = app = Gone((BOB, binding("bob")))
    client._transport = httpx2.ASGITransport(api(app))
    assert client.get("/v1/aors?limit=1").json() == {
        "bindings": client.get(f"/v1/aors/{BOB}").json()["bindings"]
    }


def test_what_is_taken_back_is_not_shown() -> None:
    # It was in memory when it was read; but the commit failed.
    client = Client((ALICE, binding("alice")), (BOB, binding("bob")))
    client.app.taken_back = [True]
    assert shown(client, "/v1/aors") == ["sip:alice@192.0.2.1"]
    client.app.taken_back = [True]
    assert client.get(f"/v1/aors/{ALICE}").status_code == 404


@pytest.mark.parametrize("path", ["/v1/aors", "/v1/watchers", "/v1/peers"])
@pytest.mark.parametrize(
    "query", ["limit=0", "limit=x", "limit=10001", "limit=-1", "lmit=1", "x="]
)
def test_a_wrong_query_is_400(client: Client, path: str, query: str) -> None:
    response = client.get(f"{path}?{query}")
    assert response.status_code == 400
    assert response.json()["error"]


def test_other_errors_are_json_too(client: Client) -> None:
    assert client.get("/v2").json() == {"error": "no such resource"}
    wrong = client.request("POST", "/v1/aors")
    assert wrong.status_code == 405
    assert wrong.json()["error"].startswith("POST is not allowed here: only ")
    assert "GET" in wrong.headers["allow"]
    assert client.get("/v1/drain").headers["allow"] == "POST"


def test_an_error_of_ours_is_json_too(client: Client) -> None:
    client.app.known[0] = (ALICE, None)  # type: ignore[assignment]
    response = client.get("/v1/aors")
    assert response.status_code == 500
    assert response.json() == {"error": "internal error: see the log"}


def test_a_control_character_is_replaced() -> None:
    """3261-90: it came as a quoted-pair (RFC 4475 intmeth)."""
    odd = binding("odd", call_id="c\x1b[2J", params=(("name", '"\\\x07\x7f\\\\"'),))
    client = Client((ALICE, odd))
    (row,) = client.get("/v1/aors").json()["bindings"]
    assert row["params"] == {"name": '"\\\ufffd\ufffd\\\\"'}
    assert row["callid"] == "c\ufffd[2J"


def test_octets_that_are_no_utf8_do_not_break_the_page() -> None:
    odd = binding("odd", params=(("name", "\udcff"),))
    client = Client((ALICE, odd))
    assert client.get("/v1/aors").json()["bindings"][0]["params"] == {"name": "\ufffd"}


# Who watches.


def watching() -> Client:
    return Client(
        watches=(
            watch(BOB, "one", peer="b", event="reg;id=7", min_interval=0.0),
            watch(ALICE, "two", reason="timeout", instance='"<urn:x>"', version=3),
            watch(ALICE, "three", watcher="sip:carol@example.net"),
            watch("sip:al@example.net", "four"),
        )
    )


def calls(client: Client, query: str = "") -> list[str]:
    rows = client.get(f"/v1/watchers{query}").json()["watchers"]
    return [row["callid"] for row in rows]


def test_a_watcher_is_shown_whole() -> None:
    rows = watching().get("/v1/watchers?peer=b").json()
    assert rows == {
        "watchers": [
            {
                "aor": BOB,
                "watcher": "sip:bob@example.org",
                "contact": "sip:bob@192.0.2.50",
                "peer": "b",
                "state": "active",
                "reason": None,
                "expires": 600,
                "version": 0,
                "id": "7",
                "callid": "one",
                "unanswered": False,
                "waits": False,
                "min_interval": 0.0,
                "profile": "standard",
                "instance": None,
            }
        ]
    }
    (ending,) = watching().get("/v1/watchers?q=alice&watcher=bob").json()["watchers"]
    assert (ending["state"], ending["reason"]) == ("terminated", "timeout")
    assert (ending["version"], ending["instance"]) == (3, '"<urn:x>"')


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "four three two one"),
        ("?q=alice", "three two"),
        ("?aor=alice@EXAMPLE.com", "three two"),
        ("?prefix=sip:al", "four three two"),
        ("?domain=example.net", "four"),
        ("?watcher=carol", "three"),
        ("?peer=b", "one"),
        ("?peer=c", ""),
    ],
)
def test_watchers_are_filtered(query: str, expected: str) -> None:
    assert calls(watching(), query) == expected.split()


def test_watchers_are_paged_one_by_one() -> None:
    client = watching()
    found, after, pages = [], "", 0
    while after is not None:
        query = httpx2.QueryParams(limit=1, after=after)
        page = client.get(f"/v1/watchers?{query}").json()
        found += [row["callid"] for row in page["watchers"]]
        after = page.get("next")
        pages += 1
    assert (found, pages) == (["four", "three", "two", "one"], 4)


def test_a_watcher_that_has_gone_meanwhile_is_not_shown() -> None:
    class Gone(FakeApp):
        def serves(self, watch: object) -> bool:
            return False

    client = Client()
    client._transport = httpx2.ASGITransport(api(Gone(watches=(watch(BOB, "one"),))))
    assert calls(client) == []


# Peers.


def peering() -> Client:
    told = mirror("b", BOB, "sip:z@h", "sip:y@h")
    told.notified(SubscriptionState("active"), False, NOW - 3.5)
    told.notified(SubscriptionState("active"), True, NOW - 2.5)
    waiting = mirror(
        "b", ALICE, state=SubscriberState.WAITING, dialog=None, timer_at=NOW + 4
    )
    waiting.problem = "SUBSCRIBE: 404 Not Found"
    return Client(
        peers=(PeerSection(name="c"), PeerSection(name="b", uri="sip:192.0.2.2")),
        mirrors=(told, waiting),
    )


def test_a_held_subscription_is_shown_whole() -> None:
    assert peering().get("/v1/peers").json() == {
        "peers": [
            {
                "name": "b",
                "uri": "sip:192.0.2.2",
                "aor": ALICE,
                "state": "waiting",
                "expires": None,
                "next": 4,
                "notified": None,
                "missed": 0,
                "problem": "SUBSCRIBE: 404 Not Found",
                "contacts": [],
            },
            {
                "name": "b",
                "uri": "sip:192.0.2.2",
                "aor": BOB,
                "state": "active",
                "expires": 600,
                "next": 300,
                "notified": 2,
                "missed": 1,
                "problem": None,
                "contacts": ["sip:y@h", "sip:z@h"],
            },
            {
                "name": "c",
                "uri": None,
                "aor": None,
                "state": None,
                "expires": None,
                "next": None,
                "notified": None,
                "missed": 0,
                "problem": None,
                "contacts": [],
            },
        ]
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("name=b", [ALICE, BOB]),
        ("name=c", [None]),
        ("name=d", []),
        ("state=active", [BOB]),
        ("aor=bob@example.com", [BOB]),
        ("q=ali", [ALICE]),
        ("prefix=sip:b", [BOB]),
        ("domain=example.com", [ALICE, BOB]),
        ("domain=example.net", []),
    ],
)
def test_peers_are_filtered(query: str, expected: list[str | None]) -> None:
    rows = peering().get(f"/v1/peers?{query}").json()["peers"]
    assert [row["aor"] for row in rows] == expected


def test_peers_are_paged() -> None:
    client = peering()
    first = client.get("/v1/peers?limit=2").json()
    assert [row["aor"] for row in first["peers"]] == [ALICE, BOB]
    query = httpx2.QueryParams(limit=2, after=first["next"])
    second = client.get(f"/v1/peers?{query}").json()
    assert [row["name"] for row in second["peers"]] == ["c"]
    assert "next" not in second


# Removing.


@pytest.mark.parametrize(
    ("query", "event", "left"),
    [
        ("", "deactivated", 0),
        ("?event=rejected", "rejected", 0),
        ("?contact=sip:alice2@192.0.2.1&event=unregistered", "unregistered", 1),
    ],
)
def test_contacts_are_removed_for_a_reason(
    client: Client, query: str, event: str, left: int
) -> None:
    response = client.request("DELETE", f"/v1/aors/alice@example.com{query}")
    assert (response.status_code, response.json()) == (200, {"removed": 2 - left})
    assert client.app.removed == [(ContactEvent(event), None)]
    assert len(client.app.bindings(ALICE)) == left


def test_a_probation_has_an_end(client: Client) -> None:
    path = "/v1/aors/alice@example.com?event=probation"
    assert client.request("DELETE", path).status_code == 400
    assert client.request("DELETE", f"{path}&retry_after=60").status_code == 200
    assert client.app.removed == [(ContactEvent.PROBATION, 60)]


@pytest.mark.parametrize(
    "query", ["event=expired", "event=", "evnt=x", "retry_after=-1", "retry_after=x"]
)
def test_a_wrong_removal_is_400_and_removes_nothing(client: Client, query: str) -> None:
    response = client.request("DELETE", f"/v1/aors/alice@example.com?{query}")
    assert response.status_code == 400
    assert response.json()["error"]
    assert len(client.app.bindings(ALICE)) == 2


def test_who_is_not_there_cannot_be_removed(client: Client) -> None:
    response = client.request("DELETE", "/v1/aors/dave@example.com")
    assert response.status_code == 404
    response = client.request("DELETE", "/v1/aors/bob@example.com?contact=sip:x@y")
    assert response.status_code == 404
    assert response.json() == {
        "error": "nobody is registered as sip:bob@example.com at sip:x@y"
    }


def test_a_removal_that_is_not_on_disk_has_not_happened(client: Client) -> None:
    client.app.taken_back = [True]
    response = client.request("DELETE", "/v1/aors/alice@example.com")
    assert response.status_code == 503


# How the server is, and leaving.


@pytest.mark.parametrize(
    ("status", "code"),
    [("ok", 200), ("degraded", 503), ("draining", 503), ("drained", 503)],
)
def test_health_is_the_servers_own_and_its_code_is_for_balancers(
    status: str, code: int
) -> None:
    response = Client(health={"status": status}).get("/v1/health")
    assert (response.status_code, response.json()["status"]) == (code, status)


@pytest.mark.parametrize(("body", "rate"), [("{}", 100.0), ('{"rate": 2.5}', 2.5)])
def test_a_server_is_drained_at_a_rate(body: str, rate: float) -> None:
    client = Client(watches=(watch(BOB, "one"),))
    kind = {"content-type": "application/json; charset=utf-8"}
    response = client.request("POST", "/v1/drain", content=body, headers=kind)
    assert response.status_code == 202
    assert response.json() == {"watchers": 1, "left": 1, "gave_up": 0, "rate": rate}
    assert client.app.drained == [rate]


@pytest.mark.parametrize(
    "body", ["", "[]", '{"rate": 0}', '{"rate": -1}', '{"rate": "x"}', '{"rat": 1}']
)
def test_a_wrong_drain_is_400(body: str) -> None:
    client = Client()
    kind = {"content-type": "application/json"}
    response = client.request("POST", "/v1/drain", content=body, headers=kind)
    assert response.status_code == 400
    assert response.json()["error"]
    assert client.app.drained == []


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded"]
)
def test_a_page_of_somebody_elses_cannot_drain_the_server(kind: str) -> None:
    # What a browser sends across origins without asking first.
    client = Client()
    headers = {"content-type": kind} if kind else {}
    response = client.request("POST", "/v1/drain", content="{}", headers=headers)
    assert response.status_code == 415
    assert client.app.drained == []


def test_links_are_shown_as_they_are() -> None:
    assert peering().get("/v1/links").json() == {
        "links": [
            {
                "peer": "b",
                "group": "sip:allusers@example.com",
                "role": "source",
                "state": "syncing 41 200 of about 100 000",
                "lag": 0.25,
                "behind": 58_800,
                "cursor": "k3/41200",
                "window": "8 of 8",
                "refused": 0,
                "drift": 0,
                "problem": None,
            }
        ],
        "publications": [
            {
                "server": "sip:presence.example.com",
                "state": "publishing 2 of 100",
                "publications": 100,
                "waiting": 2,
                "problem": None,
            }
        ],
    }


def test_a_peer_that_cannot_be_found_says_why() -> None:
    """3263-20: in its own row, and in those of its subscriptions."""
    sections = tuple(PeerSection(name=n, uri=f"sip:{n}.example") for n in ("b", "c"))
    client = Client(peers=sections, mirrors=(mirror("b", BOB),))
    client.app.unreachable = {"b": "b.example: no such host", "c": "no answer"}
    rows = client.get("/v1/peers").json()["peers"]
    assert [(row["name"], row["aor"], row["problem"]) for row in rows] == [
        ("b", BOB, "b.example: no such host"),
        ("c", None, "no answer"),
    ]
