"""The configuration, ``reginfo.toml``: read, validated and kept as one value."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct, field

from ..sip.errors import ReginfoError
from .address import UnixPath
from .agreement import check_sections_agree, warnings_of
from .auth_section import AuthSection
from .limits_section import CapacitySection
from .lines import KeyPath, Lines, syntax_error
from .pairs import one_way, peers_that_are_us
from .sections import (
    DnsSection,
    GroupSection,
    NatSection,
    NotifierSection,
    PeerSection,
    PresenceReginfoSection,
    ProxySection,
    PuaReginfoSection,
    PuaSection,
    RegistrarSection,
    ServerSection,
    StoreSection,
    SyncSection,
    UsrlocSection,
)
from .secure_sections import TlsSection, WebSocketSection
from .toml import Reading, written


class ConfigError(ReginfoError):
    """
    All errors of a configuration.

    The message has one line for each of them: ``FILE:LINE: KEY: what is wrong``.
    """

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = tuple(errors)


class Config(Struct, frozen=True, kw_only=True):
    """The whole file. Paths are absolute, or relative to the working directory."""

    server: ServerSection
    store: StoreSection = StoreSection()
    auth: AuthSection | None = None
    registrar: RegistrarSection = RegistrarSection()
    usrloc: UsrlocSection = UsrlocSection()
    notifier: NotifierSection = NotifierSection()
    presence_reginfo: PresenceReginfoSection = PresenceReginfoSection()
    pua: PuaSection = PuaSection()
    pua_reginfo: PuaReginfoSection = PuaReginfoSection()
    proxy: ProxySection = ProxySection()
    nat: NatSection = NatSection()
    tls: TlsSection = TlsSection()
    websocket: WebSocketSection = WebSocketSection()
    dns: DnsSection = DnsSection()
    sync: SyncSection = SyncSection()
    limits: CapacitySection = CapacitySection()
    groups: tuple[GroupSection, ...] = field(default=(), name="group")
    peers: tuple[PeerSection, ...] = field(default=(), name="peer")

    @property
    def asks(self) -> bool:
        """Whether requests in the name of our users need their passwords."""
        return self.auth is not None and self.auth.required

    @property
    def watchers(self) -> tuple[str, ...]:
        """Who may subscribe to registrations: `notifier.allow`, or its default."""
        return self.notifier.allow or (("self",) if self.asks else ("all",))

    @staticmethod
    def read(path: Path) -> Config:
        """
        Read a file; the paths in it are relative to its directory.

        Raises:
            ConfigError: the file cannot be read, or has errors; all are listed.
        """
        try:
            content = path.read_text("utf-8")
        except UnicodeDecodeError as exc:
            raise ConfigError([f"{path}: not UTF-8: {exc.reason}"]) from exc
        except OSError as exc:
            raise ConfigError([f"{path}: {exc.strerror}"]) from exc
        return Config.parse(content, str(path), path.parent)

    @staticmethod
    def parse(
        content: str, where: str = "reginfo.toml", directory: Path = Path()
    ) -> Config:
        """
        Read a file's text; ``where`` names it in errors.

        Raises:
            ConfigError: the file cannot be read, or has errors; all are listed.
        """
        try:
            values = tomllib.loads(content)
        except tomllib.TOMLDecodeError as exc:
            line, message = syntax_error(exc, content)
            raise ConfigError([f"{where}:{line}: {message}"]) from exc
        reading = Reading(Config)
        config = reading.table(Config, values, ())
        check_sections_agree(reading)
        if reading.errors or config is None:
            lines = Lines(content)
            errors = sorted((lines.at(p), written(p), m) for p, m in reading.errors)
            raise ConfigError(
                [f"{where}:{line}: {key}: {message}" for line, key, message in errors]
            )
        return _in_directory(config, directory)

    def warnings(
        self,
        path: Path,
        *,
        machine: Collection[str] = (),
        others: Iterable[Config] = (),
    ) -> list[str]:
        """
        List what is valid, but probably not meant: ``FILE:LINE: KEY: message``.

        Args:
            path: the file that the configuration was read from.
            machine: the numeric addresses of this machine.
            others: the configurations of peers.
        """
        found = [*warnings_of(self), *peers_that_are_us(self, machine)]
        for other in others:
            found += one_way(self, other)
        lines = Lines(path.read_text("utf-8"))
        return [
            f"{path}:{lines.at(key)}: {written(key)}: {message}"
            for key, message in found
        ]

    def require_script(self, path: Path) -> None:
        """
        Check that the routing script exists, if there is one.

        Args:
            path: the file that the configuration was read from.

        Raises:
            ConfigError: it does not.
        """
        script = self.server.script
        if script is None or script.exists():
            return
        raise error_at(path, ("server", "script"), f"{script} does not exist")


def error_at(path: Path, key: KeyPath, message: str) -> ConfigError:
    """Return the error of a key in a file, which was read before."""
    line = Lines(path.read_text("utf-8")).at(key)
    return ConfigError([f"{path}:{line}: {written(key)}: {message}"])


def _in_directory(config: Config, directory: Path) -> Config:
    server, store = config.server, config.store
    if store.path is not None:
        store = msgspec.structs.replace(store, path=directory / store.path)
    if isinstance(server.admin, UnixPath):
        admin = UnixPath(directory / server.admin.path)
        server = msgspec.structs.replace(server, admin=admin)
    if server.tokens is not None:
        server = msgspec.structs.replace(server, tokens=directory / server.tokens)
    if server.script is not None:
        server = msgspec.structs.replace(server, script=directory / server.script)
    auth = config.auth
    if auth is not None and isinstance(auth.users, Path):
        auth = msgspec.structs.replace(auth, users=directory / auth.users)
    tls = msgspec.structs.replace(
        config.tls,
        certificate=tuple(directory / path for path in config.tls.certificate),
        key=tuple(directory / path for path in config.tls.key),
        ca=None if config.tls.ca is None else directory / config.tls.ca,
    )
    return msgspec.structs.replace(
        config, server=server, store=store, auth=auth, tls=tls
    )
