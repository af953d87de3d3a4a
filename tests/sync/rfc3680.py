"""A watcher written from RFC 3680 and RFC 6665 alone: it knows nothing of ours."""

from __future__ import annotations

from lxml import etree

from reginfo.testing.wire import Wire, WireServer

from .make import REGINFO_XSD

NS = "{urn:ietf:params:xml:ns:reginfo}"


class Rfc3680Watcher:
    """
    Subscribes to a URI, answers NOTIFYs, and keeps the table of RFC 3680 §5.2.

    Args:
        user_agent: what it calls itself.
    """

    def __init__(
        self,
        wire: Wire,
        server: WireServer,
        uri: str,
        *,
        host: str = "192.0.2.9",
        user_agent: str = "watcher/1.0",
    ) -> None:
        self.wire, self.server, self.uri = wire, server, uri
        self.address = (host, 5060)
        self.user_agent = user_agent
        self.status = 0
        self.cseq = 0
        self.to_tag = ""
        self.state = ""
        self.answer = 200
        self.version: int | None = None
        self.table: dict[str, dict[str, str]] = {}
        "By address-of-record: the active contacts, URI to event."

        self.documents: list[etree._Element] = []
        self.missed = 0
        self.is_lenient = False
        "Whether it takes documents that violate the schema, as Kamailio does."

    def subscribe(self, expires: int = 600) -> int:
        self.cseq += 1
        tag = f";tag={self.to_tag}" if self.to_tag else ""
        lines = [
            f"SUBSCRIBE {self.uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.address[0]}:5060;branch=z9hG4bKw{self.cseq}",
            f"From: <sip:watcher@{self.address[0]}>;tag=w",
            f"To: <{self.uri}>{tag}",
            f"Call-ID: w@{self.address[0]}",
            f"CSeq: {self.cseq} SUBSCRIBE",
            f"Contact: <sip:watcher@{self.address[0]}>",
            "Event: reg",
            "Accept: application/reginfo+xml",
            "Max-Forwards: 70",
            f"User-Agent: {self.user_agent}",
            f"Expires: {expires}",
            "Content-Length: 0",
        ]
        self.send("\r\n".join([*lines, "", ""]))
        self.receive()
        return self.status

    def send(self, text: str) -> None:
        self.wire.send(text.encode(), self.address, self.server.address)

    def receive(self, seconds: float = 0.0) -> int:
        """Let time pass, and take in what comes; return how many NOTIFYs did."""
        count = self._answer_all()
        while seconds > 0:  # in steps shorter than T1: nothing is sent twice
            self.wire.pass_time(min(seconds, 0.25))
            seconds -= 0.25
            count += self._answer_all()
        return count

    def _answer_all(self) -> int:
        count = 0
        self.wire.pass_time(0)
        while messages := self.wire.received(self.address):
            for data in messages:
                head, _, body = data.partition(b"\r\n\r\n")
                first, *lines = head.decode().split("\r\n")
                headers = dict(line.split(": ", 1) for line in lines)
                if first.startswith("SIP/2.0 "):
                    self.status = int(first.split()[1])
                    if self.status == 200:
                        self.to_tag = headers["To"].partition(";tag=")[2]
                    continue
                assert first.startswith("NOTIFY "), first
                count += 1
                self.state = headers["Subscription-State"]
                kept = [x for x in lines if x.split(":")[0] in
                        ("Via", "From", "To", "Call-ID", "CSeq")]  # fmt: skip
                status = f"SIP/2.0 {self.answer} X"
                self.send("\r\n".join([status, *kept, "Content-Length: 0", "", ""]))
                if self.answer == 200 and body:
                    self.take(etree.fromstring(body))
            self.wire.pass_time(0)
        return count

    def take(self, document: etree._Element) -> None:
        """Process a document (RFC 3680 §5.2)."""
        if not self.is_lenient:
            REGINFO_XSD.assertValid(document)
        self.documents.append(document)
        version, full = (
            int(document.get("version", "")),
            document.get("state") == "full",
        )
        if self.version is not None and version <= self.version:
            return
        if self.version is not None and version > self.version + 1 and not full:
            self.missed += 1
        self.version = version
        if full:
            self.table = {}
        for registration in document.iter(f"{NS}registration"):
            aor = registration.get("aor", "")
            contacts = self.table.setdefault(aor, {})
            for contact in registration.iter(f"{NS}contact"):
                uri = contact.findtext(f"{NS}uri") or ""
                contacts.pop(uri, None)
                if contact.get("state") == "active":
                    contacts[uri] = contact.get("event", "")
            if registration.get("state") == "terminated" or not contacts:
                del self.table[aor]
