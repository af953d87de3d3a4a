"""Every example of docs/api.md is what a real server answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from ..interop.phone import DOMAIN, Phone, eventually
from ..interop.server import Server

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")

EXAMPLE = re.compile(
    r"^```http\n(?P<method>[A-Z]+) (?P<path>\S+)\n(?P<body>.*?)```\n\n"
    r"^```json (?P<status>\d+)\n(?P<answer>.*?)^```",
    re.MULTILINE | re.DOTALL,
)

VARIES = {
    "callid", "expires", "received", "notified", "next", "time", "commits", "version",
    "sip", "url", "uri", "contact", "since", "kept_octets",
}  # fmt: skip
"""Fields whose values are another time, a port, or random."""


class Example(NamedTuple):
    method: str
    path: str
    body: str
    status: str
    answer: str


EXAMPLES = [
    Example(*match.groups())
    for match in EXAMPLE.finditer(PAGE.replace("example.com", DOMAIN))
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Phone]]:
    """The server of the page, with a peer and users at both; and who watches there."""
    directory = tmp_path_factory.mktemp("page")
    with ExitStack() as stack:
        b = stack.enter_context(Server(directory / "b", name="b"))
        watch = f'watch = ["sip:alice@{DOMAIN}"]'
        peer = f'name = "b"\nuri = "sip:127.0.0.1:{b.port}"\n{watch}'
        a = stack.enter_context(Server(directory / "a", peers=[peer]))
        there = stack.enter_context(Phone(b.address))
        instance = '+sip.instance="<urn:uuid:f81d4fae>";ob'
        contact = f"<sip:alice@192.0.2.51:5062>;q=0.5;{instance}"
        there.register("alice", expires=600, contacts=[f"Contact: {contact}"])
        here = stack.enter_context(Phone(a.address))
        here.register("bob", expires=600, contacts=["Contact: <sip:bob@192.0.2.50>"])
        assert here.subscribe("bob").status == 200
        here.notify()
        eventually(lambda: a.contacts("alice"))
        yield a.admin, here


def same(example: Any, answer: Any, name: str = "") -> None:
    """Compare what the page says with what the server does, in all that is stable."""
    assert type(example) is type(answer), name
    if isinstance(example, dict):
        assert list(example) == list(answer), name
        for key in example:
            if name == "params" or key not in VARIES or isinstance(example[key], dict):
                same(example[key], answer[key], key)
            else:
                assert type(example[key]) is type(answer[key]), key
    elif isinstance(example, list):
        assert len(example) == len(answer), name
        for one, other in zip(example, answer, strict=True):
            same(one, other, name)
    else:
        assert example == answer, name


def test_the_page_has_its_examples() -> None:
    assert len(EXAMPLES) == PAGE.count("```http\n") == PAGE.count("```json ")
    paths = {example.path.partition("?")[0] for example in EXAMPLES}
    documented = set(re.findall(r"^### [A-Z]+ (/v1/\w+)$", PAGE, re.MULTILINE))
    assert documented <= paths


def test_every_example_is_true(server: tuple[str, Phone]) -> None:
    admin, watcher = server
    with httpx2.Client(base_url=admin, transport=httpx2.HTTPTransport()) as client:
        for example in EXAMPLES:

            def check(example: Example = example) -> bool:
                watcher.receive(0.01)  # and answer, if it is the last NOTIFY
                response = client.request(
                    example.method,
                    example.path,
                    content=example.body,
                    headers={"content-type": "application/json"},
                )
                assert response.status_code == int(example.status), example.path
                same(json.loads(example.answer), response.json())
                return True

            # What acts is done once; and what it acts on takes a moment.
            if example.method != "GET":
                check()
            else:
                eventually(check)
