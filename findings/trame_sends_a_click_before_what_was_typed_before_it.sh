#!/bin/sh
# A trame page that is waiting for an answer sends a click at once, and what was typed before that click only afterwards.
#
# Versions:  trame 4.0.0, trame-client 4.1.4, trame-server 4.1.0, trame-vuetify 3.3.0, Python 3.11 on Linux, driven by playwright 1.65.2
#            with the Chromium of the system (Debian's package chromium).
# Input:     a field bound to a state variable, and a button whose handler reads that variable; beside them a button whose handler
#            takes a second. A person clicks the slow one, types "5" into the field and clicks the other button within that second.
# Expected:  the handler reads "5": the page shows it, trame's state is described as shared between server and clients, and both go
#            through one websocket, one after the other.
# Behaviour: the handler reads the value of before, "1". The client keeps changes of the state back while any answer is outstanding,
#            but not calls of handlers. No error, no warning; the variable arrives later, and the same
#            click done again reads "5".
# Who is hit: pages with a form or a slider and a button that acts on it, as soon as the server is busy or far away: an action is
#            carried out with the numbers of before. A value given to the handler as an argument is the one that was typed.
# Output seen on 2026-12-01, with PYTHON unset:
#   while nothing is under way: typed 5, the handler read 5, clicked again 5
#   while an answer is awaited: typed 5, the handler read 1, clicked again 5
# Ends with 0 while this is so, with 1 where it has changed.
set -eu
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || { echo "Install Chromium." >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/environment"
"$folder/environment/bin/python" -m pip install --quiet --disable-pip-version-check trame==4.0.0 trame-client==4.1.4 \
    trame-server==4.1.0 trame-vuetify==3.3.0 playwright==1.65.2
cd "$folder"
cat >page.py <<'PYTHON_END'
import asyncio

from trame.app import get_server
from trame.ui.vuetify3 import VAppLayout
from trame.widgets import html

server = get_server(client_type="vue3")
state = server.state
state.size, state.read = "1", ""


async def slow():
    await asyncio.sleep(1)


def act():
    state.read = f"{state.read} {state.size}".strip()


with VAppLayout(server):
    html.Input(v_model=("size",), id="size")
    html.Button("slow", click=slow, id="slow")
    html.Button("act", click=act, id="act")
    html.Span("read: {{ read }}", id="read")

server.controller.on_server_ready.add(lambda **_: print(server.port, flush=True))
server.start(port=0, open_browser=False, show_connection_info=False, timeout=0)
PYTHON_END
environment/bin/python page.py >port 2>log &
page=$!
trap 'kill $page 2>/dev/null; rm -rf "$folder"' EXIT
while ! [ -s port ]; do sleep 0.2; kill -0 $page || { cat log >&2; exit 2; }; done
environment/bin/python - "$browser" "$(head -n 1 port)" <<'PYTHON_END' | tee seen
import sys

from playwright.sync_api import sync_playwright

with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=sys.argv[1], args=["--no-sandbox", "--disable-gpu"])
    tab = browser.new_page()
    tab.goto(f"http://localhost:{sys.argv[2]}")
    for words, is_busy in (("nothing is under way", False), ("an answer is awaited", True)):
        tab.locator("#size").fill("1")
        tab.wait_for_timeout(1000)
        if is_busy:
            tab.locator("#slow").click()
        else:
            tab.locator("#size").fill("2")  # any change: nothing else lies before the next one
            tab.wait_for_timeout(1000)
        tab.locator("#size").fill("5")
        tab.locator("#act").click()
        tab.wait_for_timeout(3000)
        read = tab.locator("#read").inner_text().split()[-1]
        tab.locator("#act").click()
        tab.wait_for_timeout(1000)
        print(f"while {words}: typed 5, the handler read {read}, clicked again {tab.locator('#read').inner_text().split()[-1]}")
    browser.close()
PYTHON_END
printf '%s\n' "while nothing is under way: typed 5, the handler read 5, clicked again 5" \
    "while an answer is awaited: typed 5, the handler read 1, clicked again 5" >expected
if ! diff expected seen; then
    echo "This has changed." >&2
    exit 1
fi
