"""Who may talk to the page: nobody without the key, from another page, or under another name; nothing leaves it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from asyncio_apart import run_apart
from page_reader import PageReader
from page_server import PageServer


@pytest.fixture(scope="module")
def server(serve: Callable[..., PageServer]) -> PageServer:
    return serve("--empty")


def ask(server: PageServer, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    """Status and text of one request, sent exactly as written."""

    async def send() -> tuple[int, str]:
        async with (
            aiohttp.ClientSession(skip_auto_headers=["Origin"]) as session,
            session.request(method, f"http://{server.host}{path}", headers=headers, data=b"x") as answer,
        ):
            return answer.status, await answer.text(errors="replace")

    return run_apart(send())


def speak(server: PageServer, *messages: dict[str, Any], **headers: str) -> Any:
    """The answers over the web socket, or the status with which it was refused."""

    async def talk() -> Any:
        async with aiohttp.ClientSession() as session:
            try:
                async with session.ws_connect(f"http://{server.host}/ws", headers=headers) as line:
                    answers = []
                    for message in messages:
                        await line.send_bytes(packed(message))
                        answers.append(await asyncio.wait_for(line.receive(), 20))
                    return answers
            except aiohttp.WSServerHandshakeError as refused:
                return refused.status

    return run_apart(talk())


def packed(message: dict[str, Any]) -> bytes:
    """A message as wslink frames it: an id, where it starts, its whole size, then msgpack."""
    import msgpack

    body = msgpack.packb(message)
    return (7).to_bytes(4, "little") + (0).to_bytes(4, "little") + len(body).to_bytes(4, "little") + body


def test_a_page_of_somebody_else_is_refused_over_http_and_web_socket(server: PageServer) -> None:
    for origin in ("http://evil.example", "null", f"https://{server.host}", "http://127.0.0.1:1"):
        status, text = ask(server, f"/export/table?secret={server.key}", Origin=origin)
        assert (status, "ClamSeg answers only its own page" in text) == (403, True), origin
        assert speak(server, Origin=origin) == 403, origin
    assert speak(server) == 403, "a browser always names the origin of a web socket"
    assert ask(server, "/upload/abcdefgh1234?name=a.nii", "POST", **{"X-ClamSeg-Key": server.key})[0] == 403


def test_another_host_name_is_refused_even_with_the_key(server: PageServer) -> None:
    for name in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example:8000"):
        assert ask(server, f"/index.html?secret={server.key}", Host=name)[0] == 403, name
    assert ask(server, f"/index.html?secret={server.key}")[0] == 200


def test_without_the_right_key_there_is_no_page_no_upload_and_no_export(server: PageServer) -> None:
    own = f"http://{server.host}"
    for key in ("", "wrong", server.key[:-1], server.key + "x"):
        assert ask(server, f"/export/table?secret={key}")[0] == 403, key
        refused = ask(server, "/upload/abcdefgh1234?name=a.nii", "POST", Origin=own, **{"X-ClamSeg-Key": key})
        assert refused[0] == 403, key
        assert ask(server, "/upload/abcdefgh1234/open", "POST", Origin=own, **{"X-ClamSeg-Key": key})[0] == 403, key
    assert ask(server, "/index.html?secret=wrong")[0] == 403
    status, text = ask(server, "/index.html")
    assert status == 200
    assert "needs its key" in text
    assert not list(server.temporary.rglob("*.nii"))


def test_the_web_socket_gives_nothing_without_the_key(server: PageServer) -> None:
    import msgpack

    own = f"http://{server.host}"
    for secret in ("wslink-secret", "", server.key[:-1]):
        hello = {"wslink": "1.0", "id": "system:c0:1", "method": "wslink.hello", "args": [{"secret": secret}]}
        get = {"wslink": "1.0", "id": "rpc:c0:2", "method": "trame.state.get", "args": []}
        for answer in speak(server, hello, get, Origin=own):
            words = repr(msgpack.unpackb(answer.data[12:])) if isinstance(answer.data, bytes) else repr(answer)
            assert "lesion_rows" not in words, secret
            assert "error" in words or answer.type is not aiohttp.WSMsgType.BINARY, secret


def test_what_is_no_message_ends_its_own_line_and_leaves_no_traceback(server: PageServer) -> None:
    async def talk() -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"http://{server.host}/ws", headers={"Origin": f"http://{server.host}"}) as line,
        ):
            await line.send_bytes((7).to_bytes(4, "little") + bytes(4) + (2**31).to_bytes(4, "little") + b"x")
            return (await asyncio.wait_for(line.receive(), 20)).type

    assert run_apart(talk()) in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR)
    assert ask(server, f"/index.html?secret={server.key}")[0] == 200
    assert "A tab was shut out" in server.errors()
    assert "Traceback" not in server.errors()


def test_the_page_listens_on_this_computer_only(server: PageServer) -> None:
    port = int(server.host.rpartition(":")[2])
    others = {entry[4][0] for entry in socket.getaddrinfo(socket.gethostname(), port, socket.AF_INET)}
    for address in {*others, "127.0.0.2"} - {"127.0.0.1"}:
        with pytest.raises(OSError):
            socket.create_connection((address, port), timeout=5).close()


def test_the_browser_shuts_out_what_is_not_the_page_itself(server: PageServer) -> None:
    async def headers() -> dict[str, str]:
        async with aiohttp.ClientSession() as session, session.get(server.address) as answer:
            return dict(answer.headers)

    given = run_apart(headers())
    policy = given["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "http:" not in policy
    assert "https:" not in policy
    assert given["X-Frame-Options"] == "DENY"
    assert given["Referrer-Policy"] in ("same-origin", "no-referrer")


def test_names_of_uploads_lead_nowhere_else(server: PageServer) -> None:
    own = {"Origin": f"http://{server.host}", "X-ClamSeg-Key": server.key}
    for path in ("/upload/..%2F..%2Fevil1234?name=a.nii", "/upload/ABC?name=a.nii", "/upload/abcdefgh1234?name=.."):
        assert ask(server, path, "POST", **own)[0] in (400, 404), path
    assert ask(server, "/upload/abcdefgh1234?name=..%2F..%2F..%2Fup.nii", "POST", **own)[0] == 200
    (kept,) = server.temporary.rglob("up.nii")
    assert kept.parent.name == "abcdefgh1234"
    assert ask(server, "/export/everything?secret=" + server.key)[0] == 404
    assert ask(server, "/clamseg/..%2F..%2F..%2Fpyproject.toml?secret=" + server.key)[0] in (400, 403, 404)


def test_the_page_asks_nothing_from_outside_and_keeps_the_key_out_of_its_address_bar(
    reader: PageReader, server: PageServer
) -> None:
    reader.open_sample("xray-chest", "Chest X-ray")
    assert reader.outside == []
    assert server.key not in server.errors()


def test_a_wrong_key_shows_words_and_no_page(browser: Any, server: PageServer) -> None:
    context = browser.new_context()
    tab = context.new_page()
    tab.goto(server.address[:-3])
    assert "open the address that it printed" in tab.inner_text("body")
    tab.goto(f"http://{server.host}/index.html")
    assert "needs its key" in tab.inner_text("body")
    context.close()
