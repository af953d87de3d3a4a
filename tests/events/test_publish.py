"""A publication is kept alive, by one PUBLISH at a time (RFC 3903 §4)."""

from __future__ import annotations

import msgspec
import pytest

from reginfo.events.publish import (
    LAST_WORDS,
    LONGEST_ASKED,
    Operation,
    Outcome,
    Publication,
    may_have_arrived,
)
from reginfo.events.states import PublicationState
from reginfo.events.waiting import LONGEST_BACK_OFF
from reginfo.sip.message import Response

AOR = "sip:alice@example.com"
NOW = 100.0


def middle() -> float:
    return 0.5


def new() -> Publication:
    return Publication(uri=AOR, call_id="c", tag="t")


def answer(status: int, **headers: str) -> Response:
    named = {name.replace("_", "-"): [value] for name, value in headers.items()}
    return Response(status, "", named)


def ok(etag: str, expires: int = 3600) -> Response:
    return answer(200, SIP_ETag=etag, Expires=str(expires))


def published(etag: str = "e1", expires: int = 3600) -> Publication:
    publication = new()
    assert publication.next(NOW) is Operation.INITIAL
    publication.draft("", expires, b"x")
    outcome = publication.receive_response(ok(etag, expires), expires, NOW, middle)
    assert outcome is Outcome.PUBLISHED
    return publication


def head(publication: Publication, expires: int = 600) -> list[str]:
    draft = publication.draft("Event: reg\r\n", expires, b"")
    return draft.head.split("\r\n")


def test_the_first_is_initial_and_says_what_an_initial_one_says() -> None:
    """3903-01, -02, -13: no To tag, no Contact, no SIP-If-Match."""
    publication = new()
    assert publication.next(NOW) is Operation.INITIAL
    draft = publication.draft("Event: reg\r\n", 600, b"body")
    assert (draft.method, draft.uri, draft.body) == ("PUBLISH", AOR, b"body")
    assert draft.head == (
        "Max-Forwards: 70\r\n"
        f"From: <{AOR}>;tag=t\r\n"
        f"To: <{AOR}>\r\n"
        "Call-ID: c\r\n"
        "CSeq: 1 PUBLISH\r\n"
        "Expires: 600\r\n"
        "Event: reg\r\n"
    )


def test_a_change_modifies_what_the_last_etag_names() -> None:
    """3903-02, -03"""
    publication = published("e7")
    publication.change(True)
    assert publication.next(NOW) is Operation.MODIFY
    lines = head(publication)
    assert "SIP-If-Match: e7" in lines
    assert "CSeq: 2 PUBLISH" in lines


def test_changes_while_one_is_unanswered_are_merged() -> None:
    """3903-04"""
    publication = new()
    assert publication.next(NOW) is Operation.INITIAL
    for _ in range(50):
        publication.change(True)
        assert publication.next(NOW) is None
    publication.receive_response(ok("e1"), 600, NOW, middle)
    assert publication.next(NOW) is Operation.MODIFY
    publication.receive_response(ok("e2"), 600, NOW, middle)
    assert publication.next(NOW) is None


def test_it_is_refreshed_well_before_its_end_though_nothing_changes() -> None:
    """3903-05"""
    publication = published(expires=3600)
    assert publication.next(NOW) is None
    at = publication.timer_at
    assert at == NOW + 3600 * 0.6
    assert publication.next(at - 0.1) is None
    assert publication.next(at) is Operation.REFRESH
    assert "SIP-If-Match: e1" in head(publication)


def test_the_time_granted_counts_and_not_the_time_asked() -> None:
    """3903-05"""
    publication = new()
    publication.next(NOW)
    publication.receive_response(ok("e1", 100), 3600, NOW, middle)
    publication.next(NOW)
    assert publication.expires_at == NOW + 100
    assert publication.timer_at == NOW + 60


def test_a_server_without_expires_grants_the_requested_interval() -> None:
    publication = new()
    publication.next(NOW)
    publication.receive_response(answer(200, SIP_ETag="e"), 900, NOW, middle)
    assert publication.expires_at == NOW + 900


def test_without_a_tag_it_is_published_anew_when_it_would_be_refreshed() -> None:
    """RFC 3903 §11.3.1: there is a SIP-ETag in each 2xx; but who leaves it out..."""
    publication = new()
    for now in (NOW, NOW + 60):
        assert publication.next(now) is Operation.INITIAL
        assert not any(line.startswith("SIP-If-Match") for line in head(publication))
        publication.receive_response(answer(200, Expires="100"), 100, now, middle)
        assert publication.next(now) is None
        assert publication.timer_at == pytest.approx(now + 60)
        assert not publication.is_over


def test_what_goes_that_was_published_without_a_tag_is_told_to_have_gone() -> None:
    publication = new()
    publication.next(NOW)
    head(publication)
    publication.receive_response(answer(200, Expires="100"), 100, NOW, middle)
    publication.change(False)
    assert publication.next(NOW + 60) is Operation.INITIAL
    head(publication)
    publication.receive_response(answer(200, Expires="60"), 60, NOW + 60, middle)
    assert publication.next(NOW + 60) is None
    assert publication.is_over


def test_a_server_that_grants_no_time_is_asked_with_a_back_off() -> None:
    publication, now, pauses = new(), NOW, []
    for number in range(4):
        assert publication.next(now) is Operation.INITIAL
        head(publication)
        publication.receive_response(ok(f"e{number}", 0), 600, now, middle)
        assert publication.next(now) is None
        assert publication.timer_at is not None
        pauses.append(publication.timer_at - now)
        now = publication.timer_at
    assert pauses == [1.5, 3.0, 6.0, 12.0]
    publication.next(now)
    head(publication)
    publication.receive_response(ok("e", 600), 600, now, middle)
    assert publication.failures == 0


@pytest.mark.parametrize("granted", [601, 86_400, 2**32 - 1])
def test_no_more_is_granted_than_was_asked(granted: int) -> None:
    """3903-15: RFC 3903 §6, "MUST NOT" be longer than was asked."""
    publication = new()
    publication.next(NOW)
    publication.receive_response(ok("e", granted), 600, NOW, middle)
    publication.next(NOW)
    assert publication.expires_at == NOW + 600
    assert publication.timer_at == NOW + 360


@pytest.mark.parametrize("granted", [0, 1])
def test_a_grant_that_cannot_be_refreshed_is_none(granted: int) -> None:
    publication = new()
    publication.next(NOW)
    publication.receive_response(ok("e", granted), 600, NOW, middle)
    publication.next(NOW)
    assert publication.timer_at == NOW + 1.5


def test_refreshes_are_a_second_apart_at_least() -> None:
    publication = new()
    publication.next(NOW)
    publication.receive_response(ok("e", 1), 600, NOW, lambda: 0.0)
    assert publication.not_before == NOW + 1.0
    publication = new()
    publication.next(NOW)
    publication.receive_response(ok("e", 2), 600, NOW, lambda: 0.0)
    assert publication.refresh_at == NOW + 1.0


def test_refreshes_are_spread_over_a_fifth_of_the_time() -> None:
    """3903-05: from half of it on, so that not all of them come at once."""
    at = []
    for chance in (0.0, 0.5, 1.0):
        publication = new()
        publication.next(NOW)

        def jitter(chance: float = chance) -> float:
            return chance

        publication.receive_response(ok("e", 1000), 1000, NOW, jitter)
        at.append(publication.refresh_at - NOW)
    assert at == [500.0, 600.0, 700.0]


@pytest.mark.parametrize(
    ("retry_after", "seconds"), [(0, 1), (3600, 3600), (3601, 3600), (2**32 - 1, 3600)]
)
def test_a_server_cannot_keep_us_away_for_years(retry_after: int, seconds: int) -> None:
    """6665-85, for PUBLISH"""
    publication = new()
    publication.next(NOW)
    busy = answer(503, Retry_After=str(retry_after))
    publication.receive_response(busy, 600, NOW, middle)
    assert publication.not_before == NOW + seconds


def test_a_423_cannot_make_us_ask_for_years() -> None:
    publication = new()
    publication.next(NOW)
    refused = answer(423, Min_Expires=str(2**32 - 1))
    publication.receive_response(refused, 60, NOW, middle)
    publication.next(NOW)
    assert f"Expires: {LONGEST_ASKED}" in head(publication, expires=60)


@pytest.mark.parametrize("status", [408, 500, 504])
def test_a_failure_that_says_nothing_of_the_server_leaves_us_in_doubt(
    status: int,
) -> None:
    """3903-16: a proxy says 408 of a server that may well have got the PUBLISH."""
    publication = new()
    publication.next(NOW)
    publication.draft("", 600, b"x")
    publication.receive_response(answer(status), 600, NOW, middle)
    publication.change(False)
    assert publication.next(NOW + 5) is Operation.INITIAL
    publication = new()
    publication.next(NOW)
    publication.draft("", 600, b"x")
    publication.receive_response(answer(403), 600, NOW, middle)
    publication.change(False)
    assert publication.next(NOW + 5) is None
    assert publication.is_over


def test_a_refresh_may_carry_the_state() -> None:
    """For a server that forgets the body at a refresh."""
    publication = published()
    assert publication.next(NOW + 3000, bodiless=False) is Operation.MODIFY


def test_one_with_a_tag_counts_as_published() -> None:
    publication = Publication(uri=AOR, call_id="c", tag="t", etag="e", expires_at=NOW)
    assert publication.state is PublicationState.PUBLISHED


def test_a_dead_tag_is_forgotten_and_one_fresh_publish_follows() -> None:
    """3903-06"""
    publication = published("old")
    publication.change(True)
    publication.next(NOW)
    outcome = publication.receive_response(answer(412), 600, NOW, middle)
    assert outcome is Outcome.AGAIN
    assert publication.next(NOW) is Operation.INITIAL
    assert not [line for line in head(publication) if "If-Match" in line]


def test_a_412_to_an_initial_publish_makes_no_loop() -> None:
    """3903-06"""
    publication = new()
    publication.next(NOW)
    publication.receive_response(answer(412), 600, NOW, middle)
    assert publication.next(NOW) is None
    assert publication.timer_at is not None and publication.timer_at > NOW


def test_a_dead_tag_of_what_is_gone_ends_it() -> None:
    """3903-06: only if the state is still relevant."""
    publication = published()
    publication.change(False)
    assert publication.next(NOW) is Operation.MODIFY
    outcome = publication.receive_response(answer(412), 600, NOW, middle)
    assert outcome is Outcome.REMOVED
    assert publication.is_over
    assert publication.next(NOW) is None


def test_an_interval_that_is_too_short_is_requested_again_with_the_minimum() -> None:
    """3903-07"""
    publication = new()
    publication.next(NOW)
    refused = answer(423, Min_Expires="1800")
    assert publication.receive_response(refused, 60, NOW, middle) is Outcome.AGAIN
    assert publication.next(NOW) is Operation.INITIAL
    assert "Expires: 1800" in head(publication, expires=60)


def test_a_423_that_names_no_minimum_asks_for_an_hour() -> None:
    publication = new()
    publication.next(NOW)
    publication.receive_response(answer(423), 60, NOW, middle)
    assert publication.next(NOW) is Operation.INITIAL
    assert "Expires: 3600" in head(publication, expires=60)


def test_a_423_that_teaches_nothing_makes_no_loop() -> None:
    publication = new()
    for _ in range(2):
        publication.next(publication.not_before or NOW)
        refused = answer(423, Min_Expires="1800")
        publication.receive_response(refused, 60, NOW, middle)
    assert publication.next(NOW) is None


@pytest.mark.parametrize("status", [405, 415, 489, 501])
def test_a_server_that_refuses_all_publications_is_left_alone(status: int) -> None:
    """3903-08"""
    publication = new()
    publication.next(NOW)
    outcome = publication.receive_response(answer(status), 600, NOW, middle)
    assert outcome is Outcome.REFUSED
    assert publication.next(NOW) is None
    assert publication.timer_at == NOW + LONGEST_BACK_OFF


@pytest.mark.parametrize(
    ("retry_after", "seconds"), [("17", 17), ("17;duration=60", 17), ("1", 1), ("0", 1)]
)
def test_a_server_that_is_busy_is_given_the_time_it_asks_for(
    retry_after: str, seconds: int
) -> None:
    """3903-08"""
    publication = new()
    publication.next(NOW)
    publication.receive_response(answer(503, Retry_After=retry_after), 600, NOW, middle)
    assert publication.next(NOW) is None
    assert publication.timer_at == NOW + seconds
    assert publication.next(NOW + seconds) is Operation.INITIAL


@pytest.mark.parametrize("status", [300, 408, 500, 503])
def test_another_failure_is_tried_again_after_a_pause(status: int) -> None:
    publication = new()
    publication.next(NOW)
    outcome = publication.receive_response(answer(status), 600, NOW, middle)
    assert outcome is Outcome.AGAIN
    assert publication.next(NOW) is None
    assert publication.timer_at == NOW + 1.5  # half of 2 s to all of it, by chance
    publication.timer_due(NOW + 1.5)
    assert publication.timer_at is None
    assert publication.next(NOW + 1.5) is Operation.INITIAL


def test_without_an_answer_the_old_tag_is_tried_again() -> None:
    """3903-09"""
    publication = published("e1")
    publication.change(True)
    publication.next(NOW)
    publication.receive_failure(NOW, middle)
    assert publication.next(NOW) is None
    at = publication.timer_at
    assert at is not None
    assert publication.next(at) is Operation.MODIFY
    assert "SIP-If-Match: e1" in head(publication)


def test_what_may_have_arrived_is_told_to_have_gone_though_no_answer_came() -> None:
    """3903-09: by a publication of its own, for its tag was never heard."""
    publication = new()
    publication.next(NOW)
    publication.draft("", 600, b"x")
    publication.change(False)
    publication.receive_failure(NOW + 32, middle)
    publication.next(NOW + 32)
    assert publication.timer_at == publication.not_before
    assert not publication.is_over
    assert publication.next(publication.not_before) is Operation.INITIAL
    publication.receive_response(ok("e1"), 60, NOW + 40, middle)
    assert publication.next(NOW + 40 + LAST_WORDS) is Operation.REMOVE


def test_a_dead_tag_does_not_end_what_may_have_arrived_by_another() -> None:
    """3903-06, -09: the server holds what it answered, and we did not hear."""
    publication = published("e1")
    publication.change(True)
    assert publication.next(NOW) is Operation.MODIFY
    publication.draft("", 600, b"x")
    publication.receive_failure(NOW, middle)
    publication.change(False)
    assert publication.next(NOW + 5) is Operation.MODIFY
    outcome = publication.receive_response(answer(412), 60, NOW + 5, middle)
    assert outcome is Outcome.AGAIN
    assert publication.next(NOW + 5) is Operation.INITIAL
    # That one is answered, so there is nothing more to be in doubt about.
    publication.receive_response(ok("e3"), 60, NOW + 5, middle)
    publication.change(False)
    assert publication.next(NOW + 6) is Operation.MODIFY
    outcome = publication.receive_response(answer(412), 60, NOW + 6, middle)
    assert outcome is Outcome.REMOVED
    assert publication.next(NOW + 6) is None
    assert publication.is_over


def test_a_server_that_stays_away_has_forgotten_it_by_itself() -> None:
    publication = new()
    publication.next(NOW)
    publication.draft("", 600, b"x")
    publication.change(False)
    publication.receive_failure(NOW, middle)
    for now in (NOW + 5, NOW + 599):
        assert publication.next(now) is Operation.INITIAL
        publication.draft("", 60, b"x")
        publication.receive_failure(now, middle)
    assert publication.next(NOW + 599 + 60) is None
    assert publication.is_over


def test_a_removal_without_an_answer_is_sent_again() -> None:
    publication = published()
    publication.change(False)
    publication.next(NOW)
    publication.receive_response(ok("e2"), 60, NOW, middle)
    assert publication.next(NOW + 2) is Operation.REMOVE
    publication.receive_failure(NOW + 2, middle)
    assert publication.next(NOW + 12) is Operation.REMOVE


def test_pauses_grow_up_to_a_limit() -> None:
    publication = new()
    pauses = []
    now = NOW
    for _ in range(12):
        assert publication.next(now) is Operation.INITIAL
        publication.receive_failure(now, lambda: 1.0)
        pauses.append(publication.not_before - now)
        now = publication.not_before
    assert pauses[:3] == [2.0, 4.0, 8.0]
    assert pauses[-1] == LONGEST_BACK_OFF
    publication.next(now)
    publication.receive_response(ok("e1"), 600, now, middle)
    publication.receive_failure(now, lambda: 1.0)
    assert publication.not_before == now + 2.0


def test_what_is_gone_is_told_first_and_removed_a_little_later() -> None:
    """3903-10"""
    publication = published()
    publication.change(False)
    assert publication.next(NOW) is Operation.MODIFY
    publication.receive_response(ok("e2"), 60, NOW, middle)
    assert publication.next(NOW) is None
    assert publication.timer_at == NOW + LAST_WORDS
    assert publication.next(NOW + LAST_WORDS) is Operation.REMOVE
    assert "Expires: 0" in head(publication)
    outcome = publication.receive_response(answer(200), 60, NOW, middle)
    assert outcome is Outcome.REMOVED
    assert publication.is_over


def test_a_user_that_returns_in_time_is_not_removed() -> None:
    publication = published()
    publication.change(False)
    publication.next(NOW)
    publication.receive_response(ok("e2"), 60, NOW, middle)
    publication.change(True)
    assert publication.next(NOW + 0.5) is Operation.MODIFY
    publication.receive_response(ok("e3"), 600, NOW + 0.6, middle)
    assert publication.next(NOW + 5) is None


def test_a_refused_removal_is_left_to_expire() -> None:
    publication = published()
    publication.change(False)
    publication.next(NOW)
    publication.receive_response(ok("e2"), 60, NOW, middle)
    publication.next(NOW + 2)
    outcome = publication.receive_response(answer(500), 60, NOW + 2, middle)
    assert outcome is Outcome.REMOVED
    assert publication.is_over


def test_a_removal_waits_for_a_server_that_is_busy() -> None:
    publication = published()
    publication.change(False)
    publication.next(NOW)
    publication.receive_response(ok("e2"), 60, NOW, middle)
    assert publication.next(NOW + 2) is Operation.REMOVE
    busy = answer(503, Retry_After="5")
    outcome = publication.receive_response(busy, 60, NOW + 2, middle)
    assert outcome is Outcome.AGAIN
    assert publication.next(NOW + 2) is None
    assert publication.next(NOW + 7) is Operation.REMOVE


def test_a_contact_that_never_existed_is_not_published() -> None:
    publication = new()
    publication.change(False)
    assert publication.next(NOW) is None
    assert publication.is_over


@pytest.mark.parametrize("after", [60, 61])
def test_state_that_the_server_has_forgotten_is_published_again(after: int) -> None:
    publication = published(expires=60)
    assert publication.next(NOW + after) is Operation.INITIAL


def test_a_provisional_answer_is_none() -> None:
    publication = new()
    publication.next(NOW)
    assert publication.receive_response(answer(100), 60, NOW, middle) is None
    assert publication.operation is Operation.INITIAL


def test_a_publication_survives_being_written_and_read() -> None:
    """3903-12"""
    publication = published("e9")
    stored = msgspec.msgpack.encode(publication)
    loaded = msgspec.msgpack.decode(stored, type=Publication)
    assert loaded == publication
    loaded.change(True)
    assert loaded.next(NOW) is Operation.MODIFY
    assert "SIP-If-Match: e9" in head(loaded)


@pytest.mark.parametrize("status", [408, 500, 502, 504, 506, 514, 580, 599])
def test_these_failures_leave_open_whether_the_publish_arrived(status: int) -> None:
    """A failure further on does not say how far the PUBLISH got (RFC 3261 §21.5)."""
    assert may_have_arrived(status)


@pytest.mark.parametrize("status", [400, 412, 499, 501, 503, 505, 513, 600, 601, 603])
def test_these_failures_say_that_the_publish_changed_nothing(status: int) -> None:
    """These are sent before anything is done, 503 too (RFC 3261 §21.5.4)."""
    assert not may_have_arrived(status)


@pytest.mark.parametrize("status", [200, 404])
def test_after_its_removal_the_first_publish_is_initial_again(status: int) -> None:
    """A publication that was removed is published again without a tag (3903-02)."""
    publication = published()
    for _ in range(3):
        publication.change(True)
        publication.next(NOW)
        publication.receive_response(answer(500), 3600, NOW, middle)
        publication.not_before = NOW
    assert publication.failures == 3
    publication.change(False)
    publication.next(NOW)
    publication.draft("", 3600, b"")
    publication.receive_response(ok("e2"), 3600, NOW, middle)
    late = publication.remove_at
    assert publication.next(late) is Operation.REMOVE
    removed = answer(status)
    assert publication.receive_response(removed, 0, late, middle) is Outcome.REMOVED
    assert publication.etag is None
    publication.change(True)
    assert publication.next(late) is Operation.INITIAL
    lines = head(publication)
    assert not any(line.startswith("SIP-If-Match") for line in lines)


def test_a_removal_that_is_accepted_ends_the_back_off() -> None:
    """A failure after it is the first one again."""
    publication = published()
    publication.change(False)
    publication.next(NOW)
    publication.draft("", 3600, b"")
    publication.receive_response(ok("e2"), 3600, NOW, middle)
    late = publication.remove_at
    assert publication.next(late) is Operation.REMOVE
    publication.receive_response(answer(503), 0, late, middle)
    again = publication.not_before
    assert again - late == pytest.approx(1.5)
    assert publication.next(again) is Operation.REMOVE
    publication.receive_response(answer(200), 0, again, middle)
    publication.change(True)
    assert publication.next(again) is Operation.INITIAL
    publication.receive_response(answer(500), 3600, again, middle)
    assert publication.not_before - again == pytest.approx(1.5)


def test_what_has_a_tag_is_not_unheard() -> None:
    assert published().unheard_until == 0.0


@pytest.mark.parametrize("after", [-0.5, 0.0, 0.5])
def test_a_dead_tag_ends_what_is_gone_once_the_unheard_state_has_expired(
    after: float,
) -> None:
    publication = published()
    publication.unheard_until = NOW + 10
    publication.change(False)
    now = NOW + 10 + after
    assert publication.next(now) is Operation.MODIFY
    outcome = publication.receive_response(answer(412), 3600, now, middle)
    assert outcome is (Outcome.AGAIN if after < 0 else Outcome.REMOVED)
