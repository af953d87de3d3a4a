"""A script is checked when it is loaded, and told about with its line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from reginfo.script.load import ScriptError, line_of, load

from ..server.scripted import written

HEAD = "from reginfo import Route\nroute = Route()\n"


def script(directory: Path, text: str) -> Path:
    path = directory / "routes.py"
    path.write_text(text)
    return path


def error_of(directory: Path, text: str) -> str:
    path = script(directory, text)
    with pytest.raises(ScriptError) as raised:
        load(path)
    return str(raised.value).replace(f"{directory}/", "")


def test_a_script_is_its_routes(tmp_path: Path) -> None:
    route = load(
        script(
            tmp_path,
            HEAD
            + "@route.request('REGISTER')\n"
            + "def register(msg):\n    msg.t_on_reply('1')\n    msg.save('location')\n"
            + "@route.reply('1')\n"
            + "async def reply(msg):\n    msg.reginfo_subscribe('$ru')\n",
        )
    )
    assert list(route.requests) == ["REGISTER"] and list(route.replies) == ["1"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("x = (\n", "routes.py:1: '(' was never closed"),
        ("x = 1\n  y = 2\n", "routes.py:2: unexpected indent"),
        (
            "x = 1\n\nx.y\n",
            "routes.py:3: AttributeError: 'int' object",
        ),
        (
            "import no_such_module\n",
            "routes.py:1: ModuleNotFoundError: No module",
        ),
        ("x = 1\nimport sys\nsys.exit(3)\n", "routes.py:3: SystemExit: 3"),
        ("x = 1\n", "routes.py: has no Route"),
        (HEAD + "other = Route()\n", "routes.py: has more than one Route"),
        (
            HEAD + "\n@route.event('came')\ndef f(e): pass\n",
            "routes.py:4: ValueError: unknown event 'came'; there are: registered",
        ),
        (
            HEAD + "@route.request()\ndef f(): pass\n",
            "routes.py:3: ValueError: the route for all methods does not take one",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    tmp_path: Path, text: str, error: str
) -> None:
    assert error_of(tmp_path, text).startswith(error)


def test_a_wrong_pseudo_variable_is_found_before_anything_runs(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    told = error_of(
        tmp_path,
        f"open({str(ran)!r}, 'w').close()\n"
        + HEAD
        + "@route.request()\n"
        + "def f(msg):\n"
        + "    msg.reginfo_subscribe('$zz')\n"
        + "    msg.ul_add_key('location', '$tU@$td', 'k', value='$hdr')\n"
        + "    print('$5 is no variable, nor need it be')\n"
        + "    msg.lookup('$aa')\n"
        + "    f.lookup('$aa is of another')\n"
        + "    msg.uri = 'sip:$bb'\n",
    )
    first, second, third, fourth = told.splitlines()
    assert third.startswith("routes.py:9: lookup: $aa: ")
    assert fourth.startswith("routes.py:11: uri: $bb: ")
    assert first.startswith("routes.py:6: reginfo_subscribe: $zz: no such pseudo-varia")
    assert second.startswith("routes.py:7: ul_add_key: $hdr needs a name")
    assert not ran.exists()


def test_a_route_that_is_named_has_to_be_there(tmp_path: Path) -> None:
    told = error_of(
        tmp_path,
        HEAD
        + "@route.failure('busy')\ndef g(msg): pass\n"
        + "@route.request()\n"
        + "def f(msg):\n    msg.t_on_reply('busy')\n    msg.t_on_failure('busy')\n",
    )
    assert told == "routes.py:7: t_on_reply: there is no reply route 'busy'"


def test_all_routes_that_are_not_there_are_told_in_their_order(tmp_path: Path) -> None:
    told = error_of(
        tmp_path,
        HEAD
        + "@route.request()\n"
        + "def f(msg, name=None):\n    msg.t_on_failure(name='b')\n"
        + "    msg.t_on_reply('a')\n    msg.t_on_reply(name)\n",
    )
    assert told.splitlines() == [
        "routes.py:5: t_on_failure: there is no failure route 'b'",
        "routes.py:6: t_on_reply: there is no reply route 'a'",
    ]


def test_a_script_knows_its_file_and_the_modules_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is beside it comes before what has the same name elsewhere."""
    (elsewhere := tmp_path / "elsewhere").mkdir()
    (elsewhere / "reginfo_twin.py").write_text("NAME = 'elsewhere'\n")
    monkeypatch.syspath_prepend(str(elsewhere))
    (tmp_path / "reginfo_twin.py").write_text("NAME = 'beside'\n")
    text = HEAD + "import reginfo_twin\nroute.failures[reginfo_twin.NAME] = None\n"
    path = script(tmp_path, text + "route.replies[__file__] = None\n")
    route = load(path)
    assert list(route.failures) == ["beside"]
    assert list(route.replies) == [str(path)]
    assert sys.path[0] == str(elsewhere)
    del sys.modules["reginfo_twin"]


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="none.py: No such file"):
        load(tmp_path / "none.py")
    (tmp_path / "bytes.py").write_bytes(b"x = '\xff'\n")
    with pytest.raises(ScriptError, match="bytes.py"):
        load(tmp_path / "bytes.py")
    (tmp_path / "nul.py").write_bytes(b"x = '\0'\n")
    # The line is told where the release of Python has one.
    with pytest.raises(ScriptError, match="nul.py(:1)?: source code"):
        load(tmp_path / "nul.py")


def test_modules_beside_it_are_read_anew_with_it(tmp_path: Path) -> None:
    beside = tmp_path / "reginfo_beside.py"
    text = HEAD + "import reginfo_beside\nroute.failures[reginfo_beside.NAME] = None\n"
    beside.write_text("NAME = 'one'\n")
    assert list(load(script(tmp_path, text)).failures) == ["one"]
    beside.write_text("NAME = 'the other'\n")
    assert list(load(script(tmp_path, text)).failures) == ["the other"]
    kept = sys.modules["reginfo_beside"]
    before = list(sys.path)
    beside.write_text("1 / 0\n")
    # The line that is told is the script's own.
    assert error_of(tmp_path, text).startswith("routes.py:3: ZeroDivisionError")
    assert sys.modules["reginfo_beside"] is kept and sys.path == before
    del sys.modules["reginfo_beside"]


def test_a_dataclass_can_be_made_in_it(tmp_path: Path) -> None:
    text = HEAD + (
        "from __future__ import annotations\n"
        "import dataclasses\n"
        "@dataclasses.dataclass\nclass A:\n    b: int = 0\n"
    )
    load(
        script(
            tmp_path,
            text.replace(HEAD, "", 1).replace(
                "import dataclasses\n", "import dataclasses\n" + HEAD, 1
            ),
        )
    )


def test_the_line_of_an_error_is_that_of_the_script(tmp_path: Path) -> None:
    path = script(
        tmp_path,
        HEAD + "import json\n@route.request()\ndef f(msg):\n    json.loads('x')\n",
    )
    handler = load(path).handler_of("INVITE")
    assert handler is not None
    with pytest.raises(ValueError) as raised:
        handler(None)  # type: ignore[arg-type]
    assert line_of(raised.value.__traceback__, path) == 6
    assert line_of(raised.value.__traceback__, tmp_path / "other.py") is None


@pytest.mark.parametrize(
    "line",
    [
        'msg.append_to_reply("X-A: $zz")',
        'msg.append_to_reply("X-A", "$zz")',
        'msg.append_to_reply(name="X-A", value="$zz")',
        'msg.append_hf("X-A", "$zz")',
        'msg.send_request("MESSAGE", "sip:$zz@example.com")',
        'msg.send_request("MESSAGE", uri="$zz")',
        'msg.send_reply(200, "OK $zz")',
        'msg.send_reply(200, "OK", (("X-A", "$zz"),))',
        'msg.send_reply(200, "OK", headers=[("X-A", "$zz")])',
        'msg.append_branch("sip:$zz")',
        'msg.unregister("location", "$zz")',
        'msg.reginfo_update("$zz")',
        'msg.save("$zz")',
    ],
)
def test_a_wrong_variable_is_found_in_every_function_that_replaces_them(
    tmp_path: Path, line: str
) -> None:
    """By the mark of the function itself, so that none can be forgotten."""
    with pytest.raises(ScriptError, match=r"zz: no such pseudo-variable"):
        load(written(tmp_path / "routes.py", f"""
            @route.request("MESSAGE")
            def message(msg: Message) -> None:
                {line}
            """))  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        'msg.send_request("MESSAGE", "sip:a@b", body="It costs $5")',
        'msg.send_request("MESSAGE", "sip:a@b", headers=[("X-A", "$5")])',
        'msg.unregister("location", "$tu", event="rejected")',
        'msg.send_reply(200, "OK", (), b"$5")',
        'print("$5")',
        "msg.save(message)",
        "msg.save(5)",
        "msg.t_on_reply(message)",
        'msg.append_hf("X-A", "$$5 $ru $hdr(Subject)")',
    ],
)
def test_other_arguments_may_have_a_dollar_sign(tmp_path: Path, line: str) -> None:
    load(written(tmp_path / "routes.py", f"""
        @route.request("MESSAGE")
        def message(msg: Message) -> None:
            {line}
        """))  # fmt: skip
