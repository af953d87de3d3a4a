"""``reginfo backup`` copies the store of a server that runs."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..interop.phone import Phone
from ..interop.server import Server
from .run import configured, run


def test_the_copy_of_a_running_server_is_started_on(tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with Server(tmp_path / "a") as server:
        with Phone(server.address) as phone:
            phone.register("al", expires=600)
            contact = phone.contact("al")
        config = server.directory / "reginfo.toml"
        done = run("backup", copy, "-c", config)
        assert (done.exit_code, done.stderr) == (0, "")
        size = copy.stat().st_size
        store = server.directory / "reginfo.db"
        assert done.stdout == f"{store} copied to {copy}, {size} octets\n"
        # What happens after it is not in it.
        with Phone(server.address) as phone:
            phone.register("late", expires=600)
    other = tmp_path / "b"
    other.mkdir()
    shutil.copy(copy, other / "reginfo.db")
    with Server(other) as restored:
        assert restored.contacts("al") == {contact}
        assert restored.contacts("late") == set()


def test_a_file_that_is_there_is_replaced_only_if_asked(tmp_path: Path) -> None:
    with Server(tmp_path / "a") as server:
        config = server.directory / "reginfo.toml"
        copy = tmp_path / "copy.db"
        copy.write_text("precious")
        done = run("backup", copy, "-c", config)
        assert done.exit_code == 1
        assert f"reginfo: {copy}: the file exists already" in done.stderr
        assert "(--overwrite replaces it)" in done.stderr
        assert copy.read_text("utf-8") == "precious"
        assert run("backup", copy, "-c", config, "--overwrite").exit_code == 0
        assert copy.read_bytes().startswith(b"SQLite format 3")


def test_a_store_that_is_not_there_is_1(tmp_path: Path) -> None:
    file = configured(tmp_path, '[store]\nurl = "sqlite:none.db"\n')
    done = run("backup", tmp_path / "copy", "-c", file)
    assert done.exit_code == 1
    assert f"{tmp_path}/none.db: No such file or directory" in done.stderr
    assert "--overwrite" not in done.stderr


def test_a_store_in_memory_cannot_be_copied(tmp_path: Path) -> None:
    file = configured(tmp_path, '[store]\nurl = "memory:"\n')
    done = run("backup", tmp_path / "copy", "-c", file)
    assert done.exit_code == 2
    assert "store.url is memory: nothing to copy" in done.stderr
