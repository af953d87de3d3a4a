"""Users in the documents of others have the names that their records have here."""

from __future__ import annotations

import pytest

from reginfo.location.place import Name, as_written
from reginfo.reg.document import (
    Contact,
    ContactEvent,
    Reginfo,
    Registration,
    RegistrationState,
    contact_id,
    registration_id,
)
from reginfo.roles.naming import named
from reginfo.routing.domains import Domains
from reginfo.sip.uri import Uri

DOMAINS = ["example.com", "example.net"]
SHARED = Domains(DOMAINS, use_domain=False, default_domain="example.com").aor
APART = Domains(DOMAINS, use_domain=True, default_domain=None).aor


def of(*aors: str) -> Reginfo:
    """A document in which each of these users has a contact."""
    registrations = tuple(
        Registration(
            aor=aor,
            id=registration_id(aor),
            state=RegistrationState.ACTIVE,
            contacts=(
                Contact(
                    id=contact_id(aor, f"sip:{number}@192.0.2.60"),
                    uri=f"sip:{number}@192.0.2.60",
                    event=ContactEvent.REGISTERED,
                ),
            ),
        )
        for number, aor in enumerate(aors)
    )
    return Reginfo(version=3, full=True, registrations=registrations)


def contacts(document: Reginfo) -> dict[str, list[str]]:
    return {
        one.aor: [contact.uri for contact in one.contacts]
        for one in document.registrations
    }


@pytest.mark.parametrize(
    ("aor", "kept"),
    [
        ("sip:bob@example.net", "sip:bob@example.com"),
        ("sip:bob@example.com", "sip:bob@example.com"),
        ("sip:example.net", "sip:example.com"),
        ("sip:bob@example.org", "sip:bob@example.org"),
        ("tel:+15550100", "tel:+15550100"),
    ],
)
def test_a_user_of_domains_that_share_them_has_one_name(aor: str, kept: str) -> None:
    document = named(of(aor), SHARED, "p")
    assert contacts(document) == {kept: ["sip:0@192.0.2.60"]}
    assert (document.version, document.full) == (3, True)


@pytest.mark.parametrize("aor", ["mailto:bob@example.net", "nonsense", ""])
@pytest.mark.parametrize("name", [APART, SHARED, as_written])
def test_a_registration_that_names_no_user_is_left_out(aor: str, name: Name) -> None:
    assert contacts(named(of(aor, "tel:+1"), name, "p")) == {
        "tel:+1": ["sip:1@192.0.2.60"]
    }


def test_who_is_listed_by_several_names_is_one_user() -> None:
    document = named(
        of(*(f"sip:bob@{name}" for name in DOMAINS), "tel:+1"), SHARED, "p"
    )
    assert contacts(document) == {
        "sip:bob@example.com": ["sip:0@192.0.2.60", "sip:1@192.0.2.60"],
        "tel:+1": ["sip:2@192.0.2.60"],
    }


@pytest.mark.parametrize("name", [APART, as_written])
def test_where_each_domain_has_its_own_users_they_stay_as_they_are(name: Name) -> None:
    document = of("sip:bob@example.net", "sip:bob@example.com")
    assert named(document, name, "p") == document


def test_as_written_is_the_address_of_record_of_the_uri() -> None:
    uri = Uri.parse("sip:bob@Example.net;transport=tcp")
    assert as_written(uri) == "sip:bob@example.net"
