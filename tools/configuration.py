"""
Writes ``docs/configuration.md``: every key of ``reginfo.toml``.

The page is made from ``src/reginfo/config/sections.py``: the docstrings of sections
and keys, the defaults, and the functions that read the values.
"""

from __future__ import annotations

import ast
import inspect
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from reginfo.config.config import Config

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "configuration.md"

HEAD = """\
# The configuration

This page is made by `make configuration` from the code that reads the file.

A server reads one file, `reginfo.toml`, in the format of [TOML](https://toml.io).
Only `id` and `domains` of `[server]` are required. Paths are relative to the directory
of the file. `reginfo check -c reginfo.toml` reports every error in it, with line and
key, and warns of what is valid but probably not meant.

The routing script, the users and the files of `[tls]` are read again on SIGHUP;
everything else takes a restart.
"""

EXAMPLES = {
    "server.id": '"a"',
    "server.listen": '["udp:192.0.2.1:5060", "tcp:192.0.2.1:5060", "udp:[::1]:5060"]',
    "server.domains": '["example.com", "example.org"]',
    "server.admin": '"127.0.0.1:8060"',
    "server.tokens": '"tokens"',
    "server.script": '"routes.py"',
    "store.url": '"sqlite:/var/lib/reginfo/reginfo.db"',
    "auth.users": '"users"',
    "auth.algorithms": '["SHA-256", "MD5"]',
    "auth.realm": '"example.com"',
    "auth.administrators": '["sip:ops@example.com"]',
    "notifier.allow": '["self", "peers", "example.org", "sip:bob@example.com"]',
    "pua_reginfo.server_address": '"sip:reginfo@192.0.2.1"',
    "pua_reginfo.default_domain": '"example.com"',
    "pua_reginfo.publish_to": '"sip:presence.example.com"',
    "pua_reginfo.outbound_proxy": '"sip:proxy.example.com"',
    "pua_reginfo.ul_identities_key": '"identities"',
    "nat.ping": '"options"',
    "nat.ping_from": '"sip:pinger@example.com"',
    "tls.certificate": '"/etc/reginfo/certificate.pem"',
    "tls.key": '"/etc/reginfo/key.pem"',
    "tls.ca": '"/etc/ssl/certs/ca-certificates.crt"',
    "websocket.origins": '["https://phone.example.com"]',
    "dns.servers": '["192.0.2.53", "[2001:db8::53]:5353"]',
    "sync.verify": '"1d"',
    "group.uri": '"sip:allusers@example.com"',
    "group.domains": '["example.com"]',
    "peer.name": '"b"',
    "peer.uri": '"sip:192.0.2.2:5060"',
    "peer.watch": '["sip:alice@example.com"]',
    "peer.profile": '"standard"',
    "peer.domains": '["example.com"]',
    "peer.match": '{ address = "192.0.2.2", from = "sip:reginfo@192.0.2.2" }',
}
"""Where the default would not show how a value is written."""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(_section(field) for field in _tables())])


def _tables() -> Iterator[msgspec.structs.FieldInfo]:
    yield from msgspec.structs.fields(Config)


def _section(table: msgspec.structs.FieldInfo) -> str:
    cls = _struct(table.type)
    title = f"[[{table.encode_name}]]" if _is_array(table) else f"[{table.encode_name}]"
    about = (cls.__doc__ or "").partition(": ")[2]
    lines = [f"## `{title}`", "", f"{about[:1].upper()}{about[1:]}", ""]
    lines += ["| key | value | default | meaning |", "|---|---|---|---|"]
    docs = _docstrings(cls)
    for key in msgspec.structs.fields(cls):
        meaning = docs[key.name]
        inner = _struct(key.type)
        if typing.get_origin(key.type) is not typing.Annotated and inner is not None:
            parts = _docstrings(inner)
            named = {f.name: f.encode_name for f in msgspec.structs.fields(inner)}
            told = " ".join(f"`{named[n]}`: {text}" for n, text in parts.items())
            meaning = f"{meaning} {told}"
        lines.append(
            f"| `{key.encode_name}` | {_kind(key)} | {_default(key)} | {meaning} |"
        )
    return "\n".join([*lines, "", "```toml", _example(table), "```", ""])


def _example(table: msgspec.structs.FieldInfo) -> str:
    name = table.encode_name
    lines = [f"[[{name}]]" if _is_array(table) else f"[{name}]"]
    for key in msgspec.structs.fields(_struct(table.type)):
        value = EXAMPLES.get(f"{name}.{key.encode_name}")
        if value is None:
            if key.required:
                raise SystemExit(f"no example of {name}.{key.encode_name}")
            if key.default is None:
                continue
            value = _written(key.default)
        lines.append(f"{key.encode_name} = {value}")
    return "\n".join(lines)


def _kind(key: msgspec.structs.FieldInfo) -> str:
    """What a value looks like, from the function that reads it."""
    if typing.get_origin(key.type) is not typing.Annotated:
        return "table"
    return _described(key.type.__metadata__[0], key.encode_name)


def _described(read: Callable[..., Any], name: str) -> str:
    kind = read.__qualname__.partition(".")[0]
    inside = {
        variable: cell.cell_contents
        for variable, cell in zip(
            read.__code__.co_freevars, read.__closure__ or (), strict=True
        )
    }
    if kind == "whole":
        unit = " of seconds" if name.endswith("expires") else ""
        return f"whole number{unit}, at least {inside['at_least']}"
    if kind == "one_of":
        return " or ".join(f'`"{choice}"`' for choice in inside["choices"])
    if kind == "several":
        return f"list of: {_described(inside['read_one'], name)}"
    if kind == "one_or_several":
        return f"{_described(inside['read_one'], name)}, or a list"
    return KINDS.get(kind, kind.replace("_", " "))


KINDS = {
    "flag": "`true` or `false`",
    "seconds": "seconds",
    "token": "word",
    "text": "text",
    "sip_uri": "SIP URI",
    "host_name": "domain",
    "listen_address": '`"udp:HOST:PORT"`, or `tcp`, `tls`, `ws` or `wss`',
    "web_origin": '`"https://HOST"`',
    "admin_address": '`"HOST:PORT"` or `"unix:PATH"`',
    "socket_address": '`"HOST"` or `"HOST:PORT"`',
    "store_path": '`"sqlite:PATH"` or `"memory:"`',
    "file_path": "path",
    "users_place": "path",
    "realm": "text",
    "watched": "SIP URI",
    "group_uri": "SIP URI",
    "duration": 'seconds, or text such as `"12h"`',
    "watcher": "word, domain or SIP URI",
}


def _default(key: msgspec.structs.FieldInfo) -> str:
    if key.required:
        return "required"
    return "none" if key.default in (None, ()) else f"`{_written(key.default)}`"


def _written(value: Any) -> str:
    """A default as TOML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, Path):  # the only default that is one: of `store.url`
        return f'"sqlite:{value}"'
    return f'"{value}"'


def _is_array(table: msgspec.structs.FieldInfo) -> bool:
    return typing.get_origin(table.type) is tuple


def _struct(hint: Any) -> Any:
    kinds = (hint, *typing.get_args(hint))
    return next(
        (k for k in kinds if isinstance(k, type) and issubclass(k, msgspec.Struct)),
        None,
    )


def source_of(cls: type[msgspec.Struct]) -> Path:
    """The file that a section is in."""
    return Path(inspect.getfile(cls))


def _docstrings(cls: type[msgspec.Struct]) -> dict[str, str]:
    """The docstring of each field, those of its base classes too."""
    classes = {
        node.name: node
        for node in ast.parse(source_of(cls).read_text("utf-8")).body
        if isinstance(node, ast.ClassDef)
    }
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        body = classes[base.__name__].body if base.__name__ in classes else []
        for node, after in zip(body, body[1:], strict=False):
            if (
                isinstance(node, ast.AnnAssign)
                and isinstance(node.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
            ):
                found[node.target.id] = " ".join(str(after.value.value).split())
    return found


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
