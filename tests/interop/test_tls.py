"""SIP by TLS on real sockets: our own clients and servers, openssl, baresip."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import httpx2
import pytest
from tests.authority import Authority, Issued
from typer.testing import CliRunner

import reginfo
from reginfo.cli.main import command
from reginfo.config.config import Config

from .baresip import Baresip
from .kamailio import Kamailio
from .phone import Phone, eventually
from .server import Server

ALICE = "sip:alice@192.0.2.5"
CONFIG = """
[server]
id = "{name}"
listen = {listen}
domains = ["example.test"]
[store]
url = "memory:"
[notifier]
min_interval = 0
[tls]
certificate = "{issued.certificate}"
key = "{issued.key}"
ca = "{ca}"
{more}
"""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def issued(authority: Authority) -> Issued:
    return authority.issue("localhost", "127.0.0.1")


def server(
    authority: Authority,
    issued: Issued,
    *,
    name: str = "a",
    listen: str = '["tls:127.0.0.1:0", "udp:127.0.0.1:0"]',
    more: str = "",
) -> reginfo.Server:
    text = CONFIG.format(
        name=name, listen=listen, issued=issued, ca=authority.path, more=more
    )
    return reginfo.Server(Config.parse(text))


def test_a_client_registers_and_watches_by_tls(
    authority: Authority, issued: Issued
) -> None:
    """3261-161"""

    async def scenario() -> None:
        async with server(authority, issued) as ours:
            there, ca = f"tls:{ours.address}", authority.path
            aor = "alice@example.test"
            async with reginfo.watch(aor, server=there, ca=ca) as changes:
                (found,) = await reginfo.register(aor, ALICE, server=there, ca=ca)
                assert found.uri == ALICE
                async for change in changes:
                    assert change.contact.event == "registered"
                    break
            assert ours.contacts(aor) == [ALICE]

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_a_name_and_an_address_are_certified(
    authority: Authority, issued: Issued, name: str
) -> None:
    """5922-04"""

    async def scenario() -> None:
        async with server(authority, issued) as ours:
            port = ours.address.partition(":")[2]
            there = f"sips:{name}:{port}"
            await reginfo.register("a@example.test", server=there, ca=authority.path)

    asyncio.run(scenario())


def test_a_server_with_the_certificate_of_another_is_not_spoken_to(
    authority: Authority,
) -> None:
    """5922-04"""

    async def scenario() -> None:
        async with server(authority, authority.issue("other.test")) as ours:
            with pytest.raises(reginfo.NoAnswer, match="other.test, not for 127.0.0.1"):
                await reginfo.register(
                    "a@example.test",
                    ALICE,
                    server=f"tls:{ours.address}",
                    ca=authority.path,
                )
            assert ours.contacts("a@example.test") == []

    asyncio.run(scenario())


def test_who_is_not_trusted_is_not_spoken_to(
    authority: Authority, issued: Issued, tmp_path: Path
) -> None:
    """sec-01"""

    async def scenario() -> None:
        async with server(authority, issued) as ours:
            with pytest.raises(reginfo.NoAnswer, match="its certificate is not valid"):
                await reginfo.register(
                    "a@example.test",
                    ALICE,
                    server=f"tls:{ours.address}",
                    ca=Authority(tmp_path).path,
                )

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("verify", "shows", "is_peer"),
    [
        ("required", "a.test", True),
        ("optional", "a.test", True),
        ("optional", "c.test", False),
    ],
)
def test_a_peer_is_recognised_by_its_certificate(
    authority: Authority,
    caplog: pytest.LogCaptureFixture,
    verify: str,
    shows: str,
    is_peer: bool,
) -> None:
    """
    5922-05, 5922-06, 5922-07, sec-01: b lets nobody watch but its peers, and a is one
    by its certificate. They are one machine, so that by its address anybody would be.
    """

    async def scenario() -> None:
        b = server(
            authority,
            authority.issue("127.0.0.1", "b.test"),
            name="b",
            listen='["tls:127.0.0.1:0"]',
            more=f"""verify_clients = "{verify}"
[[peer]]
name = "a"
match = {{ certificate = "a.test" }}
[[group]]
uri = "sip:all@example.test"
domains = ["example.test"]
""",
        )
        async with b:
            there = f"tls:{b.address}"
            a = server(
                authority,
                authority.issue(shows, "127.0.0.1"),
                listen='["tls:127.0.0.1:0"]',
                more=f"""
[pua_reginfo]
server_address = "sip:reginfo@127.0.0.1"
[[peer]]
name = "b"
uri = "sips:{b.address}"
watch = "sip:all@example.test"
[[group]]
uri = "sip:all@example.test"
domains = ["example.test"]
""",
            )
            async with a:
                # A client of no name may register; b does not ask it to be a peer.
                if verify == "optional":
                    await reginfo.register(
                        "al@example.test", ALICE, server=there, ca=authority.path
                    )
                    async with asyncio.timeout(10):
                        while not (  # noqa: ASYNC110
                            a.contacts("al@example.test") or "403" in caplog.text
                        ):
                            await asyncio.sleep(0.02)
                    assert bool(a.contacts("al@example.test")) is is_peer
                else:
                    with pytest.raises(reginfo.NoAnswer):
                        await reginfo.register(
                            "al@example.test",
                            ALICE,
                            server=there,
                            ca=authority.path,
                        )

    asyncio.run(scenario())


# A server as a process.


@pytest.fixture
def running(tmp_path: Path, authority: Authority, issued: Issued) -> Server:
    tls = f'[tls]\ncertificate = "{issued.certificate}"\nkey = "{issued.key}"\n'
    made = Server(tmp_path / "server", sections=[tls])
    made.transports = ("udp", "tls")
    return made


def shown(port: int, ca: Path, *options: str) -> str:
    """What openssl says of a server."""
    found = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(ca),
         "-verify_return_error", *options],
        input="", capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    return found.stdout + found.stderr


def test_openssl_speaks_with_it_and_a_newer_certificate_is_used_after_sighup(
    running: Server, authority: Authority, issued: Issued
) -> None:
    """3261-163, sec-01"""
    with running:
        port = running.address[1]
        said = shown(port, authority.path, "-verify_hostname", "localhost")
        assert "Verify return code: 0 (ok)" in said
        assert "alert protocol version" in shown(
            port, authority.path, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"
        )
        client = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-quiet",
             "-CAfile", str(authority.path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert client.stdin is not None and client.stdout is not None
        options = (
            "OPTIONS sip:example.test SIP/2.0\r\n"
            "Via: SIP/2.0/TLS x.invalid;branch=z9hG4bK{0};rport\r\n"
            "From: <sip:x@example.test>;tag=1\r\nTo: <sip:example.test>\r\n"
            "Call-ID: x\r\nCSeq: {0} OPTIONS\r\nMax-Forwards: 70\r\n"
            "Content-Length: 0\r\n\r\n"
        )
        client.stdin.write(options.format(1).encode())
        client.stdin.flush()
        assert client.stdout.readline() == b"SIP/2.0 200 OK\r\n"
        via = client.stdout.readline().decode()
        assert via.startswith("Via: SIP/2.0/TLS x.invalid;") and ";rport=" in via

        authority.write(issued, ["newer.test", "127.0.0.1"])
        os.kill(running.pid, signal.SIGHUP)
        eventually(
            lambda: (
                "Verify return code: 0 (ok)"
                in shown(port, authority.path, "-verify_hostname", "newer.test")
            )
        )
        # The connection of before goes on.
        client.stdin.write(options.format(2).encode())
        client.stdin.flush()
        while (line := client.stdout.readline()) != b"SIP/2.0 200 OK\r\n":
            assert line
        client.kill()
        client.communicate()


@pytest.mark.parametrize("wrong", ["certificate", "key"])
def test_check_and_serve_name_a_wrong_file(
    running: Server, issued: Issued, wrong: str
) -> None:
    """3261-162"""
    path = getattr(issued, wrong)
    path.unlink()
    file = running.directory / "reginfo.toml"
    file.write_text(running.configuration())
    for name in ("check", "serve"):
        result = CliRunner().invoke(command, [name, "-c", str(file)])
        assert result.exit_code == 2
        assert f": tls.{wrong}: {path}: No such file or directory" in result.stderr


@pytest.mark.peers("baresip")
def test_baresip_registers_by_tls_and_is_called_by_its_connection(
    tmp_path: Path, running: Server, authority: Authority
) -> None:
    """3261-161, 3261-164: the caller is another baresip, by UDP."""
    with running:
        host, port = running.address
        with (
            Baresip(
                tmp_path / "bob", ("127.0.0.1", port), "bob", ca=authority.path
            ) as bob,
            Baresip(tmp_path / "ann", (host, port), "ann") as ann,
        ):
            eventually(lambda: running.contacts("ann") and running.contacts("bob"))
            (binding,) = running.bindings("bob")
            assert binding["received"] is not None
            assert binding["received"].endswith(";transport=tls")
            ann.command("dial", bob.aor)
            bob.sees("CALL_INCOMING")
            bob.command("accept")
            ann.sees("CALL_ESTABLISHED")
            bob.sees("CALL_ESTABLISHED")
            (invite,) = bob.messages("INVITE ")
            routes = [
                line for line in invite.splitlines() if line.startswith("Record-Route")
            ]
            text = " ".join(routes)
            assert text.count("<sip:") == 2 and text.count("transport=tls") == 1
            assert "Via: SIP/2.0/TLS " in invite
            ann.command("hangup")
            bob.sees("CALL_CLOSED")


@pytest.mark.peers("kamailio", "kamailio-tls")
@pytest.mark.parametrize("name", ["kamailio.test", "other.test"])
def test_kamailio_is_a_peer_by_its_certificate(
    tmp_path: Path, authority: Authority, issued: Issued, name: str
) -> None:
    """5922-05, 5922-06: with another certificate it watches like anybody."""
    tls = f"""[tls]
certificate = "{issued.certificate}"
key = "{issued.key}"
ca = "{authority.path}"
verify_clients = "optional"
"""
    peer = 'name = "k"\nprofile = "legacy"\nmatch = { certificate = "kamailio.test" }'
    ours = Server(tmp_path / "ours", sections=[tls], peers=[peer])
    ours.transports = ("udp", "tls")
    theirs = authority.issue(name, "127.0.0.1")
    with (
        ours,
        Kamailio(
            tmp_path / "k", peer=ours.port, tls=theirs, ca=authority.path
        ) as kamailio,
        Phone(ours.address) as phone,
    ):
        phone.register("ann", expires=600)
        kamailio.subscribe("ann")
        eventually(lambda: kamailio.contacts("ann") == {phone.contact("ann")})
        reply = httpx2.get(f"{ours.admin}/v1/watchers", timeout=10.0)
        (watcher,) = reply.json()["watchers"]
        assert watcher["contact"].endswith(";transport=tls")
        assert watcher["peer"] == ("k" if name == "kamailio.test" else None)
        phone.register("ann", expires=0)
        eventually(lambda: kamailio.contacts("ann") == set())
        assert "by tls, dialog" in kamailio.log.lower()
