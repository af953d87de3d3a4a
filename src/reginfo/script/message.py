"""The argument of a handler: a request, or a response to a relayed request."""

from __future__ import annotations

import re

from ..location.place import TABLE
from ..routing.target import Target
from ..sip import grammar
from ..sip.errors import RemoteProtocolError
from ..sip.flow import Address, Flow
from ..sip.headers import NameAddr
from ..sip.message import Request, Response, canonical
from ..sip.message import SipMessage as SipMessage
from ..sip.uri import Uri
from . import pseudo
from .asking import FAILURE as FAILURE
from .asking import MAIN as MAIN
from .asking import REPLY as REPLY
from .asking import Asking
from .call import Call
from .core import Core
from .result import ERROR, OK, Result, expands
from .values import VALUES

PROTECTED = frozenset(
    {"CSeq", "Call-ID", "Content-Length", "From", "Max-Forwards", "To", "Via"}
)
"""
Header fields that a script cannot change, because the transaction depends on them.
"""


class Message(Asking):
    """
    A request that the script handles, or a response to a relayed request.

    :attr:`request` is a copy that the script may change; the copy is relayed.

    String arguments of functions may contain pseudo-variables. Each has a typed form:
    `msg.uri.user` for `$rU`, `msg.hdr("Event")` for `$hdr(Event)`.
    """

    __slots__ = ("reply",)

    def __init__(
        self,
        core: Core,
        call: Call,
        *,
        kind: str = MAIN,
        reply: Response | None = None,
        var: dict[str, str] | None = None,
    ) -> None:
        super().__init__(core, call, kind, var)
        self.reply = reply

    @property
    def request(self) -> Request:
        """The request, as it will be relayed."""
        return self._call.request

    @property
    def flow(self) -> Flow:
        """The flow that the request was received on."""
        return self._call.flow

    @property
    def targets(self) -> list[Target]:
        """The targets of :meth:`t_relay`; if empty, the Request-URI is the target."""
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

    # Attributes and tests.

    @property
    def method(self) -> str:
        """`$rm`"""
        return self.request.method

    @property
    def uri(self) -> Uri:
        """
        The Request-URI: `$ru`; `$rU` is `uri.user`, `$rd` is `uri.host`.

        A string or a :class:`~reginfo.sip.uri.Uri` can be assigned. The request is then
        sent to it, unless :meth:`lookup` or :meth:`append_branch` set other targets.
        """
        return Uri.parse(self.request.uri)

    @uri.setter
    def uri(self, value: str | Uri) -> None:
        text = self._text(value)
        try:
            self.request.uri = Uri.parse(text).text
        except RemoteProtocolError as exc:
            raise self._blame(str(exc), text) from exc

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
        """The source host and port of the request: `$si`, `$sp`."""
        return self.flow.remote

    @property
    def status(self) -> int | None:
        """The status of the response, `$rs`; None in a request route."""
        return None if self.reply is None else self.reply.status

    @property
    def body(self) -> bytes:
        """`$rb`, as bytes."""
        return self._headed.body

    def is_method(self, names: str) -> bool:
        """Whether the method is one of ``names``, such as `INVITE|ACK`."""
        return self.request.method in names.replace(" ", "").split("|")

    def t_check_status(self, pattern: str | int) -> bool:
        """Whether a regular expression matches the status of the response."""
        reply = self.reply
        return reply is not None and bool(re.search(str(pattern), str(reply.status)))

    def hdr(self, name: str) -> str | None:
        """Return the first value of a header field; None if there is none."""
        value = self._headed.header(self._field(name, name))
        return None if value is None else pseudo.Data(value)

    def hdrs(self, name: str) -> list[str]:
        """Return the values of all header fields with this name."""
        lines = self._headed.headers.get(self._field(name, name), [])
        return [pseudo.Data(line) for line in lines]

    # Changes.

    @expands("name", "value")
    def append_hf(self, name: str, value: str | None = None) -> Result:
        r"""
        Add a header field to the message that is forwarded.

        Args:
            name: the name, or the complete line `"X-Name: value\r\n"`.

        Raises:
            ValueError: the line is invalid, or a script may not change this field.
        """
        key, text = self._line(name, value)
        headers = self._headed.headers
        headers[key] = [*headers.get(key, []), text]
        return OK

    @expands("name")
    def remove_hf(self, name: str) -> Result:
        """
        Remove a header field from the message that is forwarded; -1 if there is none.

        Raises:
            ValueError: a script may not remove this field.
        """
        text = self._text(name)
        key = self._changeable(text, text)
        return OK if self._headed.headers.pop(key, None) else ERROR

    @expands("name", "value")
    def append_to_reply(self, name: str, value: str | None = None) -> Result:
        r"""
        Add a header field to the response of this server, including that of `save`.

        It does not affect the response of :meth:`default`.

        Raises:
            ValueError: the line is invalid, or a script may not change this field.
        """
        self._only("append_to_reply", MAIN, FAILURE)
        self._call.reply_headers.append(self._line(name, value))
        return OK

    @expands("uri")
    def append_branch(self, uri: str | Uri, q: float = 1.0) -> Result:
        """Add ``uri`` to the targets; -1 if it is not a SIP URI."""
        self._only("append_branch", MAIN, FAILURE)
        try:
            parsed = Uri.parse(self._text(uri))
        except RemoteProtocolError:
            return ERROR
        if parsed.scheme not in ("sip", "sips"):
            return ERROR
        self.targets.append(Target(parsed, q))
        return OK

    # Answering and relaying.

    @expands("reason", "headers")
    def send_reply(
        self,
        code: int,
        reason: str,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
    ) -> Result:
        """
        Answer the request; -1 if it has already been answered.

        Raises:
            ValueError: ``code`` is not a status, or a header field cannot be written.
        """
        self._only("send_reply", MAIN, FAILURE)
        code = int(code)
        text = self._text(reason)
        if not 100 <= code < 700:
            raise ValueError(f"{code} is not a SIP status code")
        self._check_text("response", text, text)
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
        Relay the request to the targets of :meth:`lookup`, or to its Request-URI.

        Returns:
            1; -1 if it was relayed before, or was answered because it cannot be
            relayed.
        """
        self._only("t_relay", MAIN, FAILURE)
        if self.answered or (self.kind == MAIN and self.relayed):
            return ERROR
        return OK if self._call.relay() else ERROR

    def t_on_reply(self, name: str | None) -> Result:
        """Set the reply route of the request; None for no route."""
        self._call.on_reply = name
        return OK

    def t_on_failure(self, name: str | None) -> Result:
        """Set the failure route, which is called if all branches fail."""
        self._call.on_failure = name
        return OK

    def loose_route(self) -> bool:
        """Whether the request has a Route to this server, or is in a dialog (§16.4)."""
        return bool(self.request.headers.get("Route")) or self.to.tag != ""

    def default(self) -> Result:
        """Handle the request as without a script."""
        self._only("default", MAIN)
        self._call.default()
        return OK

    # registrar.

    @expands("table")
    def save(self, table: str = TABLE) -> Result:
        """
        Bind the contacts of a REGISTER, and answer it.

        Returns:
            1 for a new binding, 2 for a refresh, 3 for a removal, 4 for a query; -1 if
            the request was refused and answered.
        """
        self._only("save", MAIN)
        self._of("save", "REGISTER")
        return Result(self._call.save(self._text(table)))

    @expands("table")
    def lookup(self, table: str = TABLE) -> Result:
        """
        Make the contacts of the user in the Request-URI the targets of the request.

        Returns:
            1; -1 if there are none; -2 if none of them supports the method.
        """
        self._only("lookup", MAIN, FAILURE)
        return Result(self._call.lookup(self._text(table)))

    # pua_reginfo and presence.

    @expands("uldomain")
    def reginfo_handle_notify(self, uldomain: str = TABLE) -> Result:
        """
        Process the NOTIFY, and update the table ``uldomain``, without answering.

        Returns:
            1: updated, and a reported user has a contact, or there was no body. 2:
            updated, and none has. -1: the NOTIFY is wrong and nothing has changed; see
            :attr:`reginfo_reason`.
        """
        self._only("reginfo_handle_notify", MAIN)
        return Result(self._call.handle_notify(self._text(uldomain)))

    def reply_for_notify(self) -> Result:
        """Answer the NOTIFY with 200, or with the error of `reginfo_handle_notify`."""
        self._only("reply_for_notify", MAIN)
        if self.answered:
            return ERROR
        self._call.respond(self._call.refusal or Response(200, "OK"))
        return OK

    def reginfo_disable_publish(self) -> Result:
        """Do not publish changes by this message; call it before the change."""
        self._call.publishes = False
        return OK

    def handle_subscribe(self) -> Result:
        """Serve a SUBSCRIBE for the event `reg`, and answer it; -1 if refused."""
        self._only("handle_subscribe", MAIN)
        self._of("handle_subscribe", "SUBSCRIBE")
        return OK if self._call.handle_subscribe() else ERROR

    def handle_publish(self) -> Result:
        """Process a PUBLISH of a peer, and answer it; -1 if refused."""
        self._only("handle_publish", MAIN)
        self._of("handle_publish", "PUBLISH")
        return OK if self._call.handle_publish() else ERROR

    # How.

    @property
    def _publishes(self) -> bool:
        return self._call.publishes

    @property
    def _headed(self) -> SipMessage:
        """The message that header and body functions apply to."""
        return self.request if self.kind != REPLY or self.reply is None else self.reply

    def _of(self, function: str, method: str) -> None:
        if self.method != method:
            raise ValueError(f"{function} is only for {method}, not {self.method}")

    def _line(self, name: str, value: str | None) -> tuple[str, str]:
        text = name = self._text(name)
        if value is None:
            line = name.removesuffix("\n").removesuffix("\r")
            name, colon, value = line.partition(":")
            if not colon:
                raise self._blame(f"not a header line: {text[:80]!r}", text)
            self._check_text("header value", value.strip(), text)
        else:
            value = self._text(value)
            self._check_text("header value", value.strip(), value)
        return self._changeable(name, text), value.strip()

    def _field(self, name: str, text: str) -> str:
        """Return the canonical name of a header field, which is a part of ``text``."""
        if not grammar.token.fullmatch(name.strip()):
            raise self._blame(f"not a header name: {name.strip()[:80]!r}", text)
        return canonical(name.strip())

    def _changeable(self, name: str, text: str) -> str:
        key = self._field(name, text)
        if key in PROTECTED:
            raise self._blame(f"a script cannot change {key}", text)
        return key

    def _check_text(self, what: str, part: str, text: str) -> None:
        """
        Check that a part of a text can be written in a header field or a status line.

        Raises:
            ValueError: it contains a line break or a NUL.
        """
        if any(char in part for char in "\r\n\0"):
            raise self._blame(f"not a {what}: {part[:80]!r}", text)

    def _came_in(self, text: str) -> bool:
        """Whether a text was made of this message: it is not written in the script."""
        if super()._came_in(text) or text not in self._call.texts:
            return True
        message = self._headed
        lines = [value for values in message.headers.values() for value in values]
        lines += [self.request.uri, message.body.decode("utf-8", "surrogateescape")]
        return text in lines or (len(text) > 3 and any(text in one for one in lines))

    def _value(self, name: str, argument: str) -> str:
        if name == "var":
            return self.var.get(argument, "")
        if name == "hdr":
            return ",".join(self.hdrs(argument))
        return VALUES[name](self)
