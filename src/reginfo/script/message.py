"""The message that a route handles: a request that is relayed, or a reply to it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..location.view import TABLE
from ..routing.target import Target
from ..sip import grammar
from ..sip.errors import RemoteProtocolError
from ..sip.flow import Address, Flow
from ..sip.headers import NameAddr
from ..sip.message import Request, Response, canonical
from ..sip.message import SipMessage as SipMessage
from ..sip.uri import Uri
from . import pseudo
from .call import Call
from .core import Core
from .functions import Functions
from .result import ERROR, OK, Result, expands
from .values import VALUES

PROTECTED = frozenset(
    {"CSeq", "Call-ID", "Content-Length", "From", "Max-Forwards", "To", "Via"}
)
"""Headers that the transaction stands on: a script reads them only."""

_ODD = '\r\n\0$<>"'
"""Characters by which a text can be unusable."""

MAIN, REPLY, FAILURE = "request", "reply", "failure"
"""The kinds of route."""


class Message(Functions):
    """
    A request that passes the script, or a reply to one that was relayed.

    :attr:`request` is a copy that the script may change: what is relayed is the copy.

    The string functions take pseudo-variables; beside each stands its typed form: for
    `$rU` there is `msg.uri.user`, for `$hdr(Event)` `msg.hdr("Event")`.
    """

    __slots__ = ("_call", "kind", "reply")

    def __init__(
        self,
        core: Core,
        call: Call,
        *,
        kind: str = MAIN,
        reply: Response | None = None,
        var: dict[str, str] | None = None,
    ) -> None:
        super().__init__(core, var)
        self._call = call
        self.kind = kind
        self.reply = reply

    @property
    def request(self) -> Request:
        """The request, as it is relayed."""
        return self._call.request

    @property
    def flow(self) -> Flow:
        """The flow that the request came by."""
        return self._call.flow

    @property
    def targets(self) -> list[Target]:
        """The targets that :meth:`t_relay` relays to; empty for the Request-URI."""
        return self._call.targets

    @property
    def answered(self) -> bool:
        """Whether the script has sent a final response."""
        return self._call.answered

    @property
    def relayed(self) -> bool:
        """Whether the request was relayed."""
        return self._call.relayed

    @property
    def reginfo_reason(self) -> str:
        """Why the last :meth:`reginfo_handle_notify` returned -1."""
        return self._call.reason

    def __repr__(self) -> str:
        host, port = self.source
        reply = "" if self.reply is None else f"{self.reply.status} to "
        return f"<Message {reply}{self.method} {self.request.uri} from {host}:{port}>"

    # What it is.

    @property
    def method(self) -> str:
        """`$rm`"""
        return self.request.method

    @property
    def uri(self) -> Uri:
        """
        The Request-URI: `$ru`, `$rU` is `uri.user`, `$rd` is `uri.host`.

        It can be set, to a string or a :class:`~reginfo.sip.uri.Uri`: then the request
        goes there, unless :meth:`lookup` or :meth:`append_branch` say otherwise.
        """
        return Uri.parse(self.request.uri)

    @uri.setter
    def uri(self, value: str | Uri) -> None:
        try:
            self.request.uri = Uri.parse(self._text(value)).text
        except RemoteProtocolError as exc:
            raise self._blame(str(exc), str(value)) from exc

    @property
    def from_(self) -> NameAddr:
        """From: `$fu` is `from_.uri`, `$fU` is `from_.parsed.user`."""
        return self.request.from_

    @property
    def to(self) -> NameAddr:
        """To: `$tu` is `to.uri`, `$tU` is `to.parsed.user`, `$td` its host."""
        return self.request.to

    @property
    def call_id(self) -> str:
        """`$ci`"""
        return pseudo.Data(self.request.call_id)

    @property
    def cseq(self) -> int:
        """`$cs`"""
        return self.request.cseq.number

    @property
    def source(self) -> Address:
        """Host and port that it came from: `$si`, `$sp`."""
        return self.flow.remote

    @property
    def status(self) -> int | None:
        """The status of the reply, `$rs`; None in a request route."""
        return None if self.reply is None else self.reply.status

    @property
    def body(self) -> bytes:
        """`$rb`, as octets."""
        return self._headed.body

    def is_method(self, names: str) -> bool:
        """Whether the method is one of ``names``, such as `INVITE|ACK`."""
        return self.request.method in names.replace(" ", "").split("|")

    def t_check_status(self, pattern: str | int) -> bool:
        """Whether the reply's status is, or holds, what a regular expression says."""
        reply = self.reply
        return reply is not None and bool(re.search(str(pattern), str(reply.status)))

    def hdr(self, name: str) -> str | None:
        """The first value of a header of the message; None if it is not there."""
        value = self._headed.header(_name(name))
        return None if value is None else pseudo.Data(value)

    def hdrs(self, name: str) -> list[str]:
        """The values of all its lines."""
        return [pseudo.Data(line) for line in self._headed.headers.get(_name(name), [])]

    # What is changed in it.

    @expands("name", "value")
    def append_hf(self, name: str, value: str | None = None) -> Result:
        r"""
        Add a header line to what is passed on: `"X-Name: value\r\n"`, or both parts.

        Raises:
            ValueError: it is no header line, or one that no script may write.
        """
        key, text = self._line(name, value)
        headers = self._headed.headers
        headers[key] = [*headers.get(key, []), text]
        return OK

    @expands("name")
    def remove_hf(self, name: str) -> Result:
        """
        Remove all lines of a header from what is passed on; -1 if there is none.

        Raises:
            ValueError: it is one that no script may remove.
        """
        key = _changeable(self._text(name))
        return OK if self._headed.headers.pop(key, None) else ERROR

    @expands("name", "value")
    def append_to_reply(self, name: str, value: str | None = None) -> Result:
        r"""
        Add a header line to what this request is answered here, `save` included.

        What :meth:`default` answers is as it is without a script.

        Raises:
            ValueError: it is no header line, or one that no script may write.
        """
        self._only("append_to_reply", MAIN, FAILURE)
        self._call.reply_headers.append(self._line(name, value))
        return OK

    @expands("uri")
    def append_branch(self, uri: str | Uri, q: float = 1.0) -> Result:
        """Send it to ``uri``, too; -1 if that is no SIP URI."""
        self._only("append_branch", MAIN, FAILURE)
        try:
            parsed = Uri.parse(self._text(uri))
        except RemoteProtocolError:
            return ERROR
        if parsed.scheme not in ("sip", "sips"):
            return ERROR
        self.targets.append(Target(parsed, q))
        return OK

    # What becomes of it.

    @expands("reason", "headers")
    def send_reply(
        self,
        code: int,
        reason: str,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
    ) -> Result:
        """
        Answer the request; -1 if it has been answered.

        Raises:
            ValueError: that is no status, or a header cannot be written.
        """
        self._only("send_reply", MAIN, FAILURE)
        code = int(code)
        text = self._text(reason)
        if not 100 <= code < 700:
            raise ValueError(f"no response: {code} is no status")
        self._check_text("response", text)
        if self.answered:
            return ERROR
        response = Response(code, text, body=body)
        for name, value in headers:
            key, line = self._line(name, value)
            response.headers.setdefault(key, []).append(line)
        self._call.respond(response)
        return OK

    def t_relay(self) -> Result:
        """
        Send the request on: to what :meth:`lookup` found, or to its Request-URI.

        Returns:
            1; -1 if it was relayed before, or cannot be and was answered instead.
        """
        self._only("t_relay", MAIN, FAILURE)
        if self.answered or (self.kind == MAIN and self.relayed):
            return ERROR
        return OK if self._call.relay() else ERROR

    def t_on_reply(self, name: str | None) -> Result:
        """Have the replies pass the reply route ``name``; None for no route."""
        self._call.on_reply = name
        return OK

    def t_on_failure(self, name: str | None) -> Result:
        """Have the failure route ``name`` called if all branches fail."""
        self._call.on_failure = name
        return OK

    def loose_route(self) -> bool:
        """Whether its Route, and not its Request-URI, has brought it here (§16.4)."""
        return bool(self.request.headers.get("Route")) or self.to.tag != ""

    def default(self) -> Result:
        """Do with it what the server does without a script."""
        self._only("default", MAIN)
        self._call.default()
        return OK

    # registrar.

    @expands("table")
    def save(self, table: str = TABLE) -> Result:
        """
        Bind the contacts of a REGISTER, and answer it.

        Returns:
            1 if something was bound anew, 2 if it was refreshed, 3 if it was removed,
            4 if nothing was asked for; -1 if it was refused and answered.
        """
        self._only("save", MAIN)
        self._of("save", "REGISTER")
        return Result(self._call.save(self._text(table)))

    @expands("table")
    def lookup(self, table: str = TABLE) -> Result:
        """
        Make the contacts that the Request-URI is bound to the targets of the request.

        Returns:
            1; -1 if there is none; -2 if there are, and none of them takes the method.
        """
        self._only("lookup", MAIN, FAILURE)
        return Result(self._call.lookup(self._text(table)))

    # pua_reginfo and presence.

    @expands("uldomain")
    def reginfo_handle_notify(self, uldomain: str = TABLE) -> Result:
        """
        Take in the NOTIFY, and update the table ``uldomain``. Nothing is answered.

        Returns:
            1: updated, and a contact is registered still, or there was no body. 2:
            updated, and none is registered now. -1: it is wrong, see
            :attr:`reginfo_reason`; nothing has changed.
        """
        self._only("reginfo_handle_notify", MAIN)
        return Result(self._call.handle_notify(self._text(uldomain)))

    def reply_for_notify(self) -> Result:
        """Answer the NOTIFY as fits: 200, or what :meth:`reginfo_handle_notify` met."""
        self._only("reply_for_notify", MAIN)
        if self.answered:
            return ERROR
        self._call.respond(self._call.refusal or Response(200, "OK"))
        return OK

    def reginfo_disable_publish(self) -> Result:
        """Do not PUBLISH what this message changes; say so before it does."""
        self._call.publishes = False
        return OK

    def handle_subscribe(self) -> Result:
        """Serve a SUBSCRIBE for the event `reg`, and answer it; -1 if refused."""
        self._only("handle_subscribe", MAIN)
        self._of("handle_subscribe", "SUBSCRIBE")
        return OK if self._call.handle_subscribe() else ERROR

    def handle_publish(self) -> Result:
        """Take in a PUBLISH of a peer, and answer it; -1 if refused."""
        self._only("handle_publish", MAIN)
        self._of("handle_publish", "PUBLISH")
        return OK if self._call.handle_publish() else ERROR

    # How.

    @property
    def _publishes(self) -> bool:
        return self._call.publishes

    @property
    def _headed(self) -> SipMessage:
        """The message whose headers and body are meant."""
        return self.request if self.kind != REPLY or self.reply is None else self.reply

    def _only(self, function: str, *kinds: str) -> None:
        if self.kind not in kinds:
            raise ValueError(f"{function} is not for a {self.kind} route")

    def _of(self, function: str, method: str) -> None:
        if self.method != method:
            raise ValueError(f"{function} is for a {method}, and this is {self.method}")

    def _line(self, name: str, value: str | None) -> tuple[str, str]:
        if value is None:
            text = self._text(name).removesuffix("\n").removesuffix("\r")
            name, colon, value = text.partition(":")
            if not colon:
                raise self._blame(f"no header line: {text[:80]!r}", text)
        else:
            value = self._text(value)
        value = value.strip()
        self._check_text("header value", value)
        return _changeable(name), value

    def _check_text(self, what: str, text: str) -> None:
        """
        Check that a text can stand in a header, or in the first line of a response.

        Raises:
            ValueError: it has a line break or a NUL in it.
        """
        if any(char in text for char in "\r\n\0"):
            raise self._blame(f"no {what}: {text[:80]!r}", text)

    def _came_in(self, text: str) -> bool:
        """
        Whether a text is of this message.

        A script puts texts together, so it counts as well if it has a character that
        makes it unusable, a header value or a user in common with the message.
        """
        if super()._came_in(text):
            return True
        head = self._headed.headers.values()
        lines = [self.request.uri, *(value for values in head for value in values)]
        if any(char in text and any(char in line for line in lines) for char in _ODD):
            return True
        values = [line for line in lines if len(line) > 3]
        return any(value and value in text for value in [*values, *self._users()])

    def _users(self) -> Iterator[str]:
        for name in ("ru", "fu", "tu"):
            try:
                yield Uri.parse(VALUES[name](self)).user
            except RemoteProtocolError:
                yield VALUES[name](self)

    def _value(self, name: str, argument: str) -> str:
        if name == "var":
            return self.var.get(argument, "")
        if name == "hdr":
            return ",".join(self.hdrs(argument))
        return VALUES[name](self)


def _name(name: str) -> str:
    name = name.strip()
    if not grammar.token.fullmatch(name):
        raise ValueError(f"no header: {name[:80]!r}")
    return canonical(name)


def _changeable(name: str) -> str:
    key = _name(name)
    if key in PROTECTED:
        raise ValueError(f"{key} cannot be changed by a script")
    return key
