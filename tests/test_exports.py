"""`import reginfo` shows its public names, and loads them when they are used."""

from __future__ import annotations

import inspect
import pydoc
import subprocess
import sys
from pathlib import Path

import pytest

import reginfo
import reginfo.testing

PAGE = (Path(__file__).parents[1] / "docs" / "library.md").read_text("utf-8")

PUBLIC = {
    "__version__",
    # the document
    "ClaimElement", "Contact", "ContactEvent", "ContactState", "RecordKey", "Reginfo",
    "Registration", "RegistrationState", "TempGruu", "parse", "serialize",
    # a subscriber, a user agent, a server
    "Table", "RegistrationChange", "RegistrationWatch", "watch", "RegisteredContact",
    "register", "PublishResult", "publish", "Config", "Server",
    # routing scripts
    "ContactChanged", "Event", "Message", "Response", "Route", "SubscriptionChanged",
    "Uri",
    # errors
    "ConfigError", "LocalProtocolError", "NoAnswer", "Refusal", "ReginfoError",
    "RemoteProtocolError", "RequestRefused", "ScriptError", "StartError", "WatchEnded",
}  # fmt: skip


def test_the_public_names_are_these() -> None:
    assert set(reginfo.__all__) == PUBLIC
    assert len(reginfo.__all__) == len(PUBLIC)


def test_dir_shows_them_and_nothing_else() -> None:
    shown = {name for name in dir(reginfo) if not name.startswith("__")}
    assert shown == PUBLIC - {"__version__"}


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_each_of_them_is_there_and_has_a_docstring(name: str) -> None:
    value = getattr(reginfo, name)
    if name != "__version__":
        # mypyc drops the docstring of a class.
        file = sys.modules[value.__module__].__file__ or ""
        is_compiled = not file.endswith(".py")
        assert is_compiled or (inspect.getdoc(value) or "").strip()
        assert value.__name__ == name


def test_help_shows_them() -> None:
    text = pydoc.plain(pydoc.render_doc(reginfo))
    for name in PUBLIC - {"__version__"}:
        assert f"class {name}" in text or f"{name}(" in text, name
    assert "import_module" not in text


def test_import_star_gives_them() -> None:
    namespace: dict[str, object] = {}
    exec("from reginfo import *", namespace)
    assert set(namespace) - {"__builtins__"} == PUBLIC


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'reginfo' has no attribute 'x'"):
        _ = reginfo.x


def test_importing_the_package_loads_no_part_of_it() -> None:
    program = (
        "import sys, reginfo; dir(reginfo);"
        "print(sorted(m for m in sys.modules if m.startswith('reginfo')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['reginfo', 'reginfo.version']"


def test_documents_are_read_without_the_server() -> None:
    program = (
        "import sys, reginfo; reginfo.parse; reginfo.Table;"
        "print(any(m.startswith(('asyncio', 'reginfo.server')) for m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_the_page_names_all_errors() -> None:
    errors = {name for name in PUBLIC if name.endswith(("Error", "Refused", "Ended"))}
    errors |= {"NoAnswer", "Refusal"}
    for name in errors:
        assert f"| `{name}` |" in PAGE
        assert issubclass(getattr(reginfo, name), reginfo.ReginfoError)


def test_the_names_for_tests_are_these() -> None:
    assert set(reginfo.testing.__all__) >= {"Script", "Wire", "WireServer"}


def test_public_values_show_themselves_in_a_line() -> None:
    route = reginfo.Route()
    route.request("REGISTER|PUBLISH")(lambda msg: None)
    route.event("expired")(lambda event: None)
    assert repr(route) == "<Route: request PUBLISH, request REGISTER, event expired>"
    table = reginfo.Table()
    assert repr(table) == "<Table: 0 contacts, version None>"
    assert repr(reginfo.Response(200, "OK")) == "<Response 200 OK>"
    uri = reginfo.Uri.parse("sip:alice@example.com")
    assert repr(uri) == "Uri('sip:alice@example.com')"


def test_what_a_script_is_given_shows_itself_in_a_line(tmp_path: Path) -> None:
    script = tmp_path / "routes.py"
    script.write_text(
        "from reginfo import Route\nroute = Route()\nseen = []\n"
        "@route.request('REGISTER')\ndef register(msg):\n"
        "    seen.append(repr(msg)); msg.save('location')\n"
        "@route.event('registered')\ndef registered(event):\n"
        "    seen.append(repr(event))\n"
        "@route.request('OPTIONS')\ndef options(msg):\n"
        "    msg.append_to_reply('X-Seen', ' | '.join(seen))\n"
        "    msg.send_reply(200, 'OK')\n"
    )
    test = reginfo.testing.Script(script)
    test.register("sip:alice@example.com", "sip:alice@192.0.2.50")
    response = test.send("OPTIONS", "sip:example.com")
    assert response is not None
    assert (response.header("X-Seen") or "").split(" | ") == [
        "<Message REGISTER sip:example.com from 192.0.2.50:5060>",
        "<ContactChanged registered: sip:alice@example.com sip:alice@192.0.2.50,"
        " registered here>",
    ]
