"""The client of the API, against the API itself and against other servers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from reginfo.config.sections import PeerSection
from reginfo.web.client import ApiRefusal, ApiUnreachable, Client, NotFound

from ..cli.admin import served
from .fake import ALICE, BOB, FakeApp, binding, mirror, watch

Answer = Callable[[httpx2.Request], httpx2.Response]


def against(answer: Answer) -> Client:
    """A client whose server answers as the test says."""
    client = Client("127.0.0.1:1")
    client._http = httpx2.Client(
        base_url="http://localhost", transport=httpx2.MockTransport(answer)
    )
    return client


@pytest.fixture
def app() -> FakeApp:
    return FakeApp(
        (ALICE, binding("alice")),
        (BOB, binding("bob")),
        watches=(watch(ALICE, "one"), watch(BOB, "two")),
        peers=(PeerSection(name="b", uri="sip:192.0.2.2"),),
        mirrors=(mirror("b", BOB),),
    )


def test_the_lists_of_the_server_are_fetched(app: FakeApp) -> None:
    """docs/api.md: each list, whole or of one user."""
    with served(app) as address, Client(address) as client:
        assert [one.aor for one in client.bindings()] == [ALICE, BOB]
        assert [one.aor for one in client.bindings(BOB)] == [BOB]
        assert [one.aor for one in client.watchers(ALICE)] == [ALICE]
        assert len(client.watchers()) == 2
        assert [one.name for one in client.peers()] == ["b"]
        assert client.health().status == "ok"


def test_requests_are_carried_out(app: FakeApp) -> None:
    with served(app) as address, Client(address) as client:
        assert client.remove(ALICE) == 1
        assert client.drain(5.0).rate == 5.0
        with pytest.raises(NotFound):
            client.bindings(ALICE)
        with pytest.raises(ApiRefusal, match="only probation"):
            client.remove(BOB, event="probation")


def test_all_pages_are_fetched() -> None:
    pages = {"": b'{"bindings":[],"next":"x"}', "x": b'{"bindings":[]}'}
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.params["after"])
        return httpx2.Response(200, content=pages[asked[-1]])

    assert against(answer).bindings() == []
    assert asked == ["", "x"]


def test_the_health_of_a_server_that_is_not_well_is_an_answer() -> None:
    """docs/api.md: 503 with the same body."""
    body = b'{"status":"degraded","draining":null}'
    client = against(lambda request: httpx2.Response(503, content=body))
    assert client.health().status == "degraded"


def refuse(request: httpx2.Request) -> httpx2.Response:
    raise httpx2.ConnectError("connection refused")


@pytest.mark.parametrize(
    "answer",
    [
        refuse,
        lambda request: httpx2.Response(200, content=b"<html>"),
        lambda request: httpx2.Response(200, content=b'{"status": 1}'),
        lambda request: httpx2.Response(404, content=b"not JSON"),
        lambda request: httpx2.Response(500),
        lambda request: httpx2.Response(301, headers={"Location": "http://x"}),
    ],
)
def test_an_answer_that_is_not_understood_is_an_error(answer: Answer) -> None:
    """Whatever answers at the port: one error, and no traceback."""
    with pytest.raises(ApiUnreachable):
        against(answer).health()


def test_a_name_with_any_character_is_one_part_of_the_path() -> None:
    asked: list[bytes] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.raw_path)
        return httpx2.Response(404, json={"error": "nobody"})

    with pytest.raises(NotFound, match="nobody"):
        against(answer).bindings("sip:a/b?c@d")
    assert asked == [b"/v1/aors/sip%3Aa%2Fb%3Fc%40d"]


@pytest.mark.parametrize("address", ["", "nonsense", "unix:"])
def test_text_that_is_not_an_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError):
        Client(address)


def test_proxies_of_the_environment_are_not_used_for_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://192.0.2.1:1")
    app: Any = FakeApp()
    with served(app) as address, Client(address) as client:
        assert client.health().status == "ok"
