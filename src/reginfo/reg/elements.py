"""Reads the elements of a document, in order."""

from __future__ import annotations

from collections.abc import Iterator

from ..sip.errors import RemoteProtocolError
from .complaints import Complaints
from .markup import BLANKS, Event, Start, events

NAMESPACE = "urn:ietf:params:xml:ns:reginfo"
GRUU_NAMESPACE = "urn:ietf:params:xml:ns:gruuinfo"  # RFC 5628
CLAIM_NAMESPACE = "urn:x-reginfo:claim"  # ours

MAX_DEPTH = 32  # RFC 3680 needs 4, known extensions 8

CHILDREN: dict[str, dict[str, str]] = {
    "": {f"{NAMESPACE} reginfo": "reginfo"},
    "reginfo": {
        f"{NAMESPACE} registration": "registration",
        f"{CLAIM_NAMESPACE} more": "more",
        f"{CLAIM_NAMESPACE} complete": "complete",
    },
    "registration": {
        f"{NAMESPACE} contact": "contact",
        f"{CLAIM_NAMESPACE} key": "key",
    },
    "contact": {
        f"{NAMESPACE} uri": "uri",
        f"{NAMESPACE} display-name": "display-name",
        f"{NAMESPACE} unknown-param": "unknown-param",
        f"{GRUU_NAMESPACE} pub-gruu": "pub-gruu",
        f"{GRUU_NAMESPACE} temp-gruu": "temp-gruu",
        f"{CLAIM_NAMESPACE} claim": "claim",
    },
    "claim": {f"{CLAIM_NAMESPACE} path": "path"},
}
"The known child elements of each element: names as in events, and our names."


class Elements:
    """
    The unread part of a document.

    Iterate over :attr:`events` in an element up to its end (None). Pass the start of a
    child to the function that reads it to its end: a function for a known element,
    :meth:`text` for one without known children, or :meth:`unexpected`.

    Raises:
        RemoteProtocolError: it is too long, or not XML.
    """

    __slots__ = ("_without_namespace", "complaints", "events", "has_controls")

    def __init__(self, body: bytes, strict: bool) -> None:
        self.events: Iterator[Event] = events(body)
        self.complaints = Complaints(body, strict)
        self.has_controls = b"&#" in body or b"\x7f" in body
        "Whether an attribute may contain control characters, or a DEL."

        self._without_namespace = False

    def root(self) -> Start:
        """Return the start of the first element."""
        for event in self.events:
            if isinstance(event, tuple):
                return event
        raise RemoteProtocolError("malformed reginfo: no element found")

    def unexpected(self, name: str, at: int, inside: str) -> str | None:
        """Return the name of an unexpected element; None if it was skipped."""
        namespace, _, plain = name.rpartition(" ")
        children = CHILDREN.get(inside)
        if children is not None and not namespace:
            known = children.get(f"{NAMESPACE} {plain}")
            if known is not None:
                if not self._without_namespace:
                    self._without_namespace = True
                    message = f"<{plain}> without the namespace of reginfo"
                    self.complaints.tolerate(message, at)
                return known
        if not inside:
            raise RemoteProtocolError(f"not a reginfo document: <{name}>")
        if namespace in (NAMESPACE, ""):
            self.complaints.tolerate(f"<{plain}> in <{inside}>", at)
        depth = 1
        for event in self.events:
            if event is None:
                depth -= 1
                if not depth:
                    break
            elif not isinstance(event, str):
                depth += 1
                if depth > MAX_DEPTH:
                    raise RemoteProtocolError(
                        f"reginfo deeper than {MAX_DEPTH} elements"
                    )
        return None

    def text(self, inside: str) -> str:
        """Return the text of an element that has no children that count."""
        chunks: list[str] = []
        for event in self.events:
            if event is None:
                break
            if isinstance(event, str):
                chunks.append(event)
            else:
                self.unexpected(event[0], event[2], inside)
        return "".join(chunks).strip(BLANKS)
