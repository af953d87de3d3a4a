"""The functions shared by requests and events."""

from __future__ import annotations

from typing import Any

import pytest

from reginfo.script.functions import EXPIRES, Functions
from reginfo.script.pseudo import Data
from reginfo.script.result import UnusableText
from reginfo.sip.errors import RemoteProtocolError
from reginfo.sip.uri import Uri

from ..make import ALICE
from .fake import Core

PHONE = "sip:alice@192.0.2.50"


def functions(**answers: Any) -> tuple[Functions, Core]:
    core = Core(**answers)
    return Functions(core, {"who": ALICE}), core


@pytest.mark.parametrize("uri", [ALICE, Uri.parse(ALICE), "$var(who)"])
def test_a_user_is_named_by_text_a_uri_or_a_variable(uri: str | Uri) -> None:
    calls, core = functions()
    assert calls.reginfo_subscribe(uri) == 1
    assert calls.reginfo_update(uri) == 1
    assert core.asked == [("subscribe", ALICE, EXPIRES), ("update", ALICE)]


@pytest.mark.parametrize(
    ("call", "asked"),
    [
        (lambda f: f.unregister("t", ALICE),
         ("remove", "t", ALICE, None, "deactivated", None)),
        (lambda f: f.unregister("t", ALICE, PHONE, "probation", 60),
         ("remove", "t", ALICE, PHONE, "probation", 60)),
        (lambda f: f.shorten("t", ALICE, 60),
         ("shorten", "t", ALICE, None, 60)),
        (lambda f: f.add("t", ALICE, PHONE, 60, q=0.5),
         ("create", "t", ALICE, PHONE, 60, "0.500")),
        (lambda f: f.admit("t", ALICE), ("admit", "t", ALICE)),
    ],
)  # fmt: skip
def test_an_act_of_an_administrator_is_asked_of_the_server(
    call: Any, asked: tuple[Any, ...]
) -> None:
    """3680-140 to 3680-144"""
    calls, core = functions()
    assert call(calls) == 1
    assert core.asked == [asked]
    calls, core = functions(remove=False, shorten=False, create=False, admit=False)
    assert call(calls) == -1
    bad = RemoteProtocolError("no AoR")
    calls, core = functions(remove=bad, shorten=bad, create=bad, admit=bad)
    assert call(calls) == -1


@pytest.mark.parametrize(
    "call",
    [
        lambda f: f.unregister("t", ALICE, event="expired"),
        lambda f: f.unregister("t", ALICE, event="gone"),
        lambda f: f.unregister("t", ALICE, event="probation"),
        lambda f: f.unregister("t", ALICE, retry_after=5),
        lambda f: f.unregister("t", ALICE, event="probation", retry_after=-1),
        lambda f: f.shorten("t", ALICE, -1),
        lambda f: f.shorten("t", ALICE, 1.5),
        lambda f: f.add("t", ALICE, PHONE, 0),
        lambda f: f.reginfo_subscribe(ALICE, True),
    ],
)
def test_a_mistake_of_the_script_is_raised_and_changes_nothing(call: Any) -> None:
    calls, core = functions()
    with pytest.raises(ValueError) as caught:
        call(calls)
    assert not isinstance(caught.value, RemoteProtocolError)
    assert core.asked == []


def test_a_key_is_set_read_and_removed() -> None:
    calls, core = functions()
    assert calls.ul_add_key("t", "$var(who)", "color", "blue") == 1
    assert core.keys == {("t", ALICE, "color"): "blue"}
    assert calls.ul_get_key("t", ALICE, "color") == "blue"
    assert calls.ul_rm_key("t", ALICE, "color") == 1
    assert calls.ul_rm_key("t", ALICE, "color") == -1
    assert calls.ul_get_key("t", ALICE, "color") is None


def test_a_key_of_an_invalid_user_is_an_error_code() -> None:
    calls, _ = functions()
    assert calls.ul_add_key("t", "", "color", "blue") == -1
    assert calls.ul_get_key("t", "", "color") is None
    assert calls.ul_rm_key("t", "", "color") == -1


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_an_invalid_name_is_blamed_on_its_writer(name: str) -> None:
    calls, _ = functions()
    with pytest.raises(ValueError) as caught:
        calls.ul_add_key("t", ALICE, name, "x")
    assert not isinstance(caught.value, UnusableText)
    with pytest.raises(UnusableText):
        calls.ul_add_key("t", ALICE, Data(f"{name}\0"), "x")


def test_the_value_of_a_key_is_data_in_which_a_dollar_begins_no_variable() -> None:
    calls, core = functions()
    core.keys["t", ALICE, "k"] = "$ru"
    value = calls.ul_get_key("t", ALICE, "k")
    assert value is not None
    assert calls.ul_add_key("t", ALICE, "again", value) == 1
    assert core.keys["t", ALICE, "again"] == "$ru"


@pytest.mark.parametrize("text", ["$ru", "$hdr(Event)", "$zz"])
def test_a_variable_of_a_message_is_refused_without_a_message(text: str) -> None:
    calls, core = functions()
    with pytest.raises(ValueError):
        calls.reginfo_update(text)
    assert core.asked == []


def test_a_value_that_is_not_a_string_is_a_type_error() -> None:
    calls, _ = functions()
    with pytest.raises(TypeError, match="string"):
        calls.reginfo_update(7)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["cash $ and more", "$ru", "no variable"])
def test_quoted_text_stays_as_it_is(text: str) -> None:
    calls, core = functions()
    calls.reginfo_update(calls.quote(text))
    assert core.asked == [("update", text)]


def test_an_invalid_request_is_blamed_on_its_writer() -> None:
    class Refusing(Core):
        def send_request(self, *_: Any) -> Any:
            raise ValueError("line end in a header")

    calls = Functions(Refusing())
    with pytest.raises(ValueError) as caught:
        calls.send_request("MESSAGE", ALICE, headers=[("X", "a\r\nb")])
    assert not isinstance(caught.value, UnusableText)
    with pytest.raises(UnusableText):
        calls.send_request("MESSAGE", ALICE, headers=[("X", Data("a\r\nb"))])


def test_bindings_are_those_of_the_server() -> None:
    calls, core = functions()
    assert list(calls.bindings(ALICE)) == []
    assert core.asked == [("bindings", ALICE, "location")]
