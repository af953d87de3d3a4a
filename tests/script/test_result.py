"""The results of script functions, and which functions expand their strings."""

from __future__ import annotations

import asyncio

import pytest

from reginfo.script.result import (
    ERROR,
    EXPANDED,
    OK,
    Result,
    UnusableText,
    expands,
)
from reginfo.sip.errors import RemoteProtocolError


@pytest.mark.parametrize(
    ("code", "is_true"), [(1, True), (4, True), (0, False), (-1, False), (-2, False)]
)
def test_only_a_positive_code_is_true(code: int, is_true: bool) -> None:
    assert bool(Result(code)) is is_true
    assert Result(code) == code


def test_ok_and_error_are_codes_of_the_modules() -> None:
    assert (OK, ERROR) == (1, -1)
    assert OK and not ERROR


def test_a_result_can_be_awaited_and_waits_for_nothing() -> None:
    async def handler() -> Result:
        return await Result(2)

    result = asyncio.run(handler())
    assert isinstance(result, Result) and result == 2


def test_unusable_text_is_blamed_on_its_sender() -> None:
    error = UnusableText("sip:<")
    assert isinstance(error, RemoteProtocolError) and error.status == 400
    assert isinstance(error, ValueError)  # so that a script can catch it


def test_a_function_that_expands_is_known_with_its_parameters() -> None:
    @expands("uri")
    def a_function_of_this_test(self: object, uri: str, expires: int = 3) -> None: ...

    found = EXPANDED.pop("a_function_of_this_test")
    assert found.order == ("uri", "expires")
    assert found.names == {"uri"}


def test_a_missing_parameter_cannot_be_expanded() -> None:
    with pytest.raises(AssertionError):

        @expands("url")
        def a_function_of_this_test(self: object, uri: str) -> None: ...

    assert "a_function_of_this_test" not in EXPANDED
