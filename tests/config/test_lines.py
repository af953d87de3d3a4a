"""A key is found on its line, however TOML lets it be written."""

from __future__ import annotations

import tomllib

import pytest

from reginfo.config.lines import KeyPath, Lines, syntax_error

TEXT = '''\
# comment = 1
top = """
fake = 1
[fake]
"""
[server]
id = 'a # b'
"quoted key" = [ # a list
    "[fake]",    # ]
    """
    fake = 2""",
    { inner = 1 },
]
  [ spaced . out ]
a.b."c.d" = 1
[[peer]]
name = "x"
[peer.match]
address = 1
[[peer]]
name = "y"
match = { address = 2 }
[[peer.rule]]
n = 1
[[peer.rule]]
n = 2
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("server",), 6),
        (("server", "id"), 7),
        (("server", "quoted key"), 8),
        (("server", "missing"), 6),
        (("spaced", "out", "a", "b", "c.d"), 15),
        (("peer", 0), 16),
        (("peer", 0, "name"), 17),
        (("peer", 0, "match"), 18),
        (("peer", 0, "match", "address"), 19),
        (("peer", 1), 20),
        (("peer", 1, "match", "address"), 22),
        (("peer", 1, "rule", 0, "n"), 24),
        (("peer", 1, "rule", 1), 25),
        (("peer", 1, "rule", 1, "n"), 26),
        (("nowhere",), 1),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_key_is_found(path: KeyPath, line: int, end: str) -> None:
    assert Lines(TEXT.replace("\n", end)).at(path) == line


def test_a_long_list_is_read_in_one_go() -> None:
    uris = "".join(f'    "sip:user{n}@example.com",\n' for n in range(20_000))
    lines = Lines(f"[[peer]]\nwatch = [\n{uris}]\nname = 1\n")
    assert lines.at(("peer", 0, "name")) == 20_004


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('[server]\nid = "a\n', 2, "the string that begins at column 6 is not closed"),
        (
            "a = ['x', 'y]\n",
            1,
            "the string that begins at column 11 is not closed",
        ),
        ('a = "b\\"c\n', 1, "the string that begins at column 5 is not closed"),
        ('a = "b" # "c\nd = "e', 2, "the string that begins at column 5 is not closed"),
        (
            '[server]\nid = "a"\nlisten = []\nid = "b"\n',
            4,
            "key id is set twice (first in line 2)",
        ),
        (
            'a = 1\n[server]\na = 1\n"a" = [\n2,\n]\n',
            4,
            "key a is set twice (first in line 3)",
        ),
        ("[a]\nb = 1\n[c]\n[a]\n", 4, "table a is set twice (first in line 1)"),
        ("[a.b]\nc = 1\n[a.b]\n", 3, "table b is set twice (first in line 1)"),
        ("[t]\na.b = 1\na = 2\n", 3, "key a is set twice (first in line 2)"),
        ('a = "“x”\n', 1, "the string that begins at column 5 is not closed"),
        ("[server]\nid = “a”\n", 2, 'use straight quotes (") around text'),
        ("id = ‘a’\n", 1, 'use straight quotes (") around text'),
        ("[server]\nid = a\n", 2, "Invalid value"),
        ("[server\n", 1, "Expected ']' at the end of a table declaration"),
    ],
)
def test_a_syntax_error_comes_with_a_hint(text: str, line: int, message: str) -> None:
    with pytest.raises(tomllib.TOMLDecodeError) as raised:
        tomllib.loads(text)
    assert syntax_error(raised.value, text) == (line, message)
