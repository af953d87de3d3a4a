"""A server in the event loop of a program."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from ..agent.target import aor_uri
from ..config.config import Config
from ..io.eager import Handlers
from ..io.inherited import Inherited
from ..io.udp import Trace
from ..location.place import Aor
from ..server.app import App
from ..web.api import api
from ..web.server import WebServer

DEFAULT = """
[server]
id      = "reginfo"
listen  = ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"]
domains = ["example.com"]
[store]
url = "memory:"
[notifier]
min_interval = 0
"""
"""The default configuration."""


class Server:
    """
    A server, while its asynchronous context is entered::

        async with reginfo.Server() as server:
            await reginfo.register(
                "alice@example.com", "sip:alice@192.0.2.5", server=server.address
            )
            assert server.contacts("alice@example.com") == ["sip:alice@192.0.2.5"]

    Args:
        config: the path of a ``reginfo.toml``, or a configuration; None for a registrar
            for ``example.com`` on free ports of 127.0.0.1, in memory, which notifies
            without delay.
        trace: called with each message: direction, bytes, local and remote address.
        inherited: sockets that are bound already, as by socket activation; each has to
            be at an address of the configuration.

    Raises:
        ConfigError: the configuration is wrong.
        StartError: on entering; an address or the store is not available, or the
            script is wrong.
        OSError: on entering; the address of the API is not available.
    """

    def __init__(
        self,
        config: Config | str | Path | None = None,
        *,
        trace: Trace | None = None,
        inherited: Inherited | None = None,
    ) -> None:
        if config is None:
            config = Config.parse(DEFAULT)
        elif not isinstance(config, Config):
            config = Config.read(Path(config))
        self._config = config
        self._app = App(config, trace=trace, inherited=inherited)
        self._inherited = inherited
        self._web: WebServer | None = None

    @property
    def address(self) -> str:
        """``HOST:PORT`` of the first listener, for :func:`.watch`."""
        return self.addresses[0].partition(":")[2]

    @property
    def addresses(self) -> tuple[str, ...]:
        """All listeners, such as ``udp:127.0.0.1:5060``."""
        return tuple(self._app.sip_addresses)

    @property
    def admin(self) -> str | None:
        """The address of the API, ``http://HOST:PORT`` or ``unix:PATH``, or None."""
        return None if self._web is None else self._web.address

    def contacts(self, aor: str) -> list[str]:
        """Return the contact URIs of an address-of-record, here or at a peer."""
        name = Aor(aor_uri(aor).aor)
        return [binding.contact for binding in self._app.bindings(name)]

    @property
    def handlers(self) -> Handlers | None:
        """The handlers of the routing script, for whoever watches over the process."""
        script = self._app.script
        return None if script is None else script.handlers

    def reload(self) -> None:
        """
        Load the routing script again.

        Raises:
            ScriptError: it is wrong; the previous one stays in use.
        """
        self._app.reload()

    def __repr__(self) -> str:
        return f"<reginfo server {self._config.server.id}>"

    async def __aenter__(self) -> Self:
        web = None
        if self._config.server.admin is not None:
            # First, because the sockets that nobody has taken are then an error.
            application = api(self._app, max_body=self._config.limits.api_body)
            server = self._config.server
            assert server.admin is not None
            web = WebServer(
                application, server.admin, self._inherited, tokens=server.tokens
            )
        await self._app.start()
        if web is not None:
            try:
                await web.start()
            except BaseException:
                await self._app.stop()
                raise
            self._web = web
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if self._web is not None:
                await self._web.stop()
        finally:
            await self._app.stop()
