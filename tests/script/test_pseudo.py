"""Pseudo-variables are replaced, and what is none of them is found before it is met."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reginfo.script.pseudo import VARIABLES, check, expand


def shown(name: str, argument: str) -> str:
    return f"<{name}:{argument}>" if argument else f"<{name}>"


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("", ""),
        ("sip:bob@example.com", "sip:bob@example.com"),
        ("$ru", "<ru>"),
        ("$tU@$td", "<tU>@<td>"),
        ("$hdr(P-Associated-URI)", "<hdr:P-Associated-URI>"),
        ("$hdr( Event )!", "<hdr:Event>!"),
        ("$var(a b)", "<var:a b>"),
        ("$(rU)x", "<rU>x"),
        ("$(hdr(To))", "<hdr:To>"),
        ("$$ru costs 5$$", "$ru costs 5$"),
        ("$ci$cs", "<ci><cs>"),
        ("$rU1", "<rU>1"),
    ],
)
def test_a_string_is_what_it_says(text: str, expanded: str) -> None:
    check(text)
    assert expand(text, shown) == expanded


@pytest.mark.parametrize("name", VARIABLES)
def test_every_name_is_known(name: str) -> None:
    assert expand(f"${name}", shown) == f"<{name}>"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("$zz", r"^\$zz: no such pseudo-variable; there are \$ru "),
        ("$rUx", r"^\$rUx: no such"),
        ("a $ b", r"^\$ b: no such"),
        ("5$", r"^\$: no such"),
        ("$hdr", r"^\$hdr needs a name"),
        ("$hdr()", r"^\$hdr needs a name"),
        ("$var( )", r"^\$var needs a name"),
        ("$ru(x)", r"^\$ru takes no argument"),
        ("$(ru", r"no such"),
        ("$ru $zz", r"^\$zz: no such"),
    ],
)
def test_what_is_none_is_found_without_a_message(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        check(text)
    with pytest.raises(ValueError, match=wrong):
        expand(text, shown)


@given(st.text(alphabet="$ruhd()v a\n", max_size=30))
def test_a_string_that_passes_can_be_expanded_and_no_other(text: str) -> None:
    try:
        check(text)
    except ValueError:
        with pytest.raises(ValueError):
            expand(text, shown)
    else:
        expand(text, shown)


@given(st.text())
def test_text_with_its_dollars_doubled_is_itself(text: str) -> None:
    assert expand(text.replace("$", "$$"), shown) == text
