"""The shell of the page: trame's index.html, with the key kept for a reload.

trame's client takes the key out of the address once it is connected; a reload would then find a locked door. A script
that runs first keeps it in the tab's own memory (sessionStorage), which no other site, port or tab can read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiohttp import web

from ClamSegWeb.access import holds_key

_SCRIPT = '<script src="clamseg/key.js"></script>'
_DOOR = f"""<!doctype html><html lang="en"><head>{_SCRIPT}<title>ClamSeg</title></head>
<body style="font: 16px sans-serif; margin: 3em"><p>ClamSeg's page needs its key.</p>
<p>Open the whole address that ClamSeg printed when it was started.</p></body></html>"""

# What stands in place of the page when its server is gone; the browser has it from the beginning.
GONE = """<main role="alert" style="font: 16px/1.5 sans-serif; margin: 3em; max-width: 40em; color: #111">
<h1 style="font-size: 1.4em">ClamSeg has ended</h1>
<p>Start it again with the same command, e.g. <code>clamseg web</code> or <code>python3 run.py web</code>, and open the
address that it prints then. This tab can be closed.</p>
<p>A review that is in no file yet is kept on this computer for seven days: the next start offers it.</p></main>"""


class Shell:
    """Serves index.html.

    Args:
        www: trame's folder with index.html.
        key: the key of this start.
    """

    def __init__(self, www: Path, key: str) -> None:
        self._text = (www / "index.html").read_text(encoding="utf-8").replace("<head>", f"<head>{_SCRIPT}", 1)
        self._text = self._text.replace(",maximum-scale=1,minimum-scale=1", "")  # readers may enlarge it
        self._key = key

    def routes(self) -> list[Any]:
        """For the web server; they go before trame's own."""
        return [web.get("/index.html", self._give), web.post("/paraview/", self._tell_where)]

    async def _tell_where(self, _request: web.Request) -> web.Response:
        """Where the session is: trame's client asks a launcher first, and the browser would log that there is none."""
        return web.json_response({"sessionURL": "ws://USE_HOST/ws"}, headers={"Cache-Control": "no-store"})

    async def _give(self, request: web.Request) -> web.Response:
        """The shell to whoever holds the key; a door to others, behind which the script may find the key."""
        if "secret" in request.query and not holds_key(request, self._key):
            words = (
                "This key is not, or is no longer, the key of the running ClamSeg; open the address that it printed."
            )
            raise web.HTTPForbidden(text=words)
        text = self._text if "secret" in request.query else _DOOR
        return web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})
