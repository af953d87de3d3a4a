"""docs/configuration.md has every key, and each of its examples is valid."""

from __future__ import annotations

import re

import msgspec

from reginfo.config.config import Config

from .test_conformance import ROOT, load

configuration = load(ROOT / "tools" / "configuration.py")
PAGE = (ROOT / "docs" / "configuration.md").read_text("utf-8")


def test_the_page_is_what_the_code_makes() -> None:
    assert configuration.page() == PAGE, "run `make configuration`"


def test_the_examples_make_one_valid_configuration() -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    config = Config.parse("\n".join(blocks))
    assert len(blocks) == len(msgspec.structs.fields(Config))
    assert config.peers[0].match is not None


def test_every_key_has_a_meaning() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*) \|$", PAGE, re.MULTILINE)
    assert len(rows) > 40
    for key, kind, default, meaning in rows:
        assert kind and default and meaning.endswith("."), key
