"""Real TCP on loopback: streams, opened by them and by us."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from reginfo.io import stream, tcp
from reginfo.io.crowd import Crowd, StreamLimits
from reginfo.io.stream import READ_ON
from reginfo.io.tcp import StreamTransport
from reginfo.sip.flow import Address, Flow, Local
from reginfo.sip.transaction import Datagram
from reginfo.sip.transport import Transport

MESSAGE = b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 5\r\n\r\nhello"
BROKEN = b"OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP h\r\nContent-Length: many\r\n\r\n"
OK = b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"
ACCEPTED = b"SIP/2.0 200 OK\r\nCSeq: 1 REGISTER\r\nContent-Length: 0\r\n\r\n"
TRYING = b"SIP/2.0 100 Trying\r\nContent-Length: 0\r\n\r\n"


class Rim:
    """Keeps what a transport tells."""

    def __init__(self, host: str = "127.0.0.1", **arguments: Any) -> None:
        self.received: list[tuple[bytes, Flow]] = []
        self.failed: list[Datagram] = []
        self.causes: set[str] = set()
        self.lost: list[Flow] = []
        self._news = asyncio.Event()
        self.transport = StreamTransport.listening(
            (host, 0),
            receive=lambda data, flow: self.received.append((data, flow)),
            settle=self._news.set,
            failed=self._fail,
            lost=self.lost.append,
            **arguments,
        )
        self.transport.start()
        self.address: Address = (host, self.transport.local.port)

    def _fail(self, datagram: Datagram, cause: str) -> None:
        self.failed.append(datagram)
        self.causes.add(cause)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not holds():
                self._news.clear()
                await self._news.wait()


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def in_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(test())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@in_loop
async def test_a_message_in_pieces_arrives_whole_and_is_answered_by_its_stream() -> (
    None
):
    rim = Rim()
    await asyncio.sleep(0)
    reader, writer = await asyncio.open_connection(*rim.address)
    for at in range(len(MESSAGE)):
        writer.write(MESSAGE[at : at + 1])
        await writer.drain()
    await rim.until(lambda: bool(rim.received))
    ((data, flow),) = rim.received
    assert data == MESSAGE
    assert flow == Flow(rim.transport.local, writer.get_extra_info("sockname"))
    rim.transport.send(Datagram(b"answer", flow))
    assert await reader.readexactly(6) == b"answer"
    writer.close()
    await rim.until(lambda: rim.lost == [flow])
    rim.transport.close()


@in_loop
async def test_a_host_that_acknowledges_nothing_for_twenty_seconds_is_lost() -> None:
    """Streams that are opened to us, and streams that we open (RFC 5482)."""
    theirs, ours = Rim(), Rim()
    await asyncio.sleep(0)
    ours.transport.send(Datagram(MESSAGE, Flow(ours.transport.local, theirs.address)))
    await theirs.until(lambda: bool(theirs.received))
    for rim in (theirs, ours):
        (connection,) = rim.transport._streams.values()
        assert connection._transport is not None
        sock: socket.socket = connection._transport.get_extra_info("socket")
        waits = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert waits == stream.UNACKNOWLEDGED == 20_000
    for rim in (theirs, ours):
        rim.transport.stop()
        rim.transport.close()


@in_loop
async def test_a_ping_is_answered_by_a_pong() -> None:
    """5626-06"""
    rim = Rim()
    await asyncio.sleep(0)
    reader, writer = await asyncio.open_connection(*rim.address)
    writer.write(b"\r\n\r\n")
    assert await reader.readexactly(2) == b"\r\n"
    assert rim.received == []
    writer.close()
    rim.transport.close()


@in_loop
async def test_an_invalid_stream_is_closed_and_the_others_go_on() -> None:
    rim = Rim()
    await asyncio.sleep(0)
    reader, writer = await asyncio.open_connection(*rim.address)
    writer.write(b"X sip:a SIP/2.0\r\nContent-Length: many\r\n\r\n")
    assert await reader.read() == b""
    writer.close()
    _, other = await asyncio.open_connection(*rim.address)
    other.write(MESSAGE)
    await rim.until(lambda: bool(rim.received))
    other.close()
    rim.transport.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_after_a_half_close_the_responses_still_go_out(host: str) -> None:
    """3261-81 (§18.2.2): however long each of them takes, and then it is closed."""

    @in_loop
    async def run() -> None:
        rim = Rim(host)
        await asyncio.sleep(0)
        reader, writer = await asyncio.open_connection(*rim.address)
        writer.write(MESSAGE + MESSAGE)
        writer.write_eof()
        await rim.until(lambda: bool(rim.lost))  # for requests of ours, it is gone
        _, flow = rim.received[0]
        assert rim.lost == [flow]
        assert not rim.transport.is_open(flow.remote)
        for response in (TRYING, OK, TRYING):
            rim.transport.send(Datagram(response, flow))
            assert await reader.readexactly(len(response)) == response
        rim.transport.send(Datagram(OK, flow))
        assert await reader.read() == OK
        writer.close()
        rim.transport.close()

    run()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("requests", [1, 3])
def test_after_a_half_close_the_last_response_closes_the_stream(
    host: str, requests: int
) -> None:
    """3261-81 (§18.2.2): not before it, and at once with it."""

    @in_loop
    async def run() -> None:
        rim = Rim(host)
        await asyncio.sleep(0)
        reader, writer = await asyncio.open_connection(*rim.address)
        writer.write(MESSAGE * requests)
        writer.write_eof()
        await rim.until(lambda: bool(rim.lost))
        (flow,) = {flow for _, flow in rim.received}
        (ending,) = rim.transport._ending.values()
        for left in reversed(range(requests)):
            rim.transport.send(Datagram(TRYING, flow))
            assert not ending._transport.is_closing()
            rim.transport.send(Datagram(OK, flow))
            assert ending._transport.is_closing() == (left == 0)
        async with asyncio.timeout(5):
            assert await reader.read() == (TRYING + OK) * requests
        assert rim.transport._ending == {}
        writer.close()
        rim.transport.close()

    run()


@in_loop
async def test_a_stream_that_is_shut_down_with_nothing_to_answer_is_closed() -> None:
    rim = Rim()
    await asyncio.sleep(0)
    reader, writer = await asyncio.open_connection(*rim.address)
    writer.write(b"ACK sip:a SIP/2.0\r\nl: 0\r\n\r\n" + OK)
    writer.write_eof()
    assert await reader.read() == b""
    assert len(rim.received) == 2
    writer.close()
    rim.transport.close()


@in_loop
async def test_a_request_of_ours_does_not_go_by_a_stream_that_is_shut_down() -> None:
    """Its peer could not answer: another stream is opened."""
    rim, peer = Rim(), Rim()
    await asyncio.sleep(0)
    flow = Flow(rim.transport.local, peer.address)
    rim.transport.send(Datagram(MESSAGE, flow))
    await peer.until(lambda: len(peer.received) == 1)
    (ended,) = rim.transport._streams.values()
    ended.data_received(MESSAGE)  # a request from there, not answered yet
    ended.eof_received()
    rim.transport.send(Datagram(MESSAGE, flow))
    await peer.until(lambda: len(peer.received) == 2)
    assert peer.received[0][1] != peer.received[1][1]
    rim.transport.send(Datagram(OK, flow))
    await peer.until(lambda: len(peer.received) == 3)
    assert peer.received[0][1] == peer.received[2][1]
    rim.transport.close()
    peer.transport.close()


def test_a_stream_that_is_never_answered_is_closed_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "LINGER", 0.01)

    @in_loop
    async def run() -> None:
        rim = Rim()
        await asyncio.sleep(0)
        reader, writer = await asyncio.open_connection(*rim.address)
        writer.write(MESSAGE)
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        rim.transport.close()

    run()


@in_loop
async def test_messages_before_a_broken_one_are_served_and_it_is_answered() -> None:
    """3261-62 (§18.3): then the stream is closed, for nobody knows what follows."""
    rim = Rim()
    await asyncio.sleep(0)
    reader, writer = await asyncio.open_connection(*rim.address)
    writer.write(MESSAGE + BROKEN + MESSAGE)
    await rim.until(lambda: bool(rim.received))
    assert [data for data, _ in rim.received] == [MESSAGE, BROKEN]
    _, flow = rim.received[0]
    rim.transport.send(Datagram(OK, flow))
    rim.transport.send(Datagram(OK, flow))
    assert await reader.read() == OK + OK
    writer.close()
    rim.transport.close()


@in_loop
async def test_a_message_over_the_limit_ends_its_stream() -> None:
    """sec-04"""
    rim = Rim(max_message=len(MESSAGE))
    await asyncio.sleep(0)
    reader, writer = await asyncio.open_connection(*rim.address)
    writer.write(MESSAGE)
    await rim.until(lambda: bool(rim.received))
    rim.transport.send(Datagram(OK, rim.received[0][1]))
    writer.write(MESSAGE.replace(b"5", b"6"))
    assert await reader.read() == OK
    writer.close()
    rim.transport.close()


@in_loop
async def test_a_stream_that_we_need_is_opened_once() -> None:
    rim, peer = Rim(), Rim()
    await asyncio.sleep(0)
    flow = Flow(rim.transport.local, peer.address)
    for _ in range(3):
        rim.transport.send(Datagram(MESSAGE, flow))
    await peer.until(lambda: len(peer.received) == 3)
    assert len({f for _, f in peer.received}) == 1
    rim.transport.close()
    peer.transport.close()


@in_loop
async def test_after_a_stream_was_closed_the_next_message_opens_another() -> None:
    rim, peer = Rim(), Rim()
    await asyncio.sleep(0)
    flow = Flow(rim.transport.local, peer.address)
    rim.transport.send(Datagram(MESSAGE, flow))
    await peer.until(lambda: len(peer.received) == 1)
    peer.transport.stop()
    peer.transport.close()
    await rim.until(lambda: rim.lost == [flow])
    rim.transport.send(Datagram(MESSAGE, flow))
    await rim.until(lambda: bool(rim.failed))  # nobody listens there any more
    rim.transport.close()


@in_loop
async def test_a_peer_that_refuses_is_reported_with_all_that_waited() -> None:
    rim = Rim()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = closed.getsockname()
    flow = Flow(rim.transport.local, nobody)
    datagrams = [Datagram(b"1", flow), Datagram(b"2", flow)]
    for datagram in datagrams:
        rim.transport.send(datagram)
    await rim.until(lambda: rim.failed == datagrams)
    assert rim.causes == {"connection refused"}
    rim.transport.close()


def reset(connection: socket.socket) -> None:
    """Close a connection with nothing to linger for."""
    linger = struct.pack("ii", 1, 0)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    connection.close()


@in_loop
async def test_a_peer_that_resets_at_once_has_failed_and_is_not_asked_again() -> None:
    """Even if the stream is gone before anybody can ask whose it is."""
    rim = Rim()
    loop = asyncio.get_running_loop()
    wrong: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: wrong.append(context))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        connect = loop.sock_connect

        async def connect_and_be_reset(one: socket.socket, address: Address) -> None:
            await connect(one, address)
            reset(listener.accept()[0])

        loop.sock_connect = connect_and_be_reset  # type: ignore[method-assign,assignment]
        flow = Flow(rim.transport.local, listener.getsockname())
        datagrams = [Datagram(b"1", flow), Datagram(b"2", flow)]
        for datagram in datagrams:
            rim.transport.send(datagram)
        await rim.until(lambda: rim.failed == datagrams)
        await asyncio.sleep(0)
        with pytest.raises(BlockingIOError):
            listener.accept()
    rim.transport.close()
    assert wrong == []


@in_loop
async def test_who_opens_a_stream_and_resets_it_at_once_harms_nobody() -> None:
    rim = Rim()
    loop = asyncio.get_running_loop()
    wrong: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: wrong.append(context))
    for _ in range(3):
        reset(socket.create_connection(rim.address))
    _, other = await asyncio.open_connection(*rim.address)
    other.write(MESSAGE)
    await rim.until(lambda: bool(rim.received))
    other.close()
    rim.transport.close()
    assert wrong == []


def test_a_peer_that_drops_syn_is_given_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tcp, "CONNECT", 0.05)

    @in_loop
    async def run() -> None:
        rim = Rim()
        # A listener whose queue is full takes no further SYN.
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            others = [socket.socket() for _ in range(4)]
            for other in others:
                other.setblocking(False)
                other.connect_ex(full.getsockname())
            datagram = Datagram(b"1", Flow(rim.transport.local, full.getsockname()))
            rim.transport.send(datagram)
            await rim.until(lambda: rim.failed == [datagram])
            assert rim.causes == {"no connection within 0.05 s"}
            for other in others:
                other.close()
        rim.transport.close()

    run()


def test_a_peer_that_reads_nothing_is_cut_off() -> None:
    """3261-157"""

    @in_loop
    async def run() -> None:
        crowd = Crowd(StreamLimits(unsent=100_000))
        rim = Rim(crowd=crowd)
        await asyncio.sleep(0)
        _, writer = await asyncio.open_connection(*rim.address, limit=1)
        writer.write(MESSAGE)
        await rim.until(lambda: bool(rim.received))
        _, flow = rim.received[0]
        for _ in range(1000):
            if rim.lost:
                break
            rim.transport.send(Datagram(bytes(60_000), flow))
            await asyncio.sleep(0)
        assert rim.lost == [flow]
        assert crowd.unread == 1 and not len(crowd)
        writer.close()
        rim.transport.close()

    run()


@in_loop
async def test_requests_of_a_peer_that_does_not_read_wait_in_its_own_host() -> None:
    """3261-157: also its pings, until it reads."""
    rim = Rim()
    await asyncio.sleep(0)
    reader, writer = await asyncio.open_connection(*rim.address, limit=1)
    writer.write(MESSAGE)
    await rim.until(lambda: bool(rim.received))
    _, flow = rim.received[0]
    (one,) = rim.transport._streams.values()
    sent = 0
    while not one._transport.get_write_buffer_size() > READ_ON:
        rim.transport.send(Datagram(bytes(READ_ON), flow))
        sent += READ_ON
        await asyncio.sleep(0)
    assert not one._transport.is_reading()
    writer.write(b"\r\n\r\n" * 1000 + MESSAGE)
    await asyncio.sleep(0.05)
    assert len(rim.received) == 1
    await reader.readexactly(sent)
    assert await reader.readexactly(2000) == b"\r\n" * 1000
    await rim.until(lambda: len(rim.received) == 2)
    writer.close()
    rim.transport.close()


@in_loop
async def test_a_silent_stream_makes_room_and_one_that_has_registered_does_not() -> (
    None
):
    """3261-156"""
    crowd = Crowd(StreamLimits(connections=3))
    rim = Rim(crowd=crowd)
    await asyncio.sleep(0)
    streams = [await asyncio.open_connection(*rim.address) for _ in range(3)]
    for _, writer in streams[:2]:
        writer.write(MESSAGE)
        await writer.drain()
    await rim.until(lambda: len(rim.received) == 2)
    flow = Flow(rim.transport.local, streams[0][1].get_extra_info("sockname"))
    rim.transport.send(Datagram(ACCEPTED, flow))
    assert await streams[0][0].readexactly(len(ACCEPTED)) == ACCEPTED
    streams.append(await asyncio.open_connection(*rim.address))
    await eventually(lambda: crowd.displaced == 1)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await streams[2][0].readexactly(1)
    figures = crowd.describe().figures
    assert (figures["streams"], figures["established"], figures["silent"]) == (3, 1, 1)
    assert figures["displaced_total"] == 1
    for _, writer in streams:
        writer.close()
    rim.transport.close()


@in_loop
async def test_only_so_many_connections_are_opened_at_a_time() -> None:
    """3261-159"""
    crowd = Crowd(StreamLimits(opening=1))
    theirs, ours = Rim(), Rim(crowd=crowd)
    await asyncio.sleep(0)
    local = ours.transport.local
    ours.transport.send(Datagram(MESSAGE, Flow(local, theirs.address)))
    await asyncio.sleep(0)
    ours.transport.send(Datagram(MESSAGE, Flow(local, theirs.address)))  # waits, too
    ours.transport.send(Datagram(MESSAGE, Flow(local, ("127.0.0.1", 1))))
    assert ours.causes == {"too many connections are being opened"}
    await theirs.until(lambda: len(theirs.received) == 2)
    assert (crowd.opening, crowd.refused, len(crowd)) == (0, 1, 1)
    ours.transport.send(Datagram(MESSAGE, Flow(local, ("127.0.0.1", 1))))
    await ours.until(lambda: len(ours.causes) == 2)
    for rim in (theirs, ours):
        rim.transport.close()


@in_loop
async def test_a_host_that_is_gone_is_found_out_within_minutes() -> None:
    """3261-156: by the keep-alive of TCP (RFC 1122 §4.2.3.6)."""
    rim = Rim()
    await asyncio.sleep(0)
    _, writer = await asyncio.open_connection(*rim.address)
    await eventually(lambda: bool(rim.transport._streams))
    (one,) = rim.transport._streams.values()
    sock: socket.socket = one._transport.get_extra_info("socket")
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 120
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 30
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 4
    writer.close()
    rim.transport.close()


@pytest.mark.ipv6
@in_loop
async def test_ipv6_has_streams_too() -> None:
    """4475-05"""
    rim = Rim("::1")
    assert rim.transport.local == Local(Transport.TCP, "::1", rim.address[1])
    assert rim.transport.local.sent_by == f"[::1]:{rim.address[1]}"
    await asyncio.sleep(0)
    _, writer = await asyncio.open_connection(*rim.address)
    writer.write(MESSAGE)
    await rim.until(lambda: bool(rim.received))
    assert rim.received[0][1].remote[0] == "::1"
    writer.close()
    rim.transport.close()


@in_loop
async def test_after_stop_nothing_is_taken_in_and_all_can_be_sent() -> None:
    rim = Rim()
    await asyncio.sleep(0)
    reader, writer = await asyncio.open_connection(*rim.address)
    writer.write(MESSAGE)
    await rim.until(lambda: bool(rim.received))
    _, flow = rim.received[0]
    rim.transport.stop()
    writer.write(MESSAGE)
    rim.transport.send(Datagram(b"bye", flow))
    assert await reader.readexactly(3) == b"bye"
    assert len(rim.received) == 1
    writer.close()
    rim.transport.close()
