"""The page's protocols under bad requests: halves, wrong words, many at once, tabs that leave, a disk that fills in between.

Needs the page's own Python (`run.py`); with another one its trials are skipped with a word.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import random
import socket
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from disk import fill, remount, small_disk
from materials import scan
from trial import Skipped, Trial

WEB = Path(__file__).resolve().parents[1] / "web"
VALUES = (None, True, 3, -1.5, "", "x" * 9000, [], ["a"], {}, {"a": 1}, "\0", float("nan"), "../..")
_MANY = 100
_BATCH = "abcdefgh1234"


def trials(seed: int) -> list[Trial]:
    """Each kind of bad request once; the seed chooses the bytes and values."""
    attempts: dict[str, Callable[[Path, random.Random], str]] = {
        "uploads of which half comes": _halves,
        "requests of wrong words": _wrong_words,
        "web socket messages that are none": _no_messages,
        "values of wrong types in the state of the page": _wrong_state,
        "100 requests at once": _many,
        "tabs that leave": _tabs_leave,
        "a disk that fills in between": _filled,
    }
    return [Trial("page", name, _attempt(attempt, f"{seed} {name}")) for name, attempt in attempts.items()]


def _attempt(attempt: Callable[[Path, random.Random], str], seed: str) -> Callable[[Path], str]:
    def checked(folder: Path) -> str:
        if importlib.util.find_spec("trame_slicer") is None:
            raise Skipped("the page's packages are not in this Python")
        if str(WEB) not in sys.path:
            sys.path.append(str(WEB))
        return attempt(folder, random.Random(seed))

    return checked


def _served(folder: Path, talk: Callable[[Any], Coroutine[Any, Any, str]]) -> str:
    """What a talk with a page of its own says, and whether the page goes on as if nothing had been."""
    from page_server import PageServer

    server = PageServer(folder, "--empty")
    try:
        said = asyncio.run(talk(server))
        if said:
            return said
        if server.process.poll() is not None:
            return f"the page ended: {server.errors()[-300:]}"
        if status := asyncio.run(_right_upload(server)):
            return f"a right upload after it: {status}"
    finally:
        code = server.stop()
    words = server.errors()
    if "Traceback" in words and "ClamSegWeb" in words:
        return f"a traceback of the page: {words[-2500:]}"
    return f"it ended with {code}: {words[-300:]}" if code else ""


def _own(server: Any) -> dict[str, str]:
    return {"Origin": f"http://{server.host}", "X-ClamSeg-Key": server.key}


async def _post(server: Any, path: str, data: bytes = b"x", **headers: str) -> int:
    import aiohttp

    async with aiohttp.ClientSession() as session:
        url = f"http://{server.host}{path}"
        async with session.post(url, data=data, headers={**_own(server), **headers}) as answer:
            await answer.read()
            return answer.status


async def _right_upload(server: Any) -> str:
    """'' where an upload is taken whole and opened."""
    batch = f"right{random.randrange(10**8):08d}"
    status = await _post(server, f"/upload/{batch}?name=scan.nrrd", scan().read_bytes())
    opened = await _post(server, f"/upload/{batch}/open")
    kept = list(server.temporary.rglob(f"{batch}/scan.nrrd"))
    if (status, opened) != (200, 200) or not kept or kept[0].read_bytes() != scan().read_bytes():
        return f"answered with {status} and {opened}"
    return ""


def _halves(folder: Path, seeded: random.Random) -> str:
    async def talk(server: Any) -> str:
        host, _, port = server.host.rpartition(":")
        for number in range(10):
            head = f"POST /upload/half{number:08d}?name=x.nrrd HTTP/1.1\r\nHost: {server.host}\r\nOrigin: http://{server.host}\r\n"
            text = f"{head}X-ClamSeg-Key: {server.key}\r\nContent-Length: 9000\r\n\r\n".encode() + b"x" * 4000
            with socket.create_connection((host, int(port)), timeout=20) as line:
                line.sendall(text[: seeded.randrange(1, len(text))])
        await asyncio.sleep(1)
        left = [path.name for path in server.temporary.rglob("half*")]
        return f"left of them: {left}" if left else ""

    return _served(folder, talk)


def _wrong_words(folder: Path, seeded: random.Random) -> str:
    def odd() -> str:
        return "".join(seeded.choice("abcABC019%2F.~!$&'()*+,;=:@-_") for _ in range(seeded.randrange(0, 60)))

    async def talk(server: Any) -> str:
        found = []
        for _ in range(40):
            path = seeded.choice(
                (
                    f"/upload/{odd()}",
                    f"/upload/{odd()}/open",
                    f"/upload/{_BATCH}?name={odd()}&{odd()}",
                    f"/export/{odd()}",
                )
            )
            found.append((path, await _post(server, path)))
        wrong = [pair for pair in found if pair[1] >= 500]
        return f"answered with {wrong[0][1]} to {wrong[0][0]}" if wrong else ""

    return _served(folder, talk)


def _packed(message: Any, seeded: random.Random | None = None) -> bytes:
    """As wslink frames a message; by the seed with a wrong size."""
    import msgpack

    body = msgpack.packb(message)
    size = len(body) if seeded is None or seeded.random() < 0.8 else seeded.randrange(2**31)
    return b"".join(number.to_bytes(4, "little") for number in (random.randrange(2**31), 0, size)) + body


async def _speak(server: Any, messages: list[bytes | str], hello: bool = True) -> None:
    """Sends messages over a web socket of a tab that has said the key; what comes back is read and dropped."""
    import aiohttp

    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://{server.host}/ws", headers={"Origin": f"http://{server.host}"}) as line,
    ):
        secret = {"wslink": "1.0", "id": "system:c0:1", "method": "wslink.hello", "args": [{"secret": server.key}]}
        if hello:
            await line.send_bytes(_packed(secret))
        for message in messages:
            if line.closed:
                return
            await (line.send_str(message) if isinstance(message, str) else line.send_bytes(message))
            with contextlib.suppress(TimeoutError):
                await line.receive(0.05)


def _no_messages(folder: Path, seeded: random.Random) -> str:
    methods = (
        "trame.state.get",
        "trame.state.update",
        "trame.trigger",
        "viewport.mouse.interaction",
        "nothing.such",
        3,
        None,
    )

    async def talk(server: Any) -> str:
        for hello in (True, False):
            for _ in range(6):
                some: list[bytes | str] = [seeded.randbytes(seeded.randrange(0, 200)), "{", "words", "[]", ""]
                for _ in range(6):
                    told = {
                        "wslink": "1.0",
                        "id": seeded.choice(("rpc:c0:2", 3, None)),
                        "method": seeded.choice(methods),
                    }
                    some.append(_packed({**told, "args": seeded.choice(VALUES)}, seeded))
                    some.append(_packed(seeded.choice(VALUES), seeded))
                seeded.shuffle(some)
                await _speak(server, some, hello)
        return ""

    return _served(folder, talk)


# What a person decides in the page; a tab of another version may send anything for it.
_STATE = (
    "click_condition", "click_takes_away", "tool_size", "open_files", "upload_failed", "undecided_only", "smallest_shown",
    "opacity", "threshold_moving", "threshold", "model", "level", "device", "scan_index", "organ_step",
)  # fmt: skip


def _wrong_state(folder: Path, seeded: random.Random) -> str:
    async def talk(server: Any) -> str:
        told = [[{"key": name, "value": seeded.choice(VALUES[:-2])}] for name in _STATE]
        requests = [
            {"wslink": "1.0", "id": f"rpc:c0:{k}", "method": "trame.state.update", "args": [t]}
            for k, t in enumerate(told)
        ]
        await _speak(server, [_packed(request) for request in requests])
        return ""

    return _served(folder, talk)


def _many(folder: Path, seeded: random.Random) -> str:
    data = seeded.randbytes(20_000)

    async def talk(server: Any) -> str:
        paths = [f"/upload/many{number:08d}?name=x.nrrd" for number in range(_MANY)]
        found = await asyncio.gather(*(_post(server, path, data) for path in paths))
        kept = [path for path in server.temporary.rglob("many*/x.nrrd") if path.read_bytes() == data]
        if set(found) != {200} or len(kept) != _MANY:
            return f"answered with {sorted(set(found))}, {len(kept)} of {_MANY} are whole"
        return ""

    return _served(folder, talk)


def _tabs_leave(folder: Path, seeded: random.Random) -> str:
    async def talk(server: Any) -> str:
        get = {"wslink": "1.0", "id": "rpc:c0:2", "method": "trame.state.get", "args": []}
        for _ in range(8):
            one = asyncio.create_task(_speak(server, [_packed(get)] * 20))
            await asyncio.sleep(seeded.uniform(0, 0.3))
            one.cancel()
            await asyncio.gather(one, return_exceptions=True)
        return ""

    return _served(folder, talk)


def _filled(folder: Path, seeded: random.Random) -> str:
    with small_disk(folder, 32_768) as disk:

        async def talk(server: Any) -> str:
            mine = next(path for path in server.temporary.iterdir())
            fill(disk, seeded.choice((0, 4096, 8192)))
            if mine.stat().st_dev != disk.stat().st_dev:
                return "its files lie elsewhere"
            status = await _post(server, f"/upload/{_BATCH}?name=x.nrrd", seeded.randbytes(60_000))
            left = list(server.temporary.rglob("x.nrrd"))
            exported = await _post(server, "/export/table")
            remount(disk, "size=128m")
            (disk / "filling").unlink()
            if status != 507 or left or exported >= 500:
                return f"answered with {status} and {exported}, {len(left)} files stay"
            return ""

        return _served(disk / "page", talk)
