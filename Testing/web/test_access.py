"""Who may talk to the page, rule by rule."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from ClamSegWeb.access import holds_key, is_own, new_key

SOCKET = {"Upgrade": "websocket", "Connection": "Upgrade"}


@pytest.mark.parametrize(
    ("method", "headers", "allowed"),
    [
        ("GET", {"Host": "127.0.0.1:8000"}, True),
        ("GET", {"Host": "localhost:8000"}, True),
        ("GET", {"Host": "localhost"}, True),
        ("GET", {"Host": "[::1]:8000"}, True),
        ("GET", {"Host": "127.0.0.1:8000", "Origin": "http://127.0.0.1:8000"}, True),
        ("POST", {"Host": "127.0.0.1:8000", "Origin": "http://127.0.0.1:8000"}, True),
        ("GET", {"Host": "127.0.0.1:8000", "Origin": "http://127.0.0.1:8000", **SOCKET}, True),
        ("GET", {}, False),
        ("GET", {"Host": "evil.example"}, False),
        ("GET", {"Host": "evil.example:8000"}, False),
        ("GET", {"Host": "127.0.0.1.evil.example:8000"}, False),
        ("GET", {"Host": "127.0.0.1@evil.example"}, False),
        ("GET", {"Host": "127.0.0.1:8000", "Origin": "http://127.0.0.1:8001"}, False),
        ("GET", {"Host": "127.0.0.1:8000", "Origin": "http://localhost:8000"}, False),
        ("GET", {"Host": "127.0.0.1:8000", "Origin": "https://127.0.0.1:8000"}, False),
        ("GET", {"Host": "127.0.0.1:8000", "Origin": "null"}, False),
        ("GET", {"Host": "127.0.0.1:8000", **SOCKET}, False),
        ("POST", {"Host": "127.0.0.1:8000"}, False),
        ("POST", {"Host": "127.0.0.1:8000", "Origin": "http://evil.example"}, False),
    ],
)  # fmt: skip
def test_only_the_page_itself_and_no_page_at_all_may_ask(method: str, headers: dict[str, str], allowed: bool) -> None:
    assert is_own(make_mocked_request(method, "/index.html", headers=headers)) is allowed


@pytest.mark.parametrize(
    ("path", "headers", "holds"),
    [
        ("/x?secret=right-key", {}, True),
        ("/x", {"X-ClamSeg-Key": "right-key"}, True),
        ("/x", {}, False),
        ("/x?secret=", {}, False),
        ("/x?secret=right-ke", {}, False),
        ("/x?secret=right-key1", {}, False),
        ("/x?secret=r%C3%AFght-key", {}, False),
        ("/x?secret=right-key", {"X-ClamSeg-Key": "wrong"}, False),
    ],
)
def test_a_key_is_right_only_as_a_whole(path: str, headers: dict[str, str], holds: bool) -> None:
    assert holds_key(make_mocked_request("GET", path, headers=headers), "right-key") is holds


def test_every_start_has_a_key_of_its_own_that_fits_into_an_address() -> None:
    keys = {new_key() for _ in range(50)}
    assert len(keys) == 50
    for key in keys:
        assert len(key) >= 32
        assert key.isascii()
        assert key.isalnum()  # a key that begins with a dash would be read as an option
