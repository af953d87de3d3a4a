"""What turns drive is what a server is."""

from __future__ import annotations

import pytest

from reginfo.io.commit import Writer
from reginfo.ledger.application import Application, Committer
from reginfo.server.app import App


@pytest.mark.parametrize(("one", "wanted"), [(App, Application), (Writer, Committer)])
def test_a_server_and_its_writer_have_what_turns_call(one: type, wanted: type) -> None:
    names = {name for name in vars(wanted) if not name.startswith("_")}
    assert names
    # The entrance of events is an attribute of each server.
    assert {name for name in names if not hasattr(one, name)} <= {"handle"}
