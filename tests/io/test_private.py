"""Files that only their owner can read."""

from __future__ import annotations

from pathlib import Path

from reginfo.io.private import private


def test_a_new_file_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    """8760-17"""
    path = tmp_path / "file"
    for text in (b"a", b"b"):
        with open(path, "ab", opener=private) as file:
            file.write(text)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes() == b"ab"
