"""Every example runs, as a process, and does what its README says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from .document import read
from .example import DOMAIN, ROOT, Example
from .peer import Peer
from .phone import Address, Message, Phone, becomes, eventually, tag_of
from .presence import PresenceServer

NewPhone = Callable[[Address], Phone]


@pytest.fixture
def callers() -> Iterator[NewPhone]:
    """Makes phones of the examples' domain."""
    with ExitStack() as stack:
        yield lambda at: stack.enter_context(Phone(at, domain=DOMAIN))


def document(aor: str, uri: str, version: int = 0) -> bytes:
    return (
        '<?xml version="1.0"?><reginfo xmlns="urn:ietf:params:xml:ns:reginfo"'
        f' version="{version}" state="full"><registration aor="{aor}" id="r"'
        ' state="active"><contact id="c" state="active" event="registered"'
        f' expires="600" callid="x" cseq="1"><uri>{uri}</uri></contact>'
        "</registration></reginfo>"
    ).encode()


def notify(peer: Phone, subscribe: Message, body: bytes, cseq: int = 1) -> Message:
    """Send a NOTIFY in the dialog of a SUBSCRIBE; what it is answered."""
    return peer.ask(
        peer.request(
            "NOTIFY",
            subscribe["contact"].strip("<>"),
            to=subscribe["from"],
            from_=f"{subscribe['to']};tag={tag_of(subscribe)}",
            call_id=subscribe["call-id"],
            cseq=cseq,
            headers=[
                f"Contact: <sip:{peer.place}>",
                "Subscription-State: active;expires=3600",
                "Event: reg",
                "Content-Type: application/reginfo+xml",
            ],
            body=body,
        )
    )


def test_every_example_has_its_lines_and_its_test() -> None:
    """The issue: each with ten lines of README, each tested."""
    tests = Path(__file__).read_text("utf-8")
    index = (ROOT / "README.md").read_text("utf-8")
    names = sorted(path.name for path in ROOT.iterdir() if path.is_dir())
    assert len(names) >= 8
    for name in names:
        text = (ROOT / name / "README.md").read_text("utf-8")
        prose = re.sub(r"^```console\n.*?^```$", "", text, flags=re.M | re.S)
        if name != "systemd":  # units for root; tests/interop/test_systemd.py
            assert 4 <= len([line for line in prose.splitlines() if line]) <= 12, name
            assert f'Example("{name}"' in tests
        assert f"[{name}]({name})" in index


def test_handle_notify(tmp_path: Path, callers: NewPhone) -> None:
    """The manual's example of `reginfo_handle_notify`."""
    peer = callers(("127.0.0.1", 9))
    with Example("handle-notify", tmp_path, {"5070": peer.port}) as example:
        peer.server = example.serve()
        subscribe = peer.incoming("SUBSCRIBE")
        aor, uri = "sip:alice@example.com", "sip:alice@192.0.2.5"
        answer = notify(peer, subscribe, document(aor, uri))
        assert answer.start == "SIP/2.0 202 Accepted"
        assert example.contacts(aor) == {uri}
        answer = notify(peer, subscribe, b"<nonsense", 2)
        assert answer.start == "SIP/2.0 400 Invalid reg-info"
        assert example.contacts(aor) == {uri}


def test_subscribe(tmp_path: Path, callers: NewPhone) -> None:
    """The manual's example of `reginfo_subscribe`: one for each user."""
    with Example("subscribe", tmp_path) as example:
        example.serve("b.toml")
        user = callers(example.serve())
        aor = user.aor("bob")
        user.register("bob", expires=600)
        becomes(lambda: example.contacts(aor), {user.contact("bob")})
        user.register("bob", expires=600)
        user.register("bob", expires=600, device=1)
        both = {user.contact("bob"), user.contact("bob", 1)}
        becomes(lambda: example.contacts(aor), both)
        assert example.log().count(f"{aor} is active") == 1


def test_subscribe_to_whoever_is_not_refused(tmp_path: Path, callers: NewPhone) -> None:
    """`t_check_status("200")`: a REGISTER that is refused leads to nothing."""
    with (
        Peer("refuses") as home,
        Example("subscribe", tmp_path, {"5070": home.port}) as example,
    ):
        phone = callers(example.serve())
        home.status["REGISTER"] = (403, "Forbidden")
        refused = phone.build_register("eve", expires=600)
        assert phone.ask(refused).status == 403
        del home.status["REGISTER"]
        phone.register("bob", expires=600)
        eventually(lambda: home.arrivals("SUBSCRIBE"))
        (subscribe,) = [one.message for one in home.arrivals("SUBSCRIBE")]
        assert subscribe.start == "SUBSCRIBE sip:bob@example.com SIP/2.0"
        assert subscribe["expires"] == "7200"


def test_update(tmp_path: Path, callers: NewPhone) -> None:
    """The manual's example of `ul_add_key` and `reginfo_update`."""
    with Example("update", tmp_path) as example:
        example.serve("b.toml")
        phone = callers(example.serve())
        watcher = callers(phone.server)
        assert watcher.subscribe("al").status == 200
        assert read(watcher.notify().body).state == "init"
        phone.register("alice", expires=600)

        def told() -> bool:
            body = watcher.notify().body.decode()
            names = ("sip:alice@example.com", "sip:al@example.com", "tel:+15550100")
            assert all(f'<registration aor="{name}"' in body for name in names)
            return body.count(f"<uri>{phone.contact('alice')}</uri>") == 3

        # Identities and contact come by two ways: in one NOTIFY, or in two.
        assert told() or told()


def test_disable_publish(tmp_path: Path, callers: NewPhone) -> None:
    """The manual's example of `reginfo_disable_publish`."""
    with PresenceServer() as presence:
        at = {"5070": presence.port}
        with Example("disable-publish", tmp_path, at) as example:
            phone = callers(example.serve())
            watcher = callers(phone.server)
            watcher.subscribe("probe-1")
            watcher.notify()
            phone.register("probe-1", expires=600)
            phone.register("alice", expires=600)
            eventually(lambda: presence.publishes("alice"))
            assert presence.publishes("probe-1") == []
            assert read(watcher.notify().body).active == {phone.contact("probe-1")}


def test_the_manual(tmp_path: Path, callers: NewPhone) -> None:
    """All four routes of it, in one script; the home network is the test."""
    with (
        Peer("refuses") as home,
        Example("manual", tmp_path, {"5070": home.port}) as example,
    ):
        phone = callers(example.serve())
        watcher = callers(phone.server)
        watcher.subscribe("al")
        watcher.notify()
        # register_reply: what the home network says of alice's identities.
        home.extra["REGISTER"] = [
            "P-Associated-URI: <sip:alice@example.com>, <sip:al@example.com>"
        ]
        aor = f"sip:alice@127.0.0.1:{home.port}"
        register = phone.request(
            "REGISTER", f"sip:127.0.0.1:{home.port}", to="<sip:alice@example.com>",
            call_id="manual", cseq=1, headers=["Contact: <sip:alice@192.0.2.9>"],
        )  # fmt: skip
        assert phone.ask(register).status == 200
        assert b'aor="sip:al@example.com"' in watcher.notify().body
        # 1: whoever was reached is watched.
        message = phone.request("MESSAGE", aor, to=f"<{aor}>", call_id="m", cseq=1)
        assert phone.ask(message).status == 200
        eventually(lambda: home.arrivals("SUBSCRIBE"))
        (subscribe,) = [one.message for one in home.arrivals("SUBSCRIBE")]
        assert subscribe.start == f"SUBSCRIBE {aor} SIP/2.0"
        # NOTIFY: what that one tells is known here.
        answer = notify(phone, subscribe, document(aor, "sip:alice@192.0.2.9"))
        assert answer.start == "SIP/2.0 202 Accepted"
        assert example.contacts(aor) == {"sip:alice@192.0.2.9"}
        assert notify(phone, subscribe, b"<", 2).start == "SIP/2.0 400 Invalid reg-info"


def test_sync(tmp_path: Path, callers: NewPhone) -> None:
    """Use case 1 of the contract: location databases in sync."""
    with Example("sync", tmp_path) as example:
        at_a = callers(example.serve("a.toml"))
        at_b = callers(example.serve("b.toml"))

        def tables() -> list[list[tuple[str, str, str]]]:
            return [
                sorted(
                    (b["aor"], b["uri"], b["owner"])
                    for b in httpx2.get(
                        f"http://127.0.0.1:{example.ports[port]}/v1/aors"
                    ).json()["bindings"]
                )
                for port in ("8060", "8070")
            ]

        def agree(*rows: tuple[str, str, str]) -> None:
            becomes(tables, [sorted(rows)] * 2)

        alice = (at_a.aor("alice"), at_a.contact("alice"), "a")
        bob = (at_b.aor("bob"), at_b.contact("bob"), "b")
        # An empty server waits for its links, for 5 s at most.
        eventually(lambda: at_a.register("alice", expires=600) or True)
        agree(alice)
        at_b.register("bob", expires=600)
        agree(alice, bob)
        example.stop("b.toml")
        at_a.register("alice", expires=600, device=1)
        second = (at_a.aor("alice"), at_a.contact("alice", 1), "a")
        example.serve("b.toml")
        agree(alice, second, bob)
        # Whatever user of the domain registers: no one is named in the configuration.
        at_a.register("carol", expires=600)
        agree(alice, second, bob, (at_a.aor("carol"), at_a.contact("carol"), "a"))
        at_a.register("carol", expires=0)
        at_a.register("alice", expires=0)
        at_b.register("bob", expires=0)
        agree(second)


def test_stored_messages(tmp_path: Path, callers: NewPhone) -> None:
    """Use case 2: a real MESSAGE (RFC 3428), delivered when the user comes online."""
    with Example("stored-messages", tmp_path) as example:
        sender = callers(example.serve())
        for number in (1, 2):
            aor = sender.aor("bob")
            text = f"Hello {number}".encode()
            stored = sender.ask(
                sender.request(
                    "MESSAGE", aor, to=f"<{aor}>", call_id=f"m{number}", cseq=1,
                    from_="<sip:alice@example.com>;tag=a",
                    headers=["Content-Type: text/plain;charset=utf-8"], body=text,
                )
            )  # fmt: skip
            assert stored.status == 202
        example.stop()
        bob = callers(example.serve())
        bob.register("bob", expires=600)
        for number in (1, 2):
            message = bob.incoming("MESSAGE")
            assert message.body == f"Hello {number}".encode()
            assert message["from"].startswith("<sip:alice@example.com>")
            assert message["content-type"] == "text/plain;charset=utf-8"
            assert "date" in message
        # Whoever is there gets a message at once; and the two do not come again.
        at_once = sender.request(
            "MESSAGE", aor, to=f"<{aor}>", call_id="m3", cseq=1, body=b"Now"
        )
        bob.register("bob", expires=600)
        sender.send(at_once)
        assert bob.incoming("MESSAGE").body == b"Now"


def test_stored_messages_that_are_refused_hold_up_no_others(
    tmp_path: Path, callers: NewPhone
) -> None:
    """A refused message stays for the next time; those behind it are delivered."""
    with Peer("refuses") as bob, Example("stored-messages", tmp_path) as example:
        sender = callers(server := example.serve())
        aor = sender.aor("bob")
        for number in (1, 2):
            request = sender.request(
                "MESSAGE", aor, to=f"<{aor}>", call_id=f"m{number}", cseq=1,
                headers=["Content-Type: text/plain"], body=b"%d" % number,
            )  # fmt: skip
            assert sender.ask(request).status == 202
        bob.status["MESSAGE"] = (415, "Unsupported Media Type")
        bob.register(server, aor)

        def bodies() -> list[bytes]:
            return [one.message.body for one in bob.arrivals("MESSAGE")]

        eventually(lambda: bodies() == [b"1", b"2"])
        del bob.status["MESSAGE"]

        def again() -> bool:
            bob.register(server, aor)
            return bodies()[-2:] == [b"1", b"2"] and len(bodies()) > 2

        eventually(again)
        # They were delivered, so they do not come again.
        number = len(bodies())
        bob.register(server, aor)
        bob.register(server, aor)
        assert sender.options().status == 200  # it has served them
        assert len(bodies()) == number


def test_stored_messages_for_who_registers_elsewhere(
    tmp_path: Path, callers: NewPhone
) -> None:
    """Use case 2: the message server is told by the registrar that it watches."""
    with (
        Example("sync", tmp_path) as registrar,
        Example("stored-messages", tmp_path) as example,
    ):
        at_b = callers(registrar.serve("b.toml"))
        address = f"127.0.0.1:{example.ports['5060']}"
        with (example.directory / "reginfo.toml").open("a") as config:
            config.write(
                f'[pua_reginfo]\nserver_address = "sip:messages@{address}"\n'
                f'[[peer]]\nname = "b"\nuri = "sip:127.0.0.1:{at_b.server[1]}"\n'
                'watch = ["sip:bob@example.com"]\n'
            )
        sender = callers(example.serve())
        aor = sender.aor("bob")
        request = sender.request(
            "MESSAGE", aor, to=f"<{aor}>", call_id="m", cseq=1, body=b"Hello",
            headers=["Content-Type: text/plain"],
        )  # fmt: skip
        assert sender.ask(request).status == 202
        # It is empty and waits for its link to A, for 5 s at most.
        eventually(lambda: at_b.register("bob", expires=600) or True)
        assert at_b.incoming("MESSAGE").body == b"Hello"


def test_self_watch(tmp_path: Path, callers: NewPhone) -> None:
    """Use case 3: a client hears that it was removed, and why, and obeys (24229-10)."""
    with Example("self-watch", tmp_path) as example:
        server = example.serve()
        aor, contact = "sip:alice@example.com", "sip:alice@127.0.0.1:5090"
        at = f"127.0.0.1:{server[1]}"
        log = example.run("phone", ["phone.py", at, aor, contact])
        eventually(lambda: "registered\n" in log.read_text("utf-8"))
        watchers = f"http://127.0.0.1:{example.ports['8060']}/v1/watchers"
        eventually(lambda: httpx2.get(watchers).json()["watchers"])
        stranger = callers(server)
        assert stranger.subscribe("alice").status == 403
        for options, said in (
            ([], "removed: deactivated\nregistered again\n"),
            (["--event", "probation", "--retry-after", "1"],
             "removed: probation\nregistered again\n"),
            (["--event", "rejected"], "removed: rejected\n"),
        ):  # fmt: skip
            before = len(log.read_text("utf-8"))
            done = example.reginfo("unregister", "alice@example.com", *options)
            assert done == "1 contact removed\n"
            becomes(lambda: log.read_text("utf-8")[before:], said)  # noqa: B023
        assert example.contacts(aor) == set()
