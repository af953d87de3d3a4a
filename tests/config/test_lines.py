"""A key is found on its line, however TOML lets it be written."""

from __future__ import annotations

import pytest

from reginfo.config.lines import KeyPath, Lines

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
