"""What of a configuration concerns us."""

from __future__ import annotations

import time

import pytest

from reginfo.moving.source import (
    MAX_LENGTH,
    FunctionCall,
    Parameter,
    Setting,
    SourceLine,
    read,
)


def nothing(name: str) -> str | None:
    return None


def test_parameters_of_our_modules_with_their_lines() -> None:
    source = read(
        '#\nmodparam("usrloc|registrar|tm", "x", 1)\n'
        'modparam("pua", "y",\n  "a" . "b")',
        nothing,
    )
    assert source.parameters == [
        Parameter("usrloc", "x", "1", SourceLine("", 2)),
        Parameter("registrar", "x", "1", SourceLine("", 2)),
        Parameter("pua", "y", "ab", SourceLine("", 3)),
    ]
    assert source.others == {"tm": 1}
    assert source.left == []


@pytest.mark.parametrize(
    "text", ['modparam("pua")', 'modparam("pua", "x"', "modparam", 'modparam("a",,)']
)
def test_a_modparam_that_cannot_be_read_is_left_with_its_line(text: str) -> None:
    source = read(f"\n{text}\n", nothing)
    assert source.left == [(SourceLine("", 2), "this modparam cannot be parsed")]


def test_addresses_and_domains() -> None:
    source = read(
        "listen=udp:192.0.2.1:5060 advertise 203.0.113.1:5060\n"
        "socket = tcp:192.0.2.1\nalias=a.example b.example\nport=5060\n",
        nothing,
    )
    first = ("udp:192.0.2.1:5060", "advertise", "203.0.113.1:5060")
    assert source.settings == [
        Setting("listen", first, SourceLine("", 1)),
        Setting("socket", ("tcp:192.0.2.1",), SourceLine("", 2)),
        Setting("alias", ("a.example", "b.example"), SourceLine("", 3)),
    ]


def test_calls_in_routes_and_nothing_else_of_them() -> None:
    source = read(
        'route {\n if (!reginfo_handle_notify("location")) {\n  listen=x;\n }\n'
        ' modparam("pua", "x", 1);\n}\nalias="a"',
        nothing,
    )
    assert FunctionCall("reginfo_handle_notify", SourceLine("", 2)) in source.calls
    assert source.parameters == []
    assert [setting.name for setting in source.settings] == ["alias"]


def test_what_kamailio_defines_and_leaves_out() -> None:
    text = (
        "#!KAMAILIO\n#!define N 60\n#!trydef N 61\n#!ifdef N\n"
        'modparam("pua", "a", N)\n#!else\nmodparam("pua", "b", N)\n#!endif\n'
        "#!ifndef GIVEN\nmodparam('pua', 'c', N)\n#!endif\n"
        'modparam("pua", "d", GIVEN)\n#!subst "/A/B/"\n#!else\n#!endif\n'
    )
    source = read(text, nothing, {"GIVEN": "7"})
    assert source.is_kamailio
    assert [(p.name, p.value) for p in source.parameters] == [("a", "60"), ("d", "7")]
    assert source.left == [(SourceLine("", 13), "#!subst is not supported")]


def test_files_that_are_included_are_read() -> None:
    files = {"x.cfg": 'modparam("pua", "x", 1)\nimport_file "none.cfg"'}
    source = read('include_file "x.cfg"\ninclude_file "y.cfg"\n', files.get)
    assert source.parameters == [Parameter("pua", "x", "1", SourceLine("x.cfg", 1))]
    assert source.left == [(SourceLine("", 2), "y.cfg cannot be read")]


def test_files_that_include_each_other_are_read_a_few_times() -> None:
    source = read('include_file "x"', {"x": 'include_file "x"\n'}.get)
    assert source.left == [(SourceLine("x", 1), "x: files include each other")]


def test_a_file_that_is_no_configuration_for_its_length_is_not_read() -> None:
    assert read("a" * (MAX_LENGTH + 1), nothing).left != []


@pytest.mark.parametrize(
    "text",
    [
        "$(" * 100_000,
        "/*" * 100_000,
        '"\\' * 100_000,
        "(" * 200_000,
        "{" * 200_000,
        "#!ifdef A\n" * 20_000,
        'modparam("pua", ' + '"a" . ' * 50_000,
        "route {" + "x(" * 100_000,
        "/" * 200_000,
        "!" * 200_000,
    ],
    ids=lambda text: text[:10],
)
def test_hostile_files_take_no_more_time_than_their_length(text: str) -> None:
    began = time.process_time()
    read(text, nothing)
    # A tenth of a second or so: ten at which nobody would wait any longer.
    assert time.process_time() - began < 10.0
