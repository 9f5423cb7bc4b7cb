"""From the click on Segment to the first picture of a result, in the page and another checkout's, side by side.

    git worktree add ../before b5e771f
    OMP_NUM_THREADS=2 .venv-web/bin/python Testing/benchmark/measure_first_answer.py --before ../before --rounds 5

Real servers, real workers, real Chromium without a screen, on the shipped chest CT enlarged to 512 x 512 x SLICES. The model is
the other checkout's ct-infection in both; a further row is this checkout's own ct-lung-lesion. Each worker has segmented the scan
once before; then the scan is closed and opened anew, and the axial view shows its middle slice. Times are taken in the browser: from the
click to the first picture of that view with something coloured in it, which a CT has not, and to the end of the run. Checkouts take
turns; what is printed is the smallest and the median of each, and the ratios of the smallest.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "Testing" / "benchmark")]

from measure_case import scan_of  # noqa: E402
from measure_page import CHROMIUM_WORDS  # noqa: E402

OWN = "ct-lung-lesion"
# Notes when the button is clicked, when the first picture with colour is there, and when the run is over.
WATCH = """
() => {
  const view = document.querySelectorAll(".layout-grid-item")[0];
  window.clicked_at = window.painted_at = null;
  window.watching?.abort();
  window.watching = new AbortController();
  const watched = { capture: true, signal: window.watching.signal };
  const isColoured = (picture) => {
    const canvas = new OffscreenCanvas(picture.naturalWidth, picture.naturalHeight).getContext("2d");
    canvas.drawImage(picture, 0, 0);
    const pixels = canvas.getImageData(0, 0, picture.naturalWidth, picture.naturalHeight).data;
    let coloured = 0;
    for (let k = 0; k < pixels.length; k += 4)
      coloured += Math.max(pixels[k], pixels[k + 1], pixels[k + 2]) - Math.min(pixels[k], pixels[k + 1], pixels[k + 2]) > 40;
    return coloured > 60;
  };
  document.querySelector("#segment-button").addEventListener("click", () => { window.clicked_at ??= performance.now(); }, watched);
  view.addEventListener("load", (event) => {
    if (window.painted_at === null && isColoured(event.target)) window.painted_at = performance.now();
  }, watched);
}
"""


class Served:
    """A page of a checkout with one scan at hand, in a tab of the browser."""

    def __init__(self, browser: Any, checkout: Path, scan: Path, models: Path, folder: Path) -> None:
        folder.mkdir()
        environment = {
            **os.environ, "PYTHONPATH": str(checkout.resolve()), "PYTHONUNBUFFERED": "1", "CLAMSEG_MODELS": str(models),
            "CLAMSEG_CACHE": str(folder / "cache"), "CLAMSEG_SETTINGS": str(folder / "settings"), "PYTHONSAFEPATH": "1",
        }  # fmt: skip
        command = [sys.executable, "-m", "ClamSegWeb", "--no-browser", "--empty", "--root", str(scan.parent)]
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if " at " not in line:
            raise SystemExit("The server did not start; its words stand above.")
        self._scan = scan
        self.tab = browser.new_page(viewport={"width": 1440, "height": 900})
        self.tab.set_default_timeout(300_000)
        self.tab.goto(line.split(" at ")[1].strip())
        self.tab.wait_for_selector("#own-files")
        self.tab.wait_for_timeout(2000)

    def open(self) -> None:
        """The scan anew."""
        while self.tab.locator("#scans .v-chip__close").count():
            self.tab.locator("#scans .v-chip__close").first.click()
            self.tab.wait_for_timeout(1000)
        if not self.tab.locator("#own-files:visible").count():
            self.tab.locator(".v-expansion-panel-title").filter(has_text="Input").click()
        if not self.tab.locator(".folder-entry:visible").count():
            self.tab.click("#own-files")
        self.tab.click(f".folder-entry:has-text('{self._scan.name}')")
        self._until("scan_index >= 0 && !state.opening")
        self.tab.wait_for_timeout(2000)

    def segment(self, model: str) -> dict[str, float]:
        """Seconds from the click to the first picture of a result, and to the end of the run."""
        self.tab.evaluate("model => window.trame.state.set('model', model)", model)
        self.tab.wait_for_timeout(1500)
        self.tab.evaluate(WATCH)
        self.tab.click("#segment-button")
        self._until("run_state !== 'idle'")
        self._until("run_state === 'idle' || state.run_state === 'failed'")
        if self.tab.evaluate("window.trame.state.get('run_state')") == "failed":
            raise SystemExit(self.tab.evaluate("window.trame.state.get('run_words')"))
        ended = "performance.now() - window.clicked_at"
        whole = self.tab.evaluate(ended)
        self.tab.wait_for_function("window.painted_at !== null", polling=20)
        return {"first_s": self.tab.evaluate("window.painted_at - window.clicked_at") / 1000, "whole_s": whole / 1000}

    def _until(self, condition: str) -> None:
        """Waits until a condition on the page's state holds, which begins with one of its names."""
        self.tab.wait_for_function(
            f"() => {{ const state = window.trame.state.state; return state.{condition}; }}", polling=20
        )

    def close(self) -> None:
        self.tab.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:  # pages of earlier versions did not end when they were told to
            self.process.kill()
            self.process.wait()


def main() -> int:
    """Measures and prints."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="checkout to compare with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slices", type=int, default=133)
    parser.add_argument("--picture", type=Path, help="of the page while a first look is shown")
    arguments = parser.parse_args()
    kinds = {
        "before": (arguments.before, "ct-infection"),
        "here": (REPOSITORY, "ct-infection"),
        f"here, {OWN}": (REPOSITORY, OWN),
    }
    found: dict[str, list[dict[str, float]]] = {name: [] for name in kinds}
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        folder = Path(place)
        (folder / "scans").mkdir()
        scan = scan_of(arguments.slices, folder / "scans")
        shutil.copytree(arguments.before / "Resources" / "Models" / "ct-infection", folder / "models" / "ct-infection")
        browser = playwright.chromium.launch(executable_path=program, args=list(CHROMIUM_WORDS))
        pages = {
            checkout: Served(browser, checkout, scan, folder / "models", folder / f"page{number}")
            for number, checkout in enumerate(dict.fromkeys(checkout for checkout, _ in kinds.values()))
        }
        for number in range(arguments.rounds + 1):
            for name, (checkout, model) in kinds.items():
                pages[checkout].open()
                took = pages[checkout].segment(model)
                if number:  # the first of each only warms
                    found[name].append(took)
                print(number, name, json.dumps(took), flush=True)
        for page in pages.values():
            page.close()
    print(
        "| | first picture, s: smallest, median | of before | whole run, s: smallest, median | of before |\n|---|---|---|---|---|"
    )
    for name, runs in found.items():
        cells = []
        for key in ("first_s", "whole_s"):
            values, before = ([each[key] for each in some] for some in (runs, found["before"]))
            cells += [f"{min(values):.2f}, {statistics.median(values):.2f}", f"{min(values) / min(before):.0%}"]
        print(f"| {name} | {' | '.join(cells)} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
