"""The options shared by several commands, and which of them can be combined."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from reginfo.cli.ending import WRONG
from reginfo.cli.options import admin_of, client_of, read_config, trace_to, uri_of

from .run import SERVER, configured


def refused(capsys: pytest.CaptureFixture[str], ended: typer.Exit) -> str:
    assert ended.exit_code == WRONG
    return capsys.readouterr().err


def test_a_configuration_is_read(tmp_path: Path) -> None:
    assert read_config(configured(tmp_path)).server.id == "a"


@pytest.mark.parametrize("text", ["[server", "[server]\nid = 1\n"])
def test_a_wrong_configuration_ends_the_command(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "reginfo.toml"
    file.write_text(text)
    with pytest.raises(typer.Exit) as ended:
        read_config(file)
    assert str(file) in refused(capsys, ended.value)


def test_a_missing_script_is_reported_only_where_it_is_needed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = configured(tmp_path, 'script = "routes.py"\n')
    assert read_config(file).server.script is not None
    with pytest.raises(typer.Exit) as ended:
        read_config(file, to_serve=True)
    assert "routes.py" in refused(capsys, ended.value)


def test_the_server_is_named_by_its_configuration_or_its_address(
    tmp_path: Path,
) -> None:
    file = configured(tmp_path, 'admin = "127.0.0.1:8080"\n')
    with client_of(file, None) as client:
        assert client.address == "127.0.0.1:8080"
    with client_of(None, "unix:/x") as client:
        assert client.address == "unix:/x"


@pytest.mark.parametrize(
    ("config", "admin", "said"),
    [
        ("reginfo.toml", "127.0.0.1:1", "not both"),
        (None, None, "no reginfo.toml here"),
        (None, "nonsense", "--admin: "),
    ],
)
def test_options_that_name_no_server_are_refused(
    config: str | None, admin: str | None, said: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    with pytest.raises(typer.Exit) as ended:
        client_of(None if config is None else Path(config), admin)
    assert said in refused(capsys, ended.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [("", "server.admin is not set"), ('admin = "127.0.0.1:0"\n', "any free port")],
)
def test_a_server_without_a_known_api_cannot_be_asked(
    line: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended:
        admin_of(configured(tmp_path, line))
    assert said in refused(capsys, ended.value)


def test_a_trace_that_cannot_be_written_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trace_to(None) is None
    with pytest.raises(typer.Exit) as ended:
        trace_to(tmp_path / "missing" / "trace")
    assert "--trace" in refused(capsys, ended.value)


@pytest.mark.parametrize("text", ["alice@example.com", "sip:alice@example.com"])
def test_a_user_may_be_named_without_a_scheme(text: str) -> None:
    assert uri_of(text, "AOR").aor == "sip:alice@example.com"


def test_an_argument_that_is_not_a_user_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(typer.Exit) as ended:
        uri_of("mailto:a@b", "AOR")
    assert "AOR: mailto:a@b" in refused(capsys, ended.value)


def test_the_least_configuration_is_valid(tmp_path: Path) -> None:
    assert read_config(configured(tmp_path)).server.admin is None
    assert SERVER.startswith("[server]")
