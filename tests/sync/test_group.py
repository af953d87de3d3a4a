"""Which users are in a group."""

from __future__ import annotations

import pytest

from reginfo.config.sections import GroupSection
from reginfo.location.place import Aor
from reginfo.sync.group import Group

SECTION = GroupSection(uri="sip:All@Example.com", domains=("example.com", "b.example"))
GROUP = Group(SECTION, Aor("sip:All@example.com"), "location")


@pytest.mark.parametrize(
    ("aor", "expected"),
    [
        ("sip:alice@example.com", True),
        ("sips:alice@b.example", True),
        ("sip:a@b@example.com", True),
        ("sip:example.com", True),
        ("tel:+15551234", True),
        ("sip:alice@example.org", False),
        ("sip:alice@sub.example.com", False),
        ("sip:example.org", False),
        ("", False),
    ],
)
def test_a_group_has_the_users_of_its_domains(aor: str, expected: bool) -> None:
    assert GROUP.covers(aor) is expected


def test_another_table_is_another_definition() -> None:
    other = Group(SECTION, GROUP.aor, "other")
    assert other.definition != GROUP.definition
    assert (GROUP.uri, GROUP.admission.allow) == ("sip:All@Example.com", ("peers",))
