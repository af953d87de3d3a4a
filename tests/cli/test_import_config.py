"""``reginfo import-config``, as an operator uses it."""

from __future__ import annotations

from pathlib import Path

from reginfo.config.config import Config

from .run import run

CFG = """\
#!KAMAILIO
include_file "more.cfg"
listen=udp:LOCAL:5060
modparam("pua_reginfo", "default_domain", "example.com")
modparam("usrloc", "db_mode", 3)
"""


def test_a_file_is_written_and_the_rest_is_listed(tmp_path: Path) -> None:
    (tmp_path / "kamailio.cfg").write_bytes(CFG.encode() + b"# caf\xe9\n")
    (tmp_path / "more.cfg").write_text("alias=example.com\n")
    file, out = str(tmp_path / "kamailio.cfg"), tmp_path / "reginfo.toml"
    done = run("import-config", file, "-A", "LOCAL=192.0.2.1", "-o", str(out))
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == (
        "reginfo: line 5: usrloc db_mode: everything answered with 200 is on disk,"
        " see [store]\n"
        "reginfo: [auth]: nobody was asked for a password, as far as this was read:"
        " set `users`, or `required = false`, or the server listens on loopback"
        " alone\n"
    )
    config = Config.read(out)
    assert config.server.domains == ("example.com",)
    assert [str(a) for a in config.server.listen] == ["udp:192.0.2.1:5060"]
    text = out.read_text("utf-8")
    again = run("import-config", file, "-o", str(out))
    assert again.exit_code == 2
    assert out.read_text("utf-8") == text
    assert run("import-config", file, "-o", str(out), "--overwrite").exit_code == 0
    assert out.read_text("utf-8") != text  # LOCAL was not defined


def test_without_a_file_to_write_it_is_on_standard_output(tmp_path: Path) -> None:
    (tmp_path / "opensips.cfg").write_text('loadmodule "pua_reginfo.so"\nalias=a.b\n')
    done = run("import-config", str(tmp_path / "opensips.cfg"))
    assert not Config.parse(done.stdout).pua_reginfo.publish_reginfo
    done = run("import-config", str(tmp_path / "opensips.cfg"), "--from=kamailio")
    assert Config.parse(done.stdout).pua_reginfo.publish_reginfo


def test_a_file_that_cannot_be_read_or_written_exits_with_1(tmp_path: Path) -> None:
    done = run("import-config", str(tmp_path / "none.cfg"))
    assert done.exit_code == 1
    assert done.stderr.endswith("none.cfg: No such file or directory\n")
    assert run("import-config", str(tmp_path)).exit_code == 1
    (tmp_path / "x.cfg").write_text("alias=a.b")
    out = str(tmp_path / "no" / "x.toml")
    assert run("import-config", str(tmp_path / "x.cfg"), "-o", out).exit_code == 1


def test_a_file_that_is_no_configuration_exits_with_2(tmp_path: Path) -> None:
    (tmp_path / "x.cfg").write_bytes(bytes(range(256)) * 100)
    done = run("import-config", str(tmp_path / "x.cfg"))
    assert done.exit_code == 2
    assert "no configuration of OpenSIPS or Kamailio" in done.stderr
