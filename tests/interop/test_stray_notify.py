"""A NOTIFY outside our dialogs registers nobody (RFC 6665 §4.1.3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from .phone import DOMAIN, Message, Phone, becomes, tag_of
from .server import Server

USERS = [f"user{number}" for number in range(8)]
"Whom the server has subscribed to; one for each test."


def document(user: str, device: str = "desk") -> bytes:
    """That ``user`` has one contact."""
    return (
        '<?xml version="1.0"?>\n'
        '<reginfo xmlns="urn:ietf:params:xml:ns:reginfo" version="0" state="full">'
        f'<registration aor="sip:{user}@{DOMAIN}" id="r1" state="active">'
        '<contact id="c1" state="active" event="registered" expires="600"'
        f' callid="desk" cseq="1"><uri>{contact(user, device)}</uri></contact>'
        "</registration></reginfo>"
    ).encode()


def contact(user: str, device: str = "desk") -> str:
    return f"sip:{user}@127.0.0.1:9;device={device}"


@dataclass(frozen=True, slots=True)
class Watched:
    """A phone that plays the notifier to a server that has subscribed to it."""

    server: Server
    phone: Phone
    subscribe: Message

    @property
    def user(self) -> str:
        return self.subscribe.start.partition("sip:")[2].partition("@")[0]

    @property
    def contacts(self) -> set[str]:
        """Where the server would reach the user."""
        return self.server.contacts(self.user)

    def notify(
        self,
        cseq: int,
        *,
        event: str | None = "reg",
        tag: str | None = None,
        call_id: str | None = None,
        device: str = "desk",
    ) -> int:
        """Send a NOTIFY in the dialog, or a little beside it; its status code."""
        target = self.subscribe["contact"].partition("<")[2].partition(">")[0]
        headers = [
            f"Contact: <sip:phone@127.0.0.1:{self.phone.port}>",
            "Subscription-State: active;expires=3600",
            "Content-Type: application/reginfo+xml",
        ]
        if event is not None:
            headers.append(f"Event: {event}")
        request = self.phone.request(
            "NOTIFY",
            target,
            to=self.subscribe["from"],
            from_=f"{self.subscribe['to']};tag={tag or tag_of(self.subscribe)}",
            call_id=call_id or self.subscribe["call-id"],
            cseq=cseq,
            headers=headers,
            body=document(self.user, device),
        )
        return self.phone.ask(request).status


@pytest.fixture(scope="module")
def subscribed(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Iterator[Watched]]:
    """One server, and what it has subscribed to, to be taken one by one."""
    with Phone(("127.0.0.1", 9)) as phone:
        watch = ", ".join(f'"sip:{user}@{DOMAIN}"' for user in USERS)
        uri = f"sip:127.0.0.1:{phone.port}"
        peer = f'name = "phone"\nuri = "{uri}"\nwatch = [{watch}]'
        with Server(tmp_path_factory.mktemp("a"), peers=[peer]) as server:
            phone.server = server.address
            subscribes = [phone.incoming("SUBSCRIBE") for _ in USERS]
            yield iter([Watched(server, phone, one) for one in subscribes])


@pytest.fixture
def watched(subscribed: Iterator[Watched]) -> Watched:
    return next(subscribed)


def test_a_notify_in_the_dialog_is_taken(watched: Watched) -> None:
    assert watched.notify(1) == 200
    becomes(lambda: watched.contacts, {contact(watched.user)})


def test_a_notify_with_another_call_id_is_481(watched: Watched) -> None:
    assert watched.notify(1) == 200
    assert watched.notify(2, call_id="another", device="forged") == 481
    assert watched.contacts == {contact(watched.user)}


def test_a_notify_with_another_tag_is_481(watched: Watched) -> None:
    assert watched.notify(1) == 200
    assert watched.notify(2, tag="another", device="forged") == 481
    assert watched.contacts == {contact(watched.user)}


def test_the_dialog_is_looked_for_before_the_event(watched: Watched) -> None:
    assert watched.notify(1) == 200
    assert watched.notify(2, event="frobnicate", call_id="another") == 481


@pytest.mark.parametrize("event", ["frobnicate", "presence", None])
def test_another_event_in_the_dialog_is_489(watched: Watched, event: str) -> None:
    assert watched.notify(1) == 200
    assert watched.notify(2, event=event, device="forged") == 489
    assert watched.contacts == {contact(watched.user)}
    # The subscription has survived it.
    assert watched.notify(3) == 200


def test_a_notify_to_a_server_without_peers_is_481(server: Server) -> None:
    with Phone(server.address) as phone:
        request = phone.request(
            "NOTIFY",
            f"sip:reginfo@127.0.0.1:{server.port}",
            to=f"<sip:reginfo@127.0.0.1:{server.port}>;tag=theirs",
            call_id="forged",
            cseq=1,
            headers=[
                f"Contact: <sip:mallory@127.0.0.1:{phone.port}>",
                "Event: reg",
                "Subscription-State: active;expires=3600",
                "Content-Type: application/reginfo+xml",
            ],
            body=document("alice"),
        )
        assert phone.ask(request).status == 481
    assert server.all_bindings() == []
