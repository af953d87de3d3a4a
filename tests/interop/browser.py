"""Chromium with a page of JsSIP: what telephones of web pages are made of."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .phone import DOMAIN

LIMIT = 40.0
"""Seconds for anything to happen, on a busy machine where a browser starts."""

LIBRARY = Path(__file__).parents[2] / ".peers" / "jssip.js"
"""Made by `tools/setup.sh peers`."""

PAGE = """<!DOCTYPE html>
<title>A telephone</title>
<script src="/jssip.js"></script>
<script>
const setup = %s;
const media = { mediaConstraints: { audio: true, video: false } };
let sent = Promise.resolve();
function tell(user, type, more) {
  const body = JSON.stringify({ user, type, ...more });
  sent = sent.then(() => fetch("/event", { method: "POST", body }));
}
function follow(user, session) {
  for (const type of ["progress", "accepted", "confirmed", "ended", "failed"])
    session.on(type, (e) => tell(user, type, { cause: e.cause || "" }));
}
const agents = {};
for (const user of setup.users) {
  const agent = new JsSIP.UA({
    uri: `sip:${user}@${setup.domain}`,
    sockets: [new JsSIP.WebSocketInterface(setup.server)],
    register_expires: 120,
  });
  agents[user] = agent;
  for (const type of ["connected", "disconnected", "unregistered"])
    agent.on(type, () => tell(user, type));
  agent.on("registered", () => tell(user, "registered"));
  agent.on("registrationFailed", (e) => tell(user, "failed", { cause: e.cause }));
  agent.on("newMessage", (e) => {
    if (e.originator === "remote") tell(user, "message", { body: e.request.body });
  });
  agent.on("newRTCSession", (e) => {
    follow(user, e.session);
    if (e.originator !== "remote") return;
    tell(user, "called", { from: e.request.from.uri.toString() });
    e.session.answer(media);
  });
  agent.start();
}
async function work() {
  for (;;) {
    const { user, act, to } = await (await fetch("/command")).json();
    if (act === "call") agents[user].call(to, media);
    else if (act === "hangup") agents[user].terminateSessions();
    else if (act === "message") agents[user].sendMessage(to, "from a page");
    else if (act === "stop") agents[user].stop();
  }
}
work();
</script>
"""

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
    "--disable-dev-shm-usage", "--ignore-certificate-errors",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
)  # fmt: skip


class Browser:
    """
    A browser whose page registers some users, and does what it is told.

    Args:
        directory: for its profile and its log.
        server: the address of a WebSocket, such as ``wss://127.0.0.1:443``; it is set
            before the browser starts, as `origin` is known before.
        users: of the domain of the tests.
    """

    def __init__(self, directory: Path, *users: str) -> None:
        self._directory = directory
        self._users = users
        self.server = ""
        self.events: queue.Queue[dict[str, Any]] = queue.Queue()
        self.told: list[dict[str, Any]] = []
        self._commands: queue.Queue[dict[str, str]] = queue.Queue()
        browser = self

        class Site(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/jssip.js":
                    self._answer(LIBRARY.read_bytes(), "text/javascript")
                elif self.path == "/command":
                    command = browser._commands.get()
                    self._answer(json.dumps(command).encode(), "application/json")
                else:
                    self._answer(browser._page().encode(), "text/html")

            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                browser.events.put(json.loads(self.rfile.read(size)))
                self._answer(b"", "text/plain")

            def log_message(self, format: str, *args: object) -> None:
                pass

            def _answer(self, body: bytes, kind: str) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._site = ThreadingHTTPServer(("127.0.0.1", 0), Site)
        self._site.daemon_threads = True
        self._thread = threading.Thread(target=self._site.serve_forever, daemon=True)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def origin(self) -> str:
        """The origin of its page."""
        return f"http://127.0.0.1:{self._site.server_port}"

    def _page(self) -> str:
        setup = {"server": self.server, "users": self._users, "domain": DOMAIN}
        return PAGE % json.dumps(setup)

    def __enter__(self) -> Self:
        self._thread.start()
        self._directory.mkdir(parents=True)
        log = self._directory / "log"
        with log.open("wb") as stream:
            self._process = subprocess.Popen(
                [
                    "chromium", *FLAGS, f"--user-data-dir={self._directory}",
                    self.origin,
                ],
                stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
            )  # fmt: skip
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._site.shutdown()
        self._site.server_close()
        if error is not None:
            while not self.events.empty():
                self.told.append(self.events.get())
            error.add_note(f"the page told {self.told}")
            log = (self._directory / "log").read_text(errors="replace")
            error.add_note(f"the end of its log:\n{log[-2000:]}")

    def do(self, user: str, act: str, to: str = "") -> None:
        """Have a user do something: call, hangup, message, stop."""
        self._commands.put({"user": user, "act": act, "to": to})

    def sees(self, user: str, kind: str) -> dict[str, Any]:
        """Wait for an event of a user that was not looked for yet."""
        for event in self.told:
            if (event["user"], event["type"]) == (user, kind):
                self.told.remove(event)
                return event
        while True:
            try:
                event = self.events.get(timeout=LIMIT)
            except queue.Empty:
                raise AssertionError(f"no {kind} of {user}") from None
            if (event["user"], event["type"]) == (user, kind):
                return event
            self.told.append(event)
