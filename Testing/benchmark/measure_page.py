"""How fast the page answers: `.venv-web/bin/python Testing/benchmark/measure_page.py --output page.json`.

Real server, real worker, real Chromium without a screen. Times are taken in the browser: from the wheel or the mouse to
the picture that is there because of it. Prints medians and the largest as JSON. Not a test: nothing is asserted.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))
CHROMIUM_WORDS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
# Notes when an event comes and when the axial picture that follows it is shown.
WATCH = """
(name) => {
  const view = document.querySelectorAll(".layout-grid-item")[0];
  window.taken = [];
  window.watching?.abort();
  window.watching = new AbortController();
  const watched = { capture: true, signal: window.watching.signal };
  // Every event that waited for a picture counts: a page that stands still for seconds keeps many of them waiting.
  let since = [];
  document.addEventListener(name, () => since.push(performance.now()), watched);
  view.addEventListener("load", () => {
    for (const began of since) window.taken.push(performance.now() - began);
    since = [];
  }, watched);
}
"""


def start_server(words: list[str]) -> tuple[subprocess.Popen[str], str, float]:
    """The server, its address, and the seconds until it was up."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}
    began = time.monotonic()
    command = [sys.executable, "-m", "ClamSegWeb", "--no-browser", *words]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    atexit.register(process.kill)  # also where the measurement fails
    assert process.stdout is not None
    line = process.stdout.readline()
    if " at " not in line:
        raise SystemExit("The server did not start; its words stand above.")
    return process, line.split(" at ")[1].strip(), time.monotonic() - began


def peak_mb(pid: int) -> float:
    """Largest resident memory of a process so far (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def summary(values_ms: list[float]) -> dict[str, float]:
    """Median and largest in ms, and how many."""
    if not values_ms:
        return {"n": 0}
    return {
        "median_ms": round(statistics.median(values_ms)), "p95_ms": round(float(np.percentile(values_ms, 95))),
        "largest_ms": round(max(values_ms)), "n": len(values_ms),
    }  # fmt: skip


def wheel(page: Any, steps: int, until: str = "") -> dict[str, float]:
    """Wheel steps over the axial view, each after the one before was drawn; ends early when `until` appears."""
    page.evaluate(WATCH, "wheel")
    box = page.locator(".layout-grid-item").nth(0).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for step in range(steps):
        if until and page.locator(until).count():
            break
        page.mouse.wheel(0, 100 if step % 20 < 10 else -100)
        page.wait_for_timeout(350)
    return summary(page.evaluate("window.taken"))


def drag_threshold(page: Any, moves: int) -> dict[str, float]:
    """Moves of the threshold's thumb to the picture of the map that follows."""
    page.evaluate(WATCH, "pointermove")
    thumb = page.locator(".v-input:has(input#threshold) .v-slider-thumb")
    box = thumb.bounding_box()
    across, down = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(across, down)
    page.mouse.down()
    page.evaluate("window.taken = []")
    for move in range(moves):
        page.mouse.move(across - 4 * (move % 10) - 4, down)
        page.wait_for_timeout(400)
    taken = page.evaluate("window.taken")
    page.mouse.up()
    return summary(taken)


def large_scan(folder: Path, slices: int) -> Path:
    """A drawn CT of 512 x 512 x `slices` voxels, int16, as NRRD."""
    import SimpleITK as sitk

    k, j, i = np.ogrid[:slices, :512, :512]
    values = np.full((slices, 512, 512), -1000, np.int16)
    values[np.broadcast_to(((j - 256) / 170) ** 2 + ((i - 256) / 220) ** 2 < 1, values.shape)] = 40
    for side in (160, 352):
        lung = ((k / slices - 0.5) / 0.45) ** 2 + ((j - 256) / 110) ** 2 + ((i - side) / 75) ** 2 < 1
        values[lung] = -850
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((0.8, 0.8, 1.2))
    path = folder / "large_chest.nrrd"
    sitk.WriteImage(image, str(path))
    return path


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--large-slices", type=int, default=280, help="0 leaves the large scan out")
    arguments = parser.parse_args()
    from playwright.sync_api import sync_playwright

    found: dict[str, Any] = {"date": date.today().isoformat(), "cores": os.cpu_count(), "load_1min": os.getloadavg()[0]}
    process, address, found["server_up_s"] = start_server([])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(CHROMIUM_WORDS))
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        began = time.monotonic()
        page.goto(address)
        page.wait_for_selector("#scans")
        page.wait_for_function("document.querySelectorAll('.layout-grid-item img').length === 4")
        found["first_pictures_s"] = round(time.monotonic() - began, 2)
        page.wait_for_timeout(3000)
        found["wheel"] = wheel(page, arguments.steps)
        page.click("#sample-ct-chest")
        page.wait_for_selector("#scan-name:has-text('Chest CT')")
        page.click("#segment-button")
        found["wheel_during_a_run"] = wheel(page, 200, until="#lesions tbody tr")
        page.wait_for_selector("#lesions tbody tr", timeout=300_000)
        page.wait_for_timeout(4000)
        found["wheel_with_overlays"] = wheel(page, arguments.steps)
        page.click("#map-probability")
        page.wait_for_timeout(1000)
        found["threshold"] = drag_threshold(page, arguments.steps)
        process.terminate()
        process.wait()
        if arguments.large_slices:
            with tempfile.TemporaryDirectory() as folder:
                process, address, _seconds = start_server([str(large_scan(Path(folder), arguments.large_slices))])
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                page.goto(address)
                page.wait_for_selector("#scans", timeout=120_000)
                page.wait_for_timeout(4000)
                large: dict[str, Any] = {"slices": arguments.large_slices, "wheel": wheel(page, arguments.steps)}
                large["peak_mb_opened"] = round(peak_mb(process.pid))
                page.click("#segment-button")
                large["wheel_during_the_run"] = wheel(page, 2000, until="#summary:has-text('analysed')")
                page.wait_for_selector("#summary:has-text('analysed')", timeout=1_200_000)
                # A result brings its surfaces: they are made while the reader goes on.
                large["wheel_while_surfaces_are_made"] = wheel(page, 2000, until="#solid-words:text-is('3-D')")
                large["wheel_with_surfaces"] = wheel(page, arguments.steps)
                large["peak_mb_segmented"] = round(peak_mb(process.pid))
                found["large"] = large
                process.terminate()
                process.wait()
        browser.close()
    found["server_up_s"] = round(found["server_up_s"], 2)
    text = json.dumps(found, indent=1)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
