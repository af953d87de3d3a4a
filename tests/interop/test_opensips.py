"""
OpenSIPS as a peer, by a stand-in: it is fed by ours, and it feeds ours.

What the stand-in does wrong is what OpenSIPS does wrong (`opensips.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from .document import read
from .opensips import Contact, OpenSips, written_over
from .phone import DOMAIN, Address, Phone, becomes, eventually
from .server import Server
from .test_compositor import Refusing

USER = "bob"
PHONE = f"sip:{USER}@192.0.2.60"
DESK = f"sip:{USER}@192.0.2.61"

NewPhone = Callable[[Address], Phone]


def peer(opensips: OpenSips, *lines: str) -> str:
    """It, as a peer of ours that it is known to be by its address."""
    match = f'match = {{ address = "127.0.0.1:{opensips.port}" }}'
    return "\n".join(['name = "os"', match, *lines])


def mirror(opensips: OpenSips, directory: Path) -> Server:
    """One of ours that has subscribed at its presence server."""
    watch = f'uri = "{opensips.uri}"\nwatch = ["sip:{USER}@{DOMAIN}"]'
    return Server(directory, name="m", peers=[peer(opensips, watch)])


def test_the_stand_in_damages_documents_as_it_does() -> None:
    """The captures 10 and 11: without a placeholder a document is not XML any more."""
    captures = Path(__file__).parents[1] / "captures" / "opensips"
    for name, before in (
        ("10-notify-damaged-by-overwrite.sip", b'version="0" state="full">'),
        ("11-notify-placeholder-replaced.sip", b'version="00000000000" state="full">'),
    ):
        body = (captures / name).read_bytes().partition(b"\r\n\r\n")[2]
        start, end = body.index(b"version=", 34), body.index(b">", 40) + 1
        sent = body[:start] + before + body[end:]
        version = int(body[start:].split(b'"')[1])
        assert written_over(sent, version) == body


# Fed by ours.


def test_what_we_publish_reaches_its_watchers_well_formed(
    tmp_path: Path, phones: NewPhone
) -> None:
    """peers.md 5: our PUBLISH -> its presence server <- a phone, and ours."""
    with OpenSips() as opensips:
        with (
            mirror(opensips, tmp_path / "m") as other,
            Server(tmp_path / "a", publish_to=[opensips.uri]) as ours,
        ):
            watcher = phones(opensips.address)
            watcher.subscribe(USER)
            assert watcher.notify().body == b""
            phone = phones(ours.address)
            phone.register(USER, expires=600)
            first = watcher.notify()
            assert b'version="1"           ' in first.body
            assert read(first.body).active == {phone.contact(USER)}
            becomes(lambda: other.contacts(USER), {phone.contact(USER)})
            phone.register(USER, expires=600, device=1)
            both = {phone.contact(USER), phone.contact(USER, 1)}
            becomes(lambda: other.contacts(USER), both)
            phone.register(USER, expires=0)
            becomes(lambda: other.contacts(USER), {phone.contact(USER, 1)})
            phone.register(USER, expires=0, device=1)
            becomes(lambda: other.contacts(USER), set())


def test_two_publishers_that_it_aggregates_are_one_user(
    tmp_path: Path, phones: NewPhone
) -> None:
    """peers.md 5: two registrations of one address-of-record are merged by ours."""
    with OpenSips(aggregate=True) as opensips:
        with (
            mirror(opensips, tmp_path / "m") as other,
            Server(tmp_path / "a", publish_to=[opensips.uri]) as a,
            Server(tmp_path / "b", name="b", publish_to=[opensips.uri]) as b,
        ):
            one, two = phones(a.address), phones(b.address)
            one.register(USER, expires=600)
            two.register(USER, expires=600)
            both = {one.contact(USER), two.contact(USER)}
            becomes(lambda: other.contacts(USER), both)
            two.register(USER, expires=0)
            becomes(lambda: other.contacts(USER), {one.contact(USER)})


def test_it_has_forgotten_what_we_published_and_gets_it_afresh(
    tmp_path: Path, phones: NewPhone
) -> None:
    """3903-06: one 412, one initial PUBLISH, with all that there is."""
    with OpenSips() as opensips:
        with (
            mirror(opensips, tmp_path / "m") as other,
            Server(tmp_path / "a", publish_to=[opensips.uri], trace=True) as ours,
        ):
            phone = phones(ours.address)
            phone.register(USER, expires=600)
            becomes(lambda: other.contacts(USER), {phone.contact(USER)})
            opensips.forget()
            phone.register(USER, expires=600, device=1)
            both = {phone.contact(USER), phone.contact(USER, 1)}
            becomes(lambda: other.contacts(USER), both)
            first, dead, fresh = ours.sent("PUBLISH")
            assert "sip-if-match" in dead
            assert "sip-if-match" not in first
            assert "sip-if-match" not in fresh


def test_a_document_that_it_has_damaged_changes_nothing(
    tmp_path: Path, phones: NewPhone
) -> None:
    """peers.md 5: who leaves no place for its version is not understood, by anybody."""
    with OpenSips() as opensips:
        with (
            mirror(opensips, tmp_path / "m") as other,
            Server(tmp_path / "a", publish_to=[opensips.uri]) as ours,
        ):
            phone, third = phones(ours.address), phones(opensips.address)
            watcher = phones(other.address)
            phone.register(USER, expires=600)
            becomes(lambda: other.contacts(USER), {phone.contact(USER)})
            watcher.subscribe(USER)
            assert read(watcher.notify().body).active == {phone.contact(USER)}
            body = (
                '<?xml version="1.0"?>\n<reginfo xmlns="urn:ietf:params:xml:ns:reginfo"'
                f' version="0" state="full"><registration aor="sip:{USER}@{DOMAIN}"'
                ' id="r" state="active"><contact id="c" state="active"'
                ' event="registered" expires="500" callid="third" cseq="1">'
                f"<uri>{DESK}</uri></contact></registration></reginfo>"
            )
            answer = third.ask(
                third.request(
                    "PUBLISH", third.aor(USER), to=f"<{third.aor(USER)}>",
                    call_id="third", cseq=1, body=body.encode(),
                    headers=["Event: reg", "Expires: 600"],
                )
            )  # fmt: skip
            assert answer.status == 200
            eventually(lambda: "not well-formed" in other.log)
            assert other.contacts(USER) == {phone.contact(USER)}
            # The next that is whole is taken; of the other, no watcher has heard.
            phone.register(USER, expires=600)
            ((uri, told),) = read(watcher.notify().body).contacts.items()
            assert (uri, told.event, told.cseq) == (phone.contact(USER), "refreshed", 2)


def test_it_consumes_what_we_notify(tmp_path: Path, phones: NewPhone) -> None:
    """peers.md 6: documents that do not end it, and are understood."""
    ours = Server(tmp_path / "a")
    with OpenSips(ours.address) as opensips:
        with ours:
            phone = phones(ours.address)
            contacts = [
                f'Contact: <{phone.contact(USER)}>;audio;q=0.5;+sip.instance="<urn:1>"'
            ]
            phone.register(USER, expires=600, contacts=contacts)
            opensips.subscribe(USER, 453976160)
            becomes(lambda: opensips.contacts(USER), {phone.contact(USER)})
            (answer,) = opensips.subscribed()
            assert (answer.status, answer["expires"]) == (200, "86400")
            phone.register(USER, expires=600, device=1)
            both = {phone.contact(USER), phone.contact(USER, 1)}
            becomes(lambda: opensips.contacts(USER), both)
            phone.register(USER, expires=0)
            becomes(lambda: opensips.contacts(USER), {phone.contact(USER, 1)})
            phone.register(USER, expires=0, device=1)
            becomes(lambda: opensips.contacts(USER), set())


def test_it_is_told_of_each_removal_by_a_word_that_it_knows(
    tmp_path: Path, phones: NewPhone
) -> None:
    """peers.md, "the compatibility profile": it would skip the three others."""
    ours = Server(tmp_path / "a")
    with OpenSips(ours.address) as opensips:
        with ours:
            phone = phones(ours.address)
            opensips.subscribe(USER, 600)
            eventually(opensips.subscribed)
            for event in ("deactivated", "rejected", "probation", "unregistered"):
                # With what XML has signs of its own for.
                uri = f"{phone.contact(USER)};a=&;b='"
                phone.register(USER, expires=600, contacts=[f"Contact: <{uri}>"])
                becomes(lambda: opensips.contacts(USER), {uri})
                after = {"retry_after": "60"} if event == "probation" else {}
                reply = httpx2.delete(
                    f"{ours.admin}/v1/aors/{USER}@{DOMAIN}",
                    params={"event": event, "contact": uri} | after,
                )
                assert reply.json() == {"removed": 1}
                becomes(lambda: opensips.contacts(USER), set())


def test_a_subscription_of_no_time_is_a_question(
    tmp_path: Path, phones: NewPhone
) -> None:
    """peers.md 6: `Expires: 0` when its argument is left out."""
    ours = Server(tmp_path / "a")
    with OpenSips(ours.address) as opensips:
        with ours:
            phone = phones(ours.address)
            phone.register(USER, expires=600)
            opensips.subscribe(USER, 0)
            eventually(opensips.notifies)
            (notify,) = opensips.notifies()
            assert notify["subscription-state"].startswith("terminated")
            assert opensips.contacts(USER) == {phone.contact(USER)}
            assert watchers(ours) == 0


def test_a_consumer_that_stops_answering_keeps_nobody_waiting(
    tmp_path: Path, phones: NewPhone
) -> None:
    """peers.md 6: each NOTIFY would cost it a worker; it gets one, and no more."""
    ours = Server(tmp_path / "a")
    with OpenSips(ours.address, stuck=True) as opensips:
        with ours:
            phone, watcher = phones(ours.address), phones(ours.address)
            opensips.subscribe(USER, 600)
            watcher.subscribe(USER)
            watcher.notify()
            eventually(opensips.notifies)
            for number in range(5):
                phone.register(USER, expires=600, device=number)
                told = read(watcher.notify().body)
                assert phone.contact(USER, number) in told.contacts
            assert len(opensips.notifies()) == 2
            assert len(ours.contacts(USER)) == 5


def watchers(ours: Server) -> int:
    reply = httpx2.get(f"{ours.admin}/v1/watchers", timeout=10.0)
    return len(reply.json()["watchers"])


# It feeds ours.


def test_what_it_publishes_is_known_here(tmp_path: Path, phones: NewPhone) -> None:
    """peers.md 6: its PUBLISH -> our compositor."""
    ours = Server(tmp_path / "a")
    with OpenSips(ours.address) as opensips:
        ours.peers = (peer(opensips),)
        with ours:
            watcher = phones(ours.address)
            watcher.subscribe(USER)
            watcher.notify()
            opensips.publish(USER, Contact(PHONE))
            becomes(lambda: ours.contacts(USER), {PHONE})
            assert read(watcher.notify().body).active == {PHONE}
            for cseq in (2, 3, 4):  # each in its turn
                opensips.publish(USER, Contact(PHONE, "refreshed", cseq=cseq))
            opensips.publish(USER, Contact(PHONE, "refreshed", cseq=5), Contact(DESK))
            becomes(lambda: ours.contacts(USER), {PHONE, DESK})
            opensips.publish(USER, Contact(PHONE, "unregistered", 0, cseq=6))
            becomes(lambda: ours.contacts(USER), set())
            assert set(opensips.statuses()) == {200}


def test_after_a_refusal_its_next_change_tells_all(tmp_path: Path) -> None:
    """peers.md 6: any refusal silences it; so what we refuse is only a lost tag."""
    ours = Server(tmp_path / "a")
    with OpenSips(ours.address) as opensips:
        ours.peers = (peer(opensips),)
        with ours:
            opensips.publish(USER, Contact(PHONE))
            becomes(lambda: ours.contacts(USER), {PHONE})
            ours.kill()
            for file in ours.directory.glob("reginfo.db*"):
                file.unlink()
            ours.start()
            opensips.publish(USER, Contact(PHONE, "refreshed", cseq=2), Contact(DESK))
            becomes(opensips.statuses, [200, 412])
            assert ours.contacts(USER) == set()
            opensips.publish(USER, Contact(PHONE, "refreshed", cseq=3), Contact(DESK))
            becomes(lambda: ours.contacts(USER), {PHONE, DESK})


def test_any_refusal_silences_it_and_its_next_change_puts_it_right(
    tmp_path: Path,
) -> None:
    """peers.md 6, by a refusal in our place; what it published before stands yet."""
    ours = Server(tmp_path / "a")
    with Refusing(ours.address) as tap, OpenSips(tap.address) as opensips:
        match = f'match = {{ address = "127.0.0.1:{tap.port}" }}'
        ours.peers = (f'name = "os"\n{match}',)
        with ours:
            expected: list[int] = []
            for status in (412, 423, 503, 401):
                user = f"bob{status}"
                phone, desk = f"sip:{user}@192.0.2.60", f"sip:{user}@192.0.2.61"
                opensips.publish(user, Contact(phone))
                expected.append(200)
                becomes(opensips.statuses, expected)
                tap.refuse(status, "Min-Expires: 7200", "Retry-After: 1")
                again = Contact(phone, "refreshed", cseq=2)
                opensips.publish(user, again, Contact(desk))
                expected.append(status)
                becomes(opensips.statuses, expected)
                assert [b["cseq"] for b in ours.bindings(user)] == [1]
                gone = Contact(phone, "unregistered", 0, cseq=3)
                opensips.publish(user, gone, Contact(desk))
                expected.append(200)
                becomes(opensips.statuses, expected)
                assert "sip-if-match" not in tap.exchanges()[-1].request
                assert ours.contacts(user) == {desk}


@pytest.mark.parametrize("way", ["NOTIFY", "PUBLISH"])
def test_who_has_registered_there_is_called_here(
    tmp_path: Path, phones: NewPhone, way: str
) -> None:
    """`lookup` finds what was learned, by whatever way."""
    if way == "NOTIFY":
        opensips = OpenSips()
        ours = mirror(opensips, tmp_path)
    else:
        ours = Server(tmp_path)
        opensips = OpenSips(ours.address)
        ours.peers = (peer(opensips),)
    with opensips, ours:
        phone, caller = phones(ours.address), phones(ours.address)
        opensips.publish(USER, Contact(phone.contact(USER)))
        becomes(lambda: ours.contacts(USER), {phone.contact(USER)})
        for method in ("MESSAGE", "INVITE"):
            aor = caller.aor(USER)
            contact = f"Contact: <sip:caller@{caller.place}>"
            caller.send(
                caller.request(
                    method, aor, to=f"<{aor}>", call_id=method, cseq=1,
                    headers=[contact],
                )
            )  # fmt: skip
            came = phone.incoming(method)
            assert came.start == f"{method} {phone.contact(USER)} SIP/2.0"
            answer = caller.receive(10.0)
            while answer is not None and answer.status < 200:
                answer = caller.receive(10.0)
            assert answer is not None and answer.status == 200


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_ours_is_restarted_in_the_middle(tmp_path: Path, how: str) -> None:
    """The tag is known still: a 412 would silence it."""
    ours = Server(tmp_path / "a")
    with OpenSips(ours.address) as opensips:
        ours.peers = (peer(opensips),)
        with ours:
            opensips.publish(USER, Contact(PHONE))
            becomes(lambda: ours.contacts(USER), {PHONE})
            getattr(ours, how)()
            opensips.publish(USER, Contact(PHONE, "refreshed", cseq=2), Contact(DESK))
            ours.start()
            becomes(lambda: ours.contacts(USER), {PHONE, DESK})
            assert set(opensips.statuses()) == {200}


def test_what_its_presence_server_tells_is_known_here(tmp_path: Path) -> None:
    """peers.md 5, 6: published to itself; a removal's document comes once more."""
    with OpenSips() as opensips:
        with mirror(opensips, tmp_path / "m") as ours:
            opensips.publish(USER, Contact(PHONE))
            becomes(lambda: ours.contacts(USER), {PHONE})
            opensips.publish(USER, Contact(PHONE, "refreshed", cseq=2), Contact(DESK))
            becomes(lambda: ours.contacts(USER), {PHONE, DESK})
            opensips.publish(USER, Contact(PHONE, "expired", 0, cseq=2), Contact(DESK))
            becomes(lambda: ours.contacts(USER), {DESK})
            opensips.publish(USER, Contact(DESK, "unregistered", 0, cseq=2))
            becomes(lambda: ours.contacts(USER), set())
