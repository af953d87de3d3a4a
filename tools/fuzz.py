"""
Fuzzing: no input makes a parser, or a whole server, do what it must not.

Each target takes octets and fails if they cause anything but a documented error, or
break a property: a document that was read is written and read to the same value, a
stream gives the same messages in whatever pieces it comes, a server still serves.

With atheris (`pip install atheris==3.0.0`, CPython 3.11 to 3.13) the inputs are
mutated by coverage; without it Hypothesis mutates those of the corpus. The corpus,
`tests/corpus/TARGET.txt`, has one input in base64 on each line, and
`tests/test_fuzz.py` replays it. An input that fails is added to it.

::

    fuzz.py run [--time SECONDS] [TARGET ...]     120 seconds each by default
    fuzz.py keep TARGET FILE ...                  add inputs to the corpus
    fuzz.py list
"""

from __future__ import annotations

import argparse
import base64
import importlib.util
import logging
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
CORPUS = ROOT / "tests" / "corpus"

LONGEST = 4096
"""Octets of an input, at most."""

KEPT = 120
"""Inputs up to which a run adds to the corpus of a target what reached something new;
beyond it, only those that fail."""

Target = Callable[[bytes], None]


# Targets. They import what they test inside, so that atheris can instrument it.


def message(data: bytes) -> None:
    """A datagram is answered by one that can be parsed, or by nothing."""
    from reginfo.io.trace import escape, unescape
    from reginfo.sip.endpoint import Endpoint
    from reginfo.sip.errors import ReginfoError
    from reginfo.sip.event import RequestReceived
    from reginfo.sip.flow import Flow, Local
    from reginfo.sip.message import Request, Response
    from reginfo.sip.parser import Malformed, parse
    from reginfo.sip.transport import Transport

    assert unescape(escape(data)) == data
    try:
        found = parse(data)
    except ReginfoError:
        pass
    else:
        values = [one for values in found.headers.values() for one in values]
        # A NUL may stand in a quoted-pair; nothing that ends a line stands anywhere.
        assert not any(char in value for value in values for char in "\r\n"), values
        for read in ("via", "cseq", "from_", "to", "expires", "call_id"):
            try:
                getattr(found, read)
            except ReginfoError:
                pass
    ours = Endpoint(new_id=lambda: "1", methods=("REGISTER",), headers={})
    flow = Flow(Local(Transport.UDP, "fe80::1%2", 5060), ("fe80::2%2", 5060))
    ours.receive_datagram(data, flow, 0.0)
    for event in ours.events():
        if isinstance(event, RequestReceived):
            ours.respond(event.transaction, Response(200, "OK"))
    for datagram in ours.datagrams_to_send():
        try:
            response = parse(datagram.data)
        except Malformed as exc:
            # A 400 copies what is wrong with the request.
            assert str(exc).endswith(" is not UTF-8"), datagram.data
            continue
        assert isinstance(response, Response), datagram.data
        copied = {"Via", "From", "To", "Call-ID", "CSeq"}
        assert copied <= response.headers.keys(), datagram.data
        if response.status < 300:
            assert response.to.tag and not isinstance(found, Response)
            assert "%2" not in (response.via.params.get("received") or "")
    assert isinstance(parse(REGISTER), Request)


def uri(data: bytes) -> None:
    """A URI has the same key when it is written and parsed again."""
    from reginfo.sip.errors import ReginfoError
    from reginfo.sip.uri import Uri

    try:
        first = Uri.parse(data.decode("utf-8", "replace"))
    except ReginfoError:
        return
    assert first == first
    second = Uri.parse(first.text)
    assert (second.text, second.key) == (first.text, first.key), first.text


def header(data: bytes) -> None:
    """The values of structured header fields are parsed, or refused; and written."""
    from reginfo.events.headers import EventHeader, SubscriptionState
    from reginfo.sip import headers
    from reginfo.sip.errors import ReginfoError
    from reginfo.sip.message import Response

    text = data.decode("utf-8", "replace")
    readers: list[Callable[[str], object]] = [
        headers.parse_via, headers.parse_cseq, headers.parse_params,
        headers.retry_after, EventHeader.parse,
        lambda text: SubscriptionState.of(
            Response(200, "OK", {"Subscription-State": [text]})
        ),
    ]  # fmt: skip
    for read in readers:
        try:
            read(text)
        except ReginfoError:
            pass
    if set(text) & {"\r", "\n"}:
        return  # the parser lets none of these through
    for value in [text, *headers.split(text)]:
        try:
            address = headers.parse_name_addr(value)
        except ReginfoError:
            continue
        written = f"{headers.quote(address.display_name)} <{address.uri}>" + "".join(
            f";{name}" if known is None else f";{name}={known}"
            for name, known in address.params.items()
        )
        assert headers.parse_name_addr(written) == address, (value, written)


def framing(data: bytes) -> None:
    """A stream gives the same messages in whatever pieces it comes."""
    from reginfo.sip.framing import Framer

    def framed(pieces: Iterable[bytes]) -> tuple[list[bytes], str, int]:
        framer, found = Framer(max_message=1024), []
        for piece in pieces:
            found += framer.receive(piece)
        return found, str(framer.error or ""), framer.pongs

    size = 1 + (data[0] if data else 0) % 16
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    # Each message is judged alone: those before an error come in any case.
    assert framed(pieces) == framed([data])


def document(data: bytes) -> None:
    """A document that was read is written, and read again, to the same value."""
    from reginfo.reg import xml
    from reginfo.sip.errors import ReginfoError

    try:
        first = xml.parse(data)
    except ReginfoError:
        return
    written = xml.serialize(first)
    second = xml.parse(written)
    assert second.registrations == first.registrations, written


def server(data: bytes) -> None:
    """A server survives any datagram, and still answers a REGISTER 200."""
    from reginfo.config.config import Config
    from reginfo.testing import Wire

    failures = _Failures()
    logger = logging.getLogger("reginfo")
    logger.addHandler(failures)
    try:
        wire = Wire()
        one = wire.serve(Config.parse(CONFIG))
        for datagram in data.split(b"\n---\n")[:8]:
            wire.send(datagram, PHONE, one.address)
        wire.pass_time(40)
        wire.received(PHONE)
        wire.send(REGISTER, PHONE, one.address)
        answers = [one for one in wire.received(PHONE) if b"z9hG4bKlast" in one]
        assert any(one.startswith(b"SIP/2.0 200 ") for one in answers), answers
    finally:
        logger.removeHandler(failures)
    assert not failures.found, failures.found


class _Failures(logging.Handler):
    """Keeps what was logged with a traceback: an error that nobody expected."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.found.append(f"{record.getMessage()}: {record.exc_info[1]!r}")


PHONE = ("192.0.2.50", 5060)
CONFIG = """
[server]
id = "a"
listen = ["udp:192.0.2.1:5060"]
domains = ["example.com"]
[store]
url = "memory:"
[notifier]
min_interval = 0.0
[[peer]]
name = "p"
uri = "sip:192.0.2.50"
unsolicited = true
"""
REGISTER = (
    b"REGISTER sip:example.com SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.50;branch=z9hG4bKlast\r\n"
    b"From: <sip:last@example.com>;tag=1\r\nTo: <sip:last@example.com>\r\n"
    b"Call-ID: last\r\nCSeq: 1 REGISTER\r\nContact: <sip:last@192.0.2.50>\r\n\r\n"
)

TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (message, uri, header, framing, document, server)
}


# The corpus.


def corpus(name: str) -> list[bytes]:
    """The inputs that are kept for a target."""
    path = CORPUS / f"{name}.txt"
    if not path.exists():
        return []
    return [base64.b64decode(line) for line in path.read_text("ascii").split()]


def keep(name: str, inputs: Iterable[bytes]) -> int:
    """Add inputs to the corpus of a target; return how many are new."""
    known = corpus(name)
    new = [one for one in dict.fromkeys(inputs) if one not in known]
    CORPUS.mkdir(exist_ok=True)
    lines = [base64.b64encode(one).decode("ascii") for one in sorted({*known, *new})]
    text = "".join(f"{line}\n" for line in lines if line)
    (CORPUS / f"{name}.txt").write_text(text, "ascii")
    return len(new)


def seeds(name: str) -> Iterator[bytes]:
    """Inputs to begin with: the corpus, and what the tests have."""
    yield from corpus(name)
    for path in sorted((ROOT / "tests").rglob("*.sip")):
        data = path.read_bytes()
        if name in ("message", "framing", "server"):
            yield data[:LONGEST]
        elif name == "document":
            yield data.partition(b"\r\n\r\n")[2][:LONGEST]
        else:
            for line in data.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]:
                yield line.partition(b":")[2].strip(b" <>" if name == "uri" else b" ")


# The engines.


def run(names: list[str], seconds: int) -> int:
    """Fuzz each target; print what was done. 1 if an input failed."""
    failed = 0
    has_atheris = importlib.util.find_spec("atheris") is not None
    for name in names:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as directory:
            folder = Path(directory)
            (folder / "seeds").mkdir()
            for number, seed in enumerate(seeds(name)):
                (folder / "seeds" / f"{number:05}").write_bytes(seed)
            engine = "atheris" if has_atheris else "hypothesis"
            done = subprocess.run(
                [sys.executable, __file__, "_" + engine, name, directory, str(seconds)],
                cwd=ROOT,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                check=False,
            )
            found = [path.read_bytes() for path in sorted(folder.glob("crash-*"))]
            found += [path.read_bytes() for path in sorted(folder.glob("timeout-*"))]
            counts = re.findall(
                r"executed_units: *(\d+)|^(\d+) runs", done.stderr, re.M
            )
            runs = max((int(one or other) for one, other in counts), default=0)
            minutes = (time.monotonic() - began) / 60
            say(f"fuzz: {name}: {engine}, {minutes:.1f} minutes, {runs} inputs")
            if done.returncode or found:
                failed += 1
                keep(name, found)
                say(f"fuzz: {name}: {len(found)} inputs fail; they are in the corpus")
                say("\n".join(done.stderr.splitlines()[-40:]))
                continue
            keep(name, smallest(folder / "new", KEPT - len(corpus(name))))
    return 1 if failed else 0


def smallest(folder: Path, number: int) -> list[bytes]:
    """The smallest ``number`` of the inputs in ``folder``."""
    if not folder.exists():
        return []
    return sorted((path.read_bytes() for path in folder.iterdir()), key=len)[
        : max(0, number)
    ]


def quieten() -> None:
    """Have nothing printed that a server logs."""
    logging.disable(logging.INFO)
    logging.getLogger("reginfo").propagate = False


def with_atheris(name: str, directory: Path, seconds: int) -> None:
    """Run one target under atheris; ends the process."""
    import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]

    with atheris.instrument_imports(include=["reginfo"]):
        import reginfo.server.app
        import reginfo.testing  # noqa: F401

    quieten()
    (directory / "new").mkdir(exist_ok=True)
    options = [
        str(directory / "new"),
        str(directory / "seeds"),
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={directory}/",
        "-timeout=20",
        "-print_final_stats=1",
    ]
    atheris.Setup(["fuzz", *options], TARGETS[name])
    atheris.Fuzz()


def with_hypothesis(name: str, directory: Path, seconds: int) -> None:
    """Run one target on mutated inputs of the corpus until the time is over."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st

    quieten()
    known = [path.read_bytes() for path in sorted((directory / "seeds").iterdir())]
    tokens = [
        b"\r\n", b"\0", b'"', b"<", b">", b";", b",", b"%", b"[", b"\xff", b"a" * 300,
        b"18446744073709551616", b"-1", b"&#0;", b"]]>", b"sip:",
    ]  # fmt: skip
    edit = st.tuples(
        st.floats(0, 1), st.integers(0, 30), st.sampled_from(tokens) | st.binary()
    )

    def edited(data: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
        for place, removed, added in edits:
            at = int(place * len(data))
            data = data[:at] + added + data[at + removed :]
        return data[:LONGEST]

    bases = st.binary() | (st.sampled_from(known) if known else st.nothing())
    inputs = st.builds(edited, bases, st.lists(edit, max_size=6))
    runs, last = 0, b""

    @settings(
        max_examples=2000, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(inputs)
    def one(data: bytes) -> None:
        nonlocal runs, last
        runs, last = runs + 1, data
        TARGETS[name](data)

    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            one()
    except BaseException:
        (directory / "crash-hypothesis").write_bytes(last)
        raise
    finally:
        sys.stderr.write(f"{runs} runs\n")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    if arguments and arguments[0] in ("_atheris", "_hypothesis"):
        name, directory, seconds = arguments[1:]
        engine = with_atheris if arguments[0] == "_atheris" else with_hypothesis
        engine(name, Path(directory), int(seconds))
        return 0
    parser = argparse.ArgumentParser(description="Fuzzing.")
    parser.add_argument("command", choices=["run", "keep", "list"])
    parser.add_argument("names", nargs="*", metavar="TARGET")
    parser.add_argument("--time", type=int, default=120, metavar="SECONDS")
    given = parser.parse_intermixed_args(arguments)
    if given.command == "list":
        for name, target in TARGETS.items():
            say(f"{name:10} {len(corpus(name)):4} inputs kept. {target.__doc__}")
        return 0
    if given.command == "keep":
        name, *files = given.names
        say(f"{keep(name, [Path(file).read_bytes() for file in files])} are new")
        return 0
    return run(given.names or list(TARGETS), given.time)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
