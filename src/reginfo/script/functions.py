"""The functions that a script has wherever it is: for a request, and for an event."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from ..location.binding import Binding
from ..location.view import TABLE
from ..reg.document import ContactEvent
from ..roles.administrator import REMOVALS
from ..sip.errors import RemoteProtocolError
from ..sip.message import Response
from ..sip.uri import Uri
from . import pseudo
from .core import Core
from .result import ERROR, OK, Result, UnusableText, expands

EXPIRES = 3600
"""Seconds that `reginfo_subscribe` asks for if nothing is said."""


class Functions:
    """
    Functions of pua_reginfo, usrloc and registrar, under their own names.

    Strings may hold pseudo-variables (:mod:`reginfo.script.pseudo`); a
    :class:`~reginfo.sip.uri.Uri` is taken where a URI or an address-of-record is.
    """

    __slots__ = ("_core", "var")

    def __init__(self, core: Core, var: dict[str, str] | None = None) -> None:
        self._core = core
        self.var: dict[str, str] = {} if var is None else var
        'Variables of the script: `msg.var["x"]` is `$var(x)`.'

    # pua_reginfo.

    @expands("uri")
    def reginfo_subscribe(self, uri: str | Uri, expires: int = EXPIRES) -> Result:
        """
        Subscribe to the registrations of ``uri``, and stay subscribed.

        Waits for nothing. A second call for the same URI makes no second subscription;
        its changes run `@route.event("subscription")`.

        Args:
            expires: seconds asked for each time; 0 to end the subscription.

        Returns:
            1 if the request is queued; -1 if the URI is none, if
            `pua_reginfo.server_address` is not set, or if a limit is reached.
        """
        _whole("expires", expires)
        return _result(self._core.subscribe(self._text(uri), expires))

    @expands("aor")
    def reginfo_update(self, aor: str | Uri) -> Result:
        """
        Publish the present state of ``aor``, and tell its watchers, once more.

        Returns:
            1; -1 if there is no such record.
        """
        try:
            return _result(self._core.update(self._text(aor)))
        except RemoteProtocolError:
            return ERROR

    # usrloc and registrar.

    @expands("table", "aor", "key", "value")
    def ul_add_key(self, table: str, aor: str | Uri, key: str, value: str) -> Result:
        """Keep ``value`` under ``key`` in the record of ``aor``; 1, or -1."""
        name, text = self._name(key), self._text(value)
        try:
            self._set_key(table, aor, name, text)
        except RemoteProtocolError:
            return ERROR
        return OK

    @expands("table", "aor", "key")
    def ul_get_key(self, table: str, aor: str | Uri, key: str) -> str | None:
        """What stands under ``key`` in the record of ``aor``; None if nothing does."""
        try:
            value = self._core.key(self._text(table), self._text(aor), self._name(key))
        except RemoteProtocolError:
            return None
        return None if value is None else pseudo.Data(value)

    @expands("table", "aor", "key")
    def ul_rm_key(self, table: str, aor: str | Uri, key: str) -> Result:
        """Remove ``key`` from the record of ``aor``; -1 if it is not there."""
        name = self._name(key)
        try:
            done = self._set_key(table, aor, name, None)
        except RemoteProtocolError:
            return ERROR
        return _result(done)

    @expands("table", "aor", "contact")
    def unregister(
        self,
        table: str,
        aor: str | Uri,
        contact: str | Uri | None = None,
        event: str | ContactEvent = ContactEvent.DEACTIVATED,
        retry_after: int | None = None,
    ) -> Result:
        """
        Remove a contact of ``aor``, or all, as the administrator does.

        Args:
            event: the reason that watchers are notified of (RFC 3680 §4.7.1):
                deactivated, probation, rejected or unregistered.
            retry_after: seconds; with probation, and only with that.

        Returns:
            1; -1 if nothing is bound there.

        Raises:
            ValueError: there is no such event, or `retry_after` does not go with it.
        """
        try:
            why = ContactEvent(event)
        except ValueError:
            why = None
        if why is None or why not in REMOVALS:
            names = ", ".join(sorted(REMOVALS))
            raise ValueError(f"nobody is removed by {event!r}; there are: {names}")
        if (why is ContactEvent.PROBATION) != (retry_after is not None):
            raise ValueError("retry_after goes with probation, and only with that")
        if retry_after is not None:
            _whole("retry_after", retry_after)
        which = None if contact is None else self._text(contact)
        table, name = self._text(table), self._text(aor)
        try:
            removed = self._core.remove(
                table, name, which, why, retry_after, self._publishes
            )
        except RemoteProtocolError:
            return ERROR
        return _result(removed > 0)

    def bindings(self, aor: str | Uri, table: str = TABLE) -> Sequence[Binding]:
        """
        The contacts that ``aor`` is bound to.

        Raises:
            RemoteProtocolError: that is no address-of-record.
        """
        return self._core.bindings(self._text(aor), table)

    @expands("uri")
    def send_request(
        self,
        method: str,
        uri: str | Uri,
        *,
        headers: Sequence[tuple[str, str]] = (),
        body: str | bytes = b"",
        from_: str | None = None,
    ) -> Awaitable[Response]:
        """
        Send a request of our own, such as a MESSAGE (RFC 3428).

        To a user of ours it goes to the contact that is preferred; to any other URI
        where that is. It is on its way when this returns; to await what is returned is
        to wait for the final response: a 408 if none comes, a 480 if nobody is there.

        Args:
            headers: beyond those that any request has, such as Content-Type.
            from_: the URI that it is from; that of the user itself if left out.

        Raises:
            ValueError: the method, a header or a URI cannot be written.
        """
        text = self._text(uri)
        try:
            return self._core.send_request(method, text, None, headers, body, from_)
        except ValueError as exc:
            values = [value for _, value in headers]
            raise self._blame(str(exc), text, *values) from exc

    def quote(self, text: str) -> str:
        """
        ``text`` as a part of a string that is given to a function.

        What came in a message may have a `$` in it, which would be taken for the
        beginning of a pseudo-variable: `f"{msg.quote(msg.to.uri)} is away"`.
        """
        return pseudo.quote(text)

    # How.

    @property
    def _publishes(self) -> bool:
        """Whether what is changed from here is published."""
        return True

    def _set_key(
        self, table: str, aor: str | Uri, name: str, value: str | None
    ) -> bool:
        return self._core.set_key(
            self._text(table), self._text(aor), name, value, self._publishes
        )

    def _text(self, value: str | Uri) -> str:
        """A string of the script with its pseudo-variables replaced."""
        if isinstance(value, Uri):
            return value.text
        if not isinstance(value, str):
            raise TypeError(f"a string is needed, not {value!r}")
        try:
            return pseudo.expand(value, self._value)
        except ValueError as exc:
            raise self._blame(str(exc), value) from exc

    def _blame(self, what: str, *texts: str) -> ValueError:
        """Return the error for texts that cannot be used, by who has written them."""
        if any(self._came_in(text) for text in texts):
            return UnusableText(what)
        return ValueError(what)

    def _came_in(self, text: str) -> bool:
        """Whether a text came in a message, or has something of one in it."""
        return isinstance(text, pseudo.Data)

    def _name(self, value: str) -> str:
        name = self._text(value)
        if not name or "\0" in name:
            raise self._blame(f"{name!r} is no name of a key", name)
        return name

    def _value(self, name: str, argument: str) -> str:
        if name == "var":
            return self.var.get(argument, "")
        raise ValueError(f"${name} is of a message, and there is none here")


def _result(done: bool) -> Result:
    return OK if done else ERROR


def _whole(name: str, value: object) -> None:
    if type(value) is not int or value < 0:
        raise ValueError(f"{name}: a whole number is needed, not {value!r}")
