"""A server in a program is made of a configuration, whatever its form."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from reginfo.config.config import Config, ConfigError
from reginfo.library.server import DEFAULT, Server


def test_a_server_without_a_configuration_is_one_for_tests() -> None:
    config = Config.parse(DEFAULT)
    assert config.server.domains == ("example.com",)
    assert config.store.path is None
    assert config.notifier.min_interval == 0
    assert all(a.host == "127.0.0.1" and not a.port for a in config.server.listen)
    server = Server()
    assert repr(server) == "<reginfo server reginfo>"
    assert server.admin is None


@pytest.mark.parametrize("kind", [str, Path, Config.read])
def test_a_configuration_is_a_path_or_one_that_was_read(
    kind: object, tmp_path: Path
) -> None:
    file = tmp_path / "reginfo.toml"
    file.write_text(DEFAULT.replace('"reginfo"', '"b"'))
    assert callable(kind)
    assert repr(Server(kind(file))) == "<reginfo server b>"


def test_a_wrong_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        Server(tmp_path / "reginfo.toml")


async def leaves_the_collector_alone() -> None:
    before = gc.get_threshold(), gc.get_freeze_count(), gc.isenabled()
    async with Server():
        assert (gc.get_threshold(), gc.get_freeze_count(), gc.isenabled()) == before


def test_the_garbage_collector_of_the_program_around_it_is_left_alone() -> None:
    asyncio.run(leaves_the_collector_alone())
