"""Converts a configuration of OpenSIPS or Kamailio to `reginfo.toml`."""

from __future__ import annotations

import json
import re
from enum import StrEnum
from typing import NamedTuple

from ..config.config import Config, ConfigError
from ..config.stance import is_loopback
from ..config.values import listen_address
from ..sip.transport import SIP_PORT, Transport
from .parameters import FUNCTIONS, PARAMETERS, Equivalent
from .source import Parameter, Setting, SourceConfig, SourceLine

NO_LIMIT = 4_294_967_295
"""Seconds: the greatest value of Expires (RFC 3261 §20.19)."""

SECTIONS = (
    "server",
    "store",
    "auth",
    "registrar",
    "usrloc",
    "presence_reginfo",
    "pua",
    "pua_reginfo",
    "nat",
)

ASKS = frozenset(
    {
        "auth_challenge",
        "auth_check",
        "proxy_authorize",
        "proxy_challenge",
        "pv_proxy_authenticate",
        "pv_proxy_authorize",
        "pv_www_authenticate",
        "pv_www_authorize",
        "www_authorize",
        "www_challenge",
    }
)
"""The functions by which a route asks for passwords."""

NEEDS = {
    "tls": "needs [tls] certificate: see docs/tls.md",
    "wss": "needs [tls] certificate and [websocket] origins: see docs/tls.md",
    "ws": "needs [websocket] origins: see docs/tls.md",
}
"""What a listener needs that no parameter has in a form that we could take over."""

LIMITS = ("min_expires", "default_expires", "max_expires")


class Dialect(StrEnum):
    """The program that the configuration is for; defaults differ."""

    OPENSIPS = "opensips"
    KAMAILIO = "kamailio"


class Left(NamedTuple):
    """An item that was not carried over, and the reason."""

    line: SourceLine | None
    what: str
    why: str

    def __str__(self) -> str:
        where = "" if self.line is None else f"{self.line}: "
        return f"{where}{self.what}: {self.why}"


class Moved(NamedTuple):
    """The result of a conversion."""

    toml: str
    "A valid `reginfo.toml`, with a comment on the origin of each key."

    left: list[Left]


def dialect_of(source: SourceConfig, name: str) -> Dialect:
    """
    Guess which program a configuration is for.

    Args:
        name: the name of its file.
    """
    if source.is_kamailio or source.loaded & {"kex", "corex", "tmx", "pv"}:
        return Dialect.KAMAILIO
    theirs = any(setting.name == "socket" for setting in source.settings)
    if theirs or source.loaded & {"proto_udp", "proto_tcp", "signaling"}:
        return Dialect.OPENSIPS
    return Dialect.OPENSIPS if "opensips" in name.lower() else Dialect.KAMAILIO


def move(source: SourceConfig, dialect: Dialect, name: str) -> Moved:
    """
    Convert a configuration.

    Args:
        name: the name of its file, for a comment.
    """
    return _Mover(dialect, name).move(source)


class _Mover:
    def __init__(self, dialect: Dialect, name: str) -> None:
        self._dialect = dialect
        self._name = name
        self._values: dict[tuple[str, str], str] = {}
        self._comments: dict[tuple[str, str], str] = {}
        self._left: list[Left] = []
        self._set(("server", "id"), '"a"', "any name; unique among the servers")

    def move(self, source: SourceConfig) -> Moved:
        self._left += [Left(line, "not read", why) for line, why in source.left]
        for parameter in source.parameters:
            self._parameter(parameter)
        self._listen(source.settings)
        self._domains(source.settings)
        self._defaults(source)
        self._agree()
        self._auth(source)
        for call in source.calls:
            if call.function in FUNCTIONS:
                why = f"in a routing script: {FUNCTIONS[call.function]}"
                self._left.append(Left(call.line, f"{call.function}()", why))
        if source.others:
            names = ", ".join(sorted(source.others))
            why = "parameters of other modules are ignored"
            self._left.append(Left(None, names, why))
        return Moved(self._written(), self._left)

    # Parameters.

    def _parameter(self, parameter: Parameter) -> None:
        what = f"{parameter.module} {parameter.name}"
        ours = PARAMETERS[parameter.module].get(parameter.name)
        if ours is None:
            why = "unknown parameter"
        elif isinstance(ours, str):
            why = ours
        else:
            why = self._carry(parameter, ours)
        if why:
            self._left.append(Left(parameter.line, what, why))

    def _carry(self, parameter: Parameter, ours: Equivalent) -> str:
        """Carry a value over; otherwise return the reason why not."""
        value = parameter.value
        key = (ours.section, ours.key)
        if ours.kind == "text":
            written = _quoted(value)
        else:
            number = _number(value)
            if number is None:
                return f"{_clean(value)[:40]!r} is not a number"
            written = str(number)
            if ours.kind == "flag":
                written = "true" if number else "false"
            elif key == ("registrar", "max_expires") and number == 0:
                written = str(NO_LIMIT)
            elif ours.key == "min_expires" and ours.section == "pua" and not number:
                written = "1"
        if parameter.module == "pua" and ours.key == "outbound_proxy":
            if key in self._values:
                return "the value of pua_reginfo is used"
        wrong = _wrong(ours.section, ours.key, written)
        if wrong:
            return wrong
        self._set(key, written, f"{parameter.module}, {parameter.line}")
        return ""

    def _set(self, key: tuple[str, str], written: str, comment: str) -> None:
        self._values[key] = written
        self._comments[key] = _clean(comment)

    # Addresses.

    def _listen(self, settings: list[Setting]) -> None:
        found: list[str] = []
        lines: list[SourceLine] = []
        for setting in settings:
            if setting.name == "alias":
                continue
            for address in self._addresses(setting):
                wrong = _wrong("server", "listen", _listed([address]))
                why = NEEDS.get(address.partition(":")[0])
                if why or wrong:
                    why = (
                        why or "only numeric addresses, with UDP or TCP, are supported"
                    )
                    self._left.append(Left(setting.line, _clean(address), why))
                elif address not in found:
                    found.append(address)
                    lines.append(setting.line)
        if found:
            where = ", ".join(dict.fromkeys(map(str, lines)))
            self._set(("server", "listen"), _listed(found), where)

    def _addresses(self, setting: Setting) -> list[str]:
        """The addresses in a line, each with its transport and port."""
        if not setting.values:
            return []
        for at, word in enumerate(setting.values):
            if word in ("advertise", "as", "AS") and at:
                what = " ".join(setting.values[at : at + 2])
                why = "see [server] advertise"
                self._left.append(Left(setting.line, _clean(what), why))
                break
        address = setting.values[0]
        transport, colon, rest = address.partition(":")
        if transport.lower() in ("udp", "tcp", "tls", "sctp", "ws", "wss", "bin"):
            transports, host = [transport.lower()], rest
        else:
            transports, host = ["udp", "tcp"], address
        if not re.search(r":\d+$", host) or (host.count(":") > 1 and "]" not in host):
            if host.count(":") > 1 and not host.startswith("["):
                host = f"[{host}]"
            default = Transport.named(transports[0])
            port = SIP_PORT if default is None else default.default_port
            host = f"{host}:{port}"
        return [f"{transport}:{host}" for transport in transports]

    def _domains(self, settings: list[Setting]) -> None:
        found: list[str] = []
        lines: list[str] = []
        for setting in settings:
            if setting.name != "alias":
                continue
            for value in setting.values:
                name = re.sub(r"^(?:udp|tcp|tls|sctp):", "", value, flags=re.IGNORECASE)
                name = re.sub(r":\d+$", "", name).lower()
                if _wrong("server", "domains", _listed([name])):
                    why = "not a domain name"
                    self._left.append(Left(setting.line, _clean(value), why))
                elif name not in found:
                    found.append(name)
                    lines.append(str(setting.line))
        default = self._values.get(("pua_reginfo", "default_domain"))
        if default is not None and json.loads(default) not in found:
            found.append(json.loads(default))
            lines.append("default_domain")
        if not found:
            found.append("example.com")
            why = "no alias names a domain of this server: example.com is a placeholder"
            self._left.append(Left(None, "server.domains", why))
        self._set(
            ("server", "domains"),
            _listed(found),
            ", ".join(dict.fromkeys(lines)) or "CHANGE THIS",
        )

    # Passwords.

    def _auth(self, source: SourceConfig) -> None:
        """A registrar that asks for passwords goes on to ask for them."""
        calls = [call for call in source.calls if call.function in ASKS]
        modules = source.loaded | source.others.keys()
        named = sorted(one for one in modules if re.fullmatch(r"auth(_\w+)?", one))
        if not calls and not named:
            listen = json.loads(self._values.get(("server", "listen"), "[]"))
            if all(is_loopback(listen_address(one).host) for one in listen):
                return
            why = (
                "nobody was asked for a password, as far as this was read: set `users`,"
                " or `required = false`, or the server listens on loopback alone"
            )
            self._left.append(Left(None, "[auth]", why))
            return
        where = str(calls[0].line) if calls else f"loads {', '.join(named)}"
        comment = f"{where}: users were asked for passwords"
        self._set(("auth", "users"), '"users"', comment)
        md5 = "the algorithm of their hashes; SHA-256 once users have those"
        self._set(("auth", "algorithms"), '["MD5"]', md5)
        why = "users are in a file here: see docs/moving.md, Passwords"
        self._left.append(Left(None, "passwords", why))

    # Values that the configuration does not set.

    def _defaults(self, source: SourceConfig) -> None:
        self._set(("store", "url"), '"sqlite:reginfo.db"', "relative to this file")
        if (
            "pua_reginfo" in source.loaded
            and self._dialect is Dialect.OPENSIPS
            and ("pua_reginfo", "publish_reginfo") not in self._values
        ):
            comment = "by default, OpenSIPS does not publish"
            self._set(("pua_reginfo", "publish_reginfo"), "false", comment)
        key = ("registrar", "max_contacts")
        if key not in self._values:
            self._set(key, "0", "the default of OpenSIPS and Kamailio")
        key = ("usrloc", "use_domain")
        if key not in self._values:
            self._set(key, "false", "the default of OpenSIPS and Kamailio")
        if self._values[key] == "false":
            if ("pua_reginfo", "default_domain") not in self._values:
                why = "false needs pua_reginfo.default_domain, which is not set"
                self._left.append(Left(None, "usrloc use_domain", why))
                self._set(key, "true", "false needs pua_reginfo.default_domain")

    def _agree(self) -> None:
        """Adjust limits that would be refused: minimum <= default <= maximum."""
        for section, usual in (
            ("registrar", (60, 3_600, 86_400)),
            ("presence_reginfo", (60, 3_761, 86_400)),
            ("pua", (60, None, 3_600)),
        ):
            low, value, high = (
                int(self._values.get((section, key), default or 0))
                for key, default in zip(LIMITS, usual, strict=True)
            )
            if low > high:
                self._adjust(section, "max_expires", low)
                high = low
            if usual[1] is not None and not low <= value <= high:
                self._adjust(section, "default_expires", min(max(value, low), high))

    def _adjust(self, section: str, key: str, number: int) -> None:
        old = self._values.get((section, key))
        if old is not None:
            why = f"{old} is outside the other limits: {number} is used"
            self._left.append(Left(None, f"{section}.{key}", why))
        self._set((section, key), str(number), "adjusted to the other limits")

    # Writing.

    def _written(self) -> str:
        name, dialect = _clean(self._name), self._dialect
        lines = [f"# Converted from {name}, a configuration of {dialect}."]
        for section in SECTIONS:
            keys = [key for key in self._values if key[0] == section]
            if not keys:
                continue
            lines += ["", f"[{section}]"]
            for key in keys:
                lines.append(f"# {self._comments[key]}")
                lines.append(f"{key[1]} = {self._values[key]}")
        if self._left:
            lines += ["", "# Not carried over:", "#"]
            lines += [f"# {_clean(str(left))}" for left in self._left]
        return "\n".join([*lines, ""])


def _wrong(section: str, key: str, written: str) -> str:
    """Validate one value; return the error, or an empty string."""
    base = {"server": {"id": '"a"', "domains": '["example.com"]'}}
    # `_defaults` and `_agree` check it against other keys.
    if key == "use_domain":
        base["pua_reginfo"] = {"default_domain": '"example.com"'}
    elif key in LIMITS and _number(written):
        base[section] = dict.fromkeys(LIMITS, written)
        if section == "pua":
            del base[section]["default_expires"]
    base.setdefault(section, {})[key] = written
    text = "".join(
        f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items())
        for name, keys in base.items()
    )
    try:
        Config.parse(text)
    except ConfigError as exc:
        for error in exc.errors:
            _, _, message = error.partition(f"{section}.{key}: ")
            if message:
                return message
        return exc.errors[0].rpartition(": ")[2]
    return ""


def _number(value: str) -> int | None:
    """Parse an integer, or a word such as "yes" that stands for 1 or 0."""
    word = value.strip().lower()
    if word in ("yes", "true", "on"):
        return 1
    if word in ("no", "false", "off"):
        return 0
    if re.fullmatch(r"[+-]?\d{1,18}", word, re.ASCII):
        return int(word)
    return None


def _quoted(text: str) -> str:
    """Write a TOML string; printable text is written the same way in JSON."""
    return json.dumps(_clean(text), ensure_ascii=False)


def _listed(texts: list[str]) -> str:
    return f"[{', '.join(map(_quoted, texts))}]"


def _clean(text: str) -> str:
    """Remove passwords, control characters and line ends, and limit the length."""
    text = re.sub(r"://[^\s@/]{0,200}@", "://...@", text[:500])
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
