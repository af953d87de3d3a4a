"""Users with passwords, in the API."""

from __future__ import annotations

import httpx2
import pytest

from reginfo.web.client import ApiRefusal, Client

from ..cli.admin import served
from .fake import FakeApp


def test_users_are_read_again() -> None:
    """7616-09"""
    with served(FakeApp()) as address, Client(address) as client:
        assert client.reload_users() == 2


def test_what_cannot_be_read_is_an_error() -> None:
    with served(FakeApp(problem="users:1: wrong")) as address:
        with Client(address) as client, pytest.raises(ApiRefusal, match="users:1"):
            client.reload_users()


def test_a_web_page_cannot_send_it() -> None:
    with served(FakeApp()) as address:
        assert httpx2.post(f"{address}/v1/users", content="{}").status_code == 415
