"""What a request demands that its server understands (RFC 3261 §8.2.2.3, §8.2.3)."""

from __future__ import annotations

import pytest

from reginfo.sip.demands import check_extensions, understands_body
from reginfo.sip.errors import Refusal

from .messages import parsed, request

TYPE = "application/reginfo+xml"
METHODS = ["REGISTER", "SUBSCRIBE", "NOTIFY", "PUBLISH", "OPTIONS", "MESSAGE"]


def refused(method: str, *lines: str, body: bytes = b"") -> Refusal:
    with pytest.raises(Refusal) as caught:
        message = parsed(request(method, more=lines, body=body))
        check_extensions(message, {"path"})
        understands_body(message, TYPE)
    return caught.value


@pytest.mark.parametrize("method", METHODS)
def test_an_extension_that_is_not_supported_is_refused(method: str) -> None:
    """3261-70: 420, and Unsupported names each that is not supported"""
    refusal = refused(method, "Require: path, x-one", "Require: X-Two")
    assert refusal.status == 420
    assert refusal.headers == (("Unsupported", "x-one, X-Two"),)


def test_extensions_that_are_supported_are_no_matter() -> None:
    """3261-70: option tags have no case"""
    check_extensions(parsed(request(more=("Require: PATH",))), {"path"})
    check_extensions(parsed(request()))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Type: text/plain",),
        ("Content-Type: application/reginfo",),
        (
            "Content-Type: text/plain",
            "Content-Disposition: session",
        ),
        (
            "Content-Type: text/plain",
            "Content-Disposition: render;handling=required",
        ),
        (
            "Content-Type: text/plain",
            'Content-Disposition: render;handling="',
        ),
        (),
    ],
)
def test_a_body_of_another_type_is_refused(method: str, lines: tuple[str, ...]) -> None:
    """3261-71: 415, and Accept says what is understood"""
    refusal = refused(method, *lines, body=b"x")
    assert (refusal.status, refusal.headers) == (415, (("Accept", TYPE),))


@pytest.mark.parametrize("name", ["Content-Encoding", "e"])
@pytest.mark.parametrize("encoding", ["gzip", "identity, x-secret", "GZIP"])
def test_an_encoded_body_is_refused(name: str, encoding: str) -> None:
    """3261-72: 415, and Accept-Encoding says that there is none"""
    lines = f"Content-Type: {TYPE}", f"{name}: {encoding}"
    refusal = refused("NOTIFY", *lines, body=b"x")
    assert refusal.status == 415
    assert refusal.headers == (("Accept-Encoding", "identity"),)


def test_a_body_where_none_has_a_meaning_is_refused() -> None:
    """3261-71: §20.1, an empty Accept accepts nothing"""
    message = parsed(request(more=(f"Content-Type: {TYPE}",), body=b"x"))
    with pytest.raises(Refusal) as caught:
        understands_body(message, None)
    assert (caught.value.status, caught.value.headers) == (415, (("Accept", ""),))


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Type: text/plain",),
        (
            f"Content-Type: {TYPE}",
            "Content-Encoding: gzip",
        ),
    ],
)
@pytest.mark.parametrize(
    "disposition",
    [
        "render;handling=optional",
        "x ; foo=bar ;HANDLING = Optional",
        "render;handling=optional;foo=bar",
    ],
)
def test_an_optional_body_is_ignored(lines: tuple[str, ...], disposition: str) -> None:
    """3261-73: §20.11"""
    message = parsed(
        request(
            "NOTIFY", more=(*lines, f"Content-Disposition: {disposition}"), body=b"x"
        )
    )
    assert not understands_body(message, TYPE)


@pytest.mark.parametrize(
    "content_type", [TYPE, TYPE.upper(), f"{TYPE};charset=utf-8", f" {TYPE} ; q=1"]
)
def test_a_body_of_the_type_is_read(content_type: str) -> None:
    """3261-71: media types have no case, and parameters do not count"""
    lines = f"Content-Type: {content_type}", "Content-Encoding: Identity"
    assert understands_body(parsed(request("PUBLISH", more=lines, body=b"x")), TYPE)


def test_without_a_body_its_header_fields_do_not_count() -> None:
    """3261-71"""
    lines = "Content-Type: text/plain", "Content-Encoding: gzip"
    assert not understands_body(parsed(request("NOTIFY", more=lines)), TYPE)
