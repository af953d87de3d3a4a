"""
Load on any SIP registrar with the `reg` event, over UDP on loopback.

    driver.py --port 5060 --pid PID [--watched] [--n 20000] [--rate 200]

One operation is a REGISTER that refreshes a user's contact. It is complete
with its 200 and, when users are watched, with the one NOTIFY that it causes,
which is answered 200. Operations of one user never overlap. The loop is closed
(``--window`` operations on their way) or open (``--rate`` of them a second).
Nothing is sent twice: what is not answered counts as lost.
"""

from __future__ import annotations

import argparse
import gc
import json
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from dataclasses import fields as dataclass_fields
from typing import Any

import messages
from servers import cpu_seconds

Address = tuple[str, int]

BUFFER = 4 << 20  # of each socket, in bytes: the driver itself must lose nothing
BURST = 32  # so many are sent before the answers are looked at again
GIVE_UP = 5.0  # after so many seconds an operation is lost
QUIET = 1.0  # and the run is over when so long nothing came
SETTLE = 0.3  # what the server still does after the last answer counts as well

now = time.perf_counter


@dataclass(slots=True)
class Tally:
    """What became of the operations of one run. Times are in seconds."""

    operations: int = 0
    completed: int = 0
    elapsed: float = 0.0
    "From the first REGISTER to the last answer."

    server_cpu: float = 0.0
    driver_cpu: float = 0.0
    codes: Counter[int] = field(default_factory=Counter)
    "Final responses, by status code."

    response_times: list[float] = field(default_factory=list)
    "REGISTER to 200."

    notify_times: list[float] = field(default_factory=list)
    "REGISTER to NOTIFY."

    doubled_responses: int = 0
    doubled_notifies: int = 0
    "Retransmissions of a NOTIFY that was answered, and NOTIFYs beyond the one."

    missing_notifies: int = 0
    wrong_bodies: int = 0
    "NOTIFYs that do not name the user's contact."

    wrong_versions: int = 0
    "Documents whose version is not that of the one before plus one."

    @property
    def lost(self) -> int:
        """Operations without a 200, or without their NOTIFY."""
        return self.operations - self.completed

    @property
    def doubled(self) -> int:
        return self.doubled_responses + self.doubled_notifies

    @property
    def cpu_per_operation(self) -> float:
        """Microseconds of all processes of the server."""
        return self.server_cpu / max(self.operations, 1) * 1e6

    @property
    def rate(self) -> float:
        """Operations completed in a second."""
        return self.completed / self.elapsed if self.elapsed else 0.0

    @property
    def times(self) -> list[float]:
        """How long operations took: to the NOTIFY if there is one, else to the 200."""
        return self.notify_times or self.response_times

    def summary(self) -> dict[str, Any]:
        """All of it but the single times."""
        fields = {one.name: getattr(self, one.name) for one in dataclass_fields(self)}
        del fields["response_times"], fields["notify_times"]
        return fields | {
            "codes": dict(self.codes),
            "lost": self.lost,
            "doubled": self.doubled,
            "cpu_us_per_operation": round(self.cpu_per_operation, 2),
            "rate": round(self.rate, 1),
            "p50_ms": percentile(self.times, 50),
            "p99_ms": percentile(self.times, 99),
        }


@dataclass(slots=True)
class _Operation:
    user: int
    sent_at: float
    answered: bool = False
    notified: bool = False


class Driver:
    """
    Users behind one socket, and their watchers behind another.

    Args:
        server: Where it listens.
        users: How many there are; operations go round among them.
        watched: Whether each has a watcher.
        pid: The server's process, whose CPU time is read with its children's.
    """

    def __init__(
        self, server: Address, *, users: int, watched: bool, pid: int | None = None
    ) -> None:
        self.server = server
        self.users = users
        self.watched = watched
        self.pid = pid
        # Part of every Call-ID and branch: a later run is another set of users.
        self._run = f"{int(time.time() * 1000) & 0xFFFFFFF:x}"
        self._phones, self._watchers = _socket(), _socket()
        self._phones.connect(server)
        self._poll = select.epoll()
        self._poll.register(self._phones, select.EPOLLIN)
        self._poll.register(self._watchers, select.EPOLLIN)
        self._cseq = [0] * users
        self._next = 0
        # A watcher's last NOTIFY: CSeq and version, by user.
        self._notify_cseq: dict[int, int] = {}
        self._version: dict[int, int] = {}
        self._subscribed: set[int] = set()
        self._tally = Tally()
        self._operations: dict[int, _Operation] = {}
        self._on_its_way: dict[int, int] = {}
        "The number of each user's operation that is not complete."

    def close(self) -> None:
        self._poll.close()
        self._phones.close()
        self._watchers.close()

    def subscribe(self, *, window: int = 20, limit: float = 60.0) -> None:
        """
        Let every user be watched, and wait for the first NOTIFYs.

        Raises:
            TimeoutError: some were not answered, or not notified.
        """
        deadline = now() + limit
        port = self._watchers.getsockname()[1]
        waiting: dict[int, float] = {}
        users = iter(range(self.users))
        while len(self._subscribed & self._notify_cseq.keys()) < self.users:
            if now() > deadline:
                raise TimeoutError("the watchers were not all answered")
            while len(waiting) < window and (user := next(users, None)) is not None:
                waiting[user] = 0.0
            for user, sent_at in list(waiting.items()):
                if user in self._subscribed and user in self._notify_cseq:
                    del waiting[user]
                elif now() - sent_at > 2.0:
                    # The only one that is sent again: it is not what is measured.
                    request = messages.subscribe(user, port, self._run)
                    self._watchers.sendto(request, self.server)
                    waiting[user] = now()
            self._poll.poll(0.02)
            self._receive_for_watchers()

    def warm(self, *, window: int = 20) -> Tally:
        """Register every user once, so that what follows are refreshes."""
        return self.run(self.users, window=window)

    def run(
        self,
        operations: int,
        *,
        window: int | None = None,
        rate: float | None = None,
        limit: float = 60.0,
    ) -> Tally:
        """
        Do so many operations, and count.

        Args:
            operations: How many.
            window: How many are on their way at once.
            rate: How many are sent in a second, whatever becomes of them.
            limit: After so many seconds it ends, done or not.
        """
        assert (window is None) != (rate is None)
        # Built before the clock runs: the loop is to send and to count only.
        requests = [self._build(number) for number in range(operations)]
        first, self._next = self._next, self._next + operations
        self._tally = tally = Tally()
        self._operations.clear()
        self._on_its_way.clear()
        cpu, driver_cpu = self._cpu(), time.process_time()
        begin = last = now()
        sent = 0
        while now() - begin < limit:
            if rate is not None:
                allowed = min(operations, int((now() - begin) * rate) + 1) - sent
            else:
                allowed = min(window or 0, operations) - len(self._on_its_way)
            for _ in range(min(allowed, BURST, operations - sent)):
                user = (first + sent) % self.users
                if user in self._on_its_way:
                    if rate is None:
                        break  # it waits for its turn
                    del self._on_its_way[user]  # late: lost
                self._operations[first + sent] = _Operation(user, now())
                self._on_its_way[user] = first + sent
                try:
                    self._phones.send(requests[sent])
                except (BlockingIOError, ConnectionRefusedError):
                    pass  # it will count as lost
                sent += 1
            if sent == operations and not self._on_its_way:
                break
            wait = 0.02
            if rate is not None and sent < operations:
                wait = min(max(begin + sent / rate - now(), 0.0), wait)
            if self._poll.poll(wait) and self._receive():
                last = now()
            self._give_up()
            if sent == operations and now() - last > QUIET:
                break
        tally.operations = sent
        tally.elapsed = last - begin
        settled_at = now() + SETTLE
        while now() < settled_at:
            self._poll.poll(0.02)
            self._receive()
        tally.server_cpu = self._cpu() - cpu
        tally.driver_cpu = time.process_time() - driver_cpu
        done = self._operations.values()
        tally.completed = sum(
            one.answered and (one.notified or not self.watched) for one in done
        )
        if self.watched:
            tally.missing_notifies = sum(not one.notified for one in done)
        return tally

    def _build(self, number: int) -> bytes:
        operation = self._next + number
        user = operation % self.users
        self._cseq[user] += 1
        port = self._phones.getsockname()[1]
        return messages.register(operation, user, self._cseq[user], port, self._run)

    def _cpu(self) -> float:
        return cpu_seconds(self.pid) if self.pid else 0.0

    def _give_up(self) -> None:
        # The oldest is first: dictionaries keep their order.
        for user, number in self._on_its_way.items():
            if now() - self._operations[number].sent_at > GIVE_UP:
                del self._on_its_way[user]
            break

    def _receive(self) -> int:
        return self._receive_for_phones() + self._receive_for_watchers()

    def _receive_for_phones(self) -> int:
        count = 0
        while True:
            try:
                data = self._phones.recv(65535)
            except BlockingIOError:
                return count
            except ConnectionRefusedError:
                continue
            arrived_at = now()
            count += 1
            match = messages.BRANCH.search(data)
            if not match or not data.startswith(b"SIP/2.0 ") or data[8:9] == b"1":
                continue
            number = int(match[1], 16)
            operation = self._operations.get(number)
            if operation is None:
                continue  # of a run before this one
            if operation.answered:
                self._tally.doubled_responses += 1
                continue
            status = int(data[8:11])
            self._tally.codes[status] += 1
            if status == 200:
                operation.answered = True
                self._tally.response_times.append(arrived_at - operation.sent_at)
                self._close(number, operation)

    def _receive_for_watchers(self) -> int:
        count = 0
        while True:
            try:
                data, source = self._watchers.recvfrom(65535)
            except BlockingIOError:
                return count
            arrived_at = now()
            count += 1
            if data.startswith(b"NOTIFY "):
                self._watchers.sendto(messages.ok(data), source)
                self._take(data, arrived_at)
            elif data.startswith(b"SIP/2.0 200 "):
                if match := messages.BRANCH.search(data):
                    self._subscribed.add(int(match[1], 16))

    def _take(self, notify: bytes, arrived_at: float) -> None:
        match, number = (
            messages.SUBSCRIPTION.search(notify),
            messages.CSEQ.search(notify),
        )
        if not match or not number:
            return
        user, cseq = int(match[1], 16), int(number[1])
        first = user not in self._notify_cseq
        if not first and cseq <= self._notify_cseq[user]:
            self._tally.doubled_notifies += 1
            return
        self._notify_cseq[user] = cseq
        if version := messages.VERSION.search(notify):
            before, self._version[user] = self._version.get(user), int(version[1])
            if before is not None and self._version[user] != before + 1:
                self._tally.wrong_versions += 1
        operation = self._operations.get(self._on_its_way.get(user, -1))
        if operation is None or operation.notified:
            self._tally.doubled_notifies += not first
            return
        operation.notified = True
        self._tally.notify_times.append(arrived_at - operation.sent_at)
        if b"sip:u%d@127.0.0.1" % user not in notify:
            self._tally.wrong_bodies += 1
        self._close(self._on_its_way[user], operation)

    def _close(self, number: int, operation: _Operation) -> None:
        if operation.answered and (operation.notified or not self.watched):
            if self._on_its_way.get(operation.user) == number:
                del self._on_its_way[operation.user]


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    made.bind(("127.0.0.1", 0))
    made.setblocking(False)
    return made


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The percentile of times, in milliseconds."""
    if not values:
        return None
    at = min(int(percent / 100 * len(values)), len(values) - 1)
    return round(sorted(values)[at] * 1e3, 3)


def paused(work: Callable[[], Tally]) -> Tally:
    """Do ``work`` without the garbage collector, whose pauses are not the server's."""
    gc.collect()
    gc.disable()
    try:
        return work()
    finally:
        gc.enable()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pid", type=int, help="the server's process")
    parser.add_argument("--n", type=int, default=20_000, help="operations")
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--watched", action="store_true", help="one watcher each")
    parser.add_argument("--window", type=int, default=20, help="closed loop")
    parser.add_argument("--rate", type=float, help="open loop, a second")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds")
    given = parser.parse_args()
    driver = Driver(
        ("127.0.0.1", given.port),
        users=given.users,
        watched=given.watched,
        pid=given.pid,
    )
    if given.watched:
        driver.subscribe()
    driver.warm()
    window = None if given.rate else given.window
    tally = paused(
        lambda: driver.run(given.n, window=window, rate=given.rate, limit=given.limit)
    )
    driver.close()
    sys.stdout.write(json.dumps(tally.summary()) + "\n")


if __name__ == "__main__":
    main()
