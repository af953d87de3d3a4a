"""The codec's functions are those of a document."""

from __future__ import annotations

from pathlib import Path

import pytest

from reginfo.reg import xml
from reginfo.reg.document import Reginfo

CAPTURES = [
    path
    for path in sorted((Path(__file__).parents[1] / "captures").rglob("*.sip"))
    if b"<reginfo" in path.read_bytes() and "damaged" not in path.name
]


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.name)
def test_parse_and_serialize_are_those_of_a_document(path: Path) -> None:
    body = path.read_bytes().partition(b"\r\n\r\n")[2]
    document = xml.parse(body)
    assert document == Reginfo.parse(body)
    assert xml.serialize(document) == document.serialize()
    assert xml.parse(document.serialize()) == document
