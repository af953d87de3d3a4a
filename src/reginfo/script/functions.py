"""The functions that are available for requests and for events."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from ..location.binding import Binding
from ..location.place import TABLE
from ..reg.document import ContactEvent
from ..roles.administrator import REMOVALS
from ..sip.errors import LocalProtocolError, RemoteProtocolError
from ..sip.message import Response
from ..sip.uri import Uri
from . import pseudo
from .core import Core
from .result import ERROR, OK, Result, UnusableText, expands

EXPIRES = 3600
"""The default interval of `reginfo_subscribe`, in seconds."""


class Functions:
    """
    Functions of pua_reginfo, usrloc and registrar, under their own names.

    Strings may contain pseudo-variables (:mod:`reginfo.script.pseudo`). A
    :class:`~reginfo.sip.uri.Uri` is accepted as a URI or an address-of-record.
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
        Subscribe to the registrations of ``uri``, and keep the subscription alive.

        Returns at once. A second call for the same URI creates no second subscription.
        Changes of the subscription run `@route.event("subscription")`.

        Args:
            expires: the interval to request, in seconds; 0 unsubscribes.

        Returns:
            1 if the request is queued; -1 if ``uri`` is invalid, if
            `pua_reginfo.server_address` is not set, or if a limit is reached.
        """
        _whole("expires", expires)
        return _result(self._core.subscribe(self._text(uri), expires))

    @expands("aor")
    def reginfo_update(self, aor: str | Uri) -> Result:
        """
        Publish the current state of ``aor``, and notify its watchers, again.

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
        """Store ``value`` under ``key`` in the record of ``aor``; 1, or -1."""
        name, text = self._name(key), self._text(value)
        try:
            self._set_key(table, aor, name, text)
        except RemoteProtocolError:
            return ERROR
        return OK

    @expands("table", "aor", "key")
    def ul_get_key(self, table: str, aor: str | Uri, key: str) -> str | None:
        """
        Return the value of ``key`` in the record of ``aor``; None if there is none.
        """
        try:
            value = self._core.key(self._text(table), self._text(aor), self._name(key))
        except RemoteProtocolError:
            return None
        return None if value is None else pseudo.Data(value)

    @expands("table", "aor", "key")
    def ul_rm_key(self, table: str, aor: str | Uri, key: str) -> Result:
        """Remove ``key`` from the record of ``aor``; -1 if there is no such key."""
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
        Remove a contact of ``aor``, or all of them, as an administrator does.

        Args:
            event: the event to report (RFC 3680 §4.7.1): deactivated, probation,
                rejected or unregistered.
            retry_after: seconds; required with probation, not allowed otherwise.

        A user all of whose contacts are removed with `rejected` is refused with 403
        until :meth:`admit`; with `probation`, with 500 until `retry_after` is over.

        Returns:
            1; -1 if there is no such binding.

        Raises:
            ValueError: the event is unknown, or `retry_after` does not match it.
        """
        try:
            why = ContactEvent(event)
        except ValueError:
            why = None
        if why is None or why not in REMOVALS:
            names = ", ".join(sorted(REMOVALS))
            raise ValueError(f"{event!r} is no event of a removal; these are: {names}")
        if (why is ContactEvent.PROBATION) != (retry_after is not None):
            raise ValueError("probation, and only probation, needs retry_after")
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
        return _result(removed)

    @expands("table", "aor", "contact")
    def shorten(
        self,
        table: str,
        aor: str | Uri,
        expires: int,
        contact: str | Uri | None = None,
    ) -> Result:
        """
        Let a contact of ``aor``, or all, end in ``expires`` seconds at the latest.

        The event is `shortened`: the user agent is to refresh soon.

        Returns:
            1; -1 if nothing is bound there, or it ends before anyway.
        """
        _whole("expires", expires)
        which = None if contact is None else self._text(contact)
        table, name = self._text(table), self._text(aor)
        try:
            done = self._core.shorten(table, name, which, expires, self._publishes)
        except RemoteProtocolError:
            return ERROR
        return _result(done)

    @expands("table", "aor", "contact")
    def add(
        self,
        table: str,
        aor: str | Uri,
        contact: str | Uri,
        expires: int = EXPIRES,
        q: float | None = None,
    ) -> Result:
        """
        Bind a contact to ``aor`` without a REGISTER, for ``expires`` seconds.

        The event is `created`.

        Args:
            q: preference, from 0 to 1.

        Returns:
            1; -1 if `contact` is no URI, or the user is not one of ours or is barred.

        Raises:
            ValueError: `expires` is not positive, or `q` not from 0 to 1.
        """
        _whole("expires", expires)
        if not expires:
            raise ValueError("expires: to remove a contact, use unregister")
        table, name = self._text(table), self._text(aor)
        which = self._text(contact)
        preference = None if q is None else f"{q:.3f}"
        try:
            done = self._core.create(
                table, name, which, expires, preference, self._publishes
            )
        except (RemoteProtocolError, LocalProtocolError):
            return ERROR
        return _result(done)

    @expands("table", "aor")
    def admit(self, table: str, aor: str | Uri) -> Result:
        """
        Let a user register again that was rejected or is on probation.

        Returns:
            1; -1 if it is neither.
        """
        table, name = self._text(table), self._text(aor)
        try:
            return _result(self._core.admit(table, name))
        except RemoteProtocolError:
            return ERROR

    def bindings(self, aor: str | Uri, table: str = TABLE) -> Sequence[Binding]:
        """
        Return the bindings of ``aor``.

        Raises:
            RemoteProtocolError: ``aor`` is not an address-of-record.
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
        Send a new request, such as a MESSAGE (RFC 3428).

        A request to a user of this server goes to the preferred contact; any other URI
        is resolved. The request is queued when this returns. Await the result for the
        final response: 408 if there is none, 480 if the user has no contacts.

        Args:
            headers: further header fields, such as Content-Type.
            from_: the URI in From; by default the user's own.

        Raises:
            ValueError: the method, a header field or a URI cannot be written.
        """
        text = self._text(uri)
        try:
            return self._core.send_request(method, text, None, headers, body, from_)
        except ValueError as exc:
            texts = [text, method, *(part for one in headers for part in one)]
            texts += [one for one in (from_, body) if isinstance(one, str) and one]
            raise self._blame(str(exc), *texts) from exc

    def quote(self, text: str) -> str:
        """
        Quote ``text`` for use within a string argument of a function.

        Text from a message may contain a `$`, which would begin a pseudo-variable:
        `f"{msg.quote(msg.to.uri)} is away"`.
        """
        return pseudo.quote(text)

    # How.

    @property
    def _publishes(self) -> bool:
        """Whether changes made here are published."""
        return True

    def _set_key(
        self, table: str, aor: str | Uri, name: str, value: str | None
    ) -> bool:
        return self._core.set_key(
            self._text(table), self._text(aor), name, value, self._publishes
        )

    def _text(self, value: str | Uri) -> str:
        """Replace the pseudo-variables in a string of the script."""
        if isinstance(value, Uri):
            return value.text
        if not isinstance(value, str):
            raise TypeError(f"a string is needed, not {value!r}")
        try:
            text = pseudo.expand(value, self._value)
        except ValueError as exc:
            raise self._blame(str(exc), value) from exc
        return text if text == value else pseudo.Data(text)

    def _blame(self, what: str, *texts: str) -> ValueError:
        """Build the error for unusable texts: the sender's fault, or the script's."""
        if any(self._came_in(text) for text in texts):
            return UnusableText(what)
        return ValueError(what)

    def _came_in(self, text: str) -> bool:
        """Whether a text comes from a message, or contains a part of one."""
        return isinstance(text, pseudo.Data)

    def _name(self, value: str) -> str:
        name = self._text(value)
        if not name or "\0" in name:
            raise self._blame(f"{name!r} is not the name of a key", name)
        return name

    def _value(self, name: str, argument: str) -> str:
        if name == "var":
            return self.var.get(argument, "")
        raise ValueError(f"${name} needs a message, and an event has none")


def _result(done: bool) -> Result:
    return OK if done else ERROR


def _whole(name: str, value: object) -> None:
    if type(value) is not int or value < 0:
        raise ValueError(f"{name}: a whole number is needed, not {value!r}")
