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
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))
CHROMIUM_WORDS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
LEAST_STEPS = 8
# Notes when an event comes and when the axial picture that follows it is shown, when the words of a result stand there, and
# when the first picture with the blue of its organ does.
WATCH = """
(name) => {
  const view = document.querySelectorAll(".layout-grid-item")[0];
  window.taken = [];
  window.words_at = window.result_at = null;
  window.watching?.abort();
  window.watching = new AbortController();
  const watched = { capture: true, signal: window.watching.signal };
  const canvas = new OffscreenCanvas(64, 64).getContext("2d", { willReadFrequently: true });
  const isBlue = (picture) => {
    canvas.drawImage(picture, 0, 0, 64, 64);
    const pixels = canvas.getImageData(0, 0, 64, 64).data;
    let blue = 0;
    for (let k = 0; k < pixels.length; k += 4) blue += pixels[k + 2] - pixels[k] > 20 && pixels[k + 2] - pixels[k + 1] > 4;
    return blue > 40;
  };
  // Every event that waited for a picture counts: a page that stands still for seconds keeps many of them waiting.
  let since = [];
  document.addEventListener(name, () => since.push(performance.now()), watched);
  view.addEventListener("load", (event) => {
    for (const began of since) window.taken.push([began, performance.now() - began]);
    since = [];
    if (window.result_at === null && isBlue(event.target)) window.result_at = performance.now();
  }, watched);
  new MutationObserver(() => {
    const words = document.querySelector("#summary");
    if (window.words_at === null && words && words.innerText.includes("analysed")) window.words_at = performance.now();
  }).observe(document.body, { childList: true, subtree: true, characterData: true });
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


def memory_mb(pid: int, kind: str = "VmRSS") -> int:
    """Resident memory of a process, or with VmHWM the largest so far (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return round(next(int(line.split()[1]) for line in lines if line.startswith(kind)) / 1024)


def summary(values_ms: list[float]) -> dict[str, float]:
    """Median and largest in ms, and how many."""
    if not values_ms:
        return {"n": 0}
    return {
        "median_ms": round(statistics.median(values_ms)), "p95_ms": round(float(np.percentile(values_ms, 95))),
        "largest_ms": round(max(values_ms)), "n": len(values_ms),
    }  # fmt: skip


def wheel(page: Any, steps: int) -> dict[str, float]:
    """Wheel steps over the axial view."""
    return next(iter(wheel_through(page, {"": ""}, steps).values()))


def wheel_through(page: Any, phases: dict[str, str], steps: int = 5000) -> dict[str, dict[str, float]]:
    """Wheel steps over the axial view through several phases without a pause; a step belongs to the one that it began in.

    Args:
        phases: by their names the selector that ends each, '' where only the number of steps does.
    """
    page.evaluate(WATCH, "wheel")
    box = page.locator(".layout-grid-item").nth(0).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    ends = []
    for until in phases.values():
        for step in range(steps):
            # A phase that has not quite begun looks like one that is over.
            if until and step >= LEAST_STEPS and page.locator(until).count():
                break
            page.mouse.wheel(0, 100 if step % 20 < 10 else -100)
            page.wait_for_timeout(350)
        ends.append(page.evaluate("performance.now()"))
    page.wait_for_timeout(5000)  # those that wait still
    taken, found, began = page.evaluate("window.taken"), {}, 0.0
    for name, end in zip(phases, ends, strict=True):
        found[name] = summary([took for at, took in taken if began <= at < end])
        began = end
    return found


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
    return summary([took for _at, took in taken])


def wheel_behind(page: Any, acts: list[Callable[[], Any]]) -> dict[str, float]:
    """One wheel step over the axial view right behind each act."""
    page.evaluate(WATCH, "wheel")
    box = page.locator(".layout-grid-item").nth(0).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for number, act in enumerate(acts):
        act()
        page.mouse.wheel(0, 100 if number % 2 else -100)
        page.wait_for_timeout(2500)
    page.wait_for_timeout(3000)
    return summary([took for _at, took in page.evaluate("window.taken")])


def measure_review_steps(page: Any, steps: int) -> dict[str, Any]:
    """Wheel steps right behind a decision, undo, redo, a threshold and a report."""
    thumb = page.locator(".v-input:has(input#threshold) .v-slider-thumb")

    def let_go(key: str) -> None:
        thumb.focus()
        page.keyboard.press(key)

    def key(name: str) -> Callable[[], Any]:
        return lambda: page.keyboard.press(name)

    fetch_report = "() => { fetch(`export/report?secret=${window.trame.state.get('page_key')}`) }"
    count = max(1, steps // 4)
    found: dict[str, Any] = {"lesions": len(page.evaluate("window.trame.state.get('lesion_rows')"))}
    if not found["lesions"]:
        return found
    page.locator("#lesions tbody tr").first.click()
    page.wait_for_timeout(1500)
    found["wheel_behind_a_decision"] = wheel_behind(page, [key("a")] * count)
    found["wheel_behind_undo_and_redo"] = wheel_behind(page, [key("u"), key("y")] * count)
    keys = ("ArrowLeft", "ArrowRight")
    found["wheel_behind_a_threshold"] = wheel_behind(page, [partial(let_go, name) for name in keys] * count)
    found["wheel_behind_a_report"] = wheel_behind(page, [lambda: page.evaluate(fetch_report)] * count)
    return found


def segment(page: Any) -> None:
    """One more run of the scan that is shown, to its end."""
    page.wait_for_timeout(500)
    if page.locator("#segment-button:visible").count() == 0:
        page.locator(".v-expansion-panel-title").filter(has_text="Segment").click()
    page.click("#segment-button")
    page.wait_for_function("() => window.trame.state.get('run_state') !== 'idle'", polling=50)
    page.wait_for_function("() => window.trame.state.get('run_state') === 'idle'", timeout=1_200_000)
    page.wait_for_timeout(3000)


def close_all(page: Any) -> None:
    """Closes every open scan."""
    while page.locator("#scans .v-chip__close").count():
        page.locator("#scans .v-chip__close").first.click()
        page.wait_for_timeout(1500)
        if page.locator("#question-yes:visible").count():  # it holds decisions
            page.click("#question-yes")
            page.wait_for_timeout(1500)
    page.wait_for_timeout(3000)


def measure_samples(browser: Any, steps: int) -> dict[str, Any]:
    """The page as it comes, and the CT sample: opened, segmented, its threshold moved."""
    found: dict[str, Any] = {}
    process, address, seconds = start_server([])
    found["server_up_s"] = round(seconds, 2)
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    began = time.monotonic()
    page.goto(address)
    page.wait_for_selector("#scans")
    page.wait_for_function("document.querySelectorAll('.layout-grid-item img').length === 4")
    found["first_pictures_s"] = round(time.monotonic() - began, 2)
    page.wait_for_timeout(3000)
    found["wheel"] = wheel(page, steps)
    page.click("#sample-ct-chest")
    page.wait_for_selector("#scan-name:has-text('Chest CT')")
    page.click("#segment-button")
    found |= wheel_through(page, {"wheel_during_a_run": "#lesions tbody tr"})
    page.wait_for_selector("#lesions tbody tr", timeout=300_000)
    page.wait_for_timeout(4000)
    found["wheel_with_overlays"] = wheel(page, steps)
    page.click("#map-probability")
    page.wait_for_timeout(1000)
    found["threshold"] = drag_threshold(page, steps)
    process.terminate()
    process.wait()
    return found


def measure_memory(browser: Any, runs: int) -> dict[str, Any]:
    """Memory of the page over runs of one scan, and after that and another were closed."""
    process, address, _seconds = start_server(["--empty"])
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(address)
    page.wait_for_selector("#sample-ct-chest")
    page.wait_for_timeout(3000)
    found: dict[str, Any] = {"empty_mb": memory_mb(process.pid), "after_run_mb": []}
    for name in ("xray-chest", "ct-chest"):
        page.locator(".v-expansion-panel-title").filter(has_text="Input").click() if not page.locator(
            f"#sample-{name}:visible"
        ).count() else None
        page.click(f"#sample-{name}")
        page.wait_for_function("() => window.trame.state.get('scan_index') >= 0 && !window.trame.state.get('opening')")
        page.wait_for_timeout(2000)
        for _run in range(runs if name == "ct-chest" else 1):
            segment(page)
            if name == "ct-chest":
                found["after_run_mb"].append(memory_mb(process.pid))
    close_all(page)
    found["closed_mb"] = memory_mb(process.pid)
    process.terminate()
    process.wait()
    return found


def measure_large(browser: Any, scan: Path, steps: int) -> dict[str, Any]:
    """A large CT: opened by a click, segmented, seen in 3-D, closed."""
    process, address, _seconds = start_server(["--empty", "--root", str(scan.parent)])
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(address)
    page.wait_for_selector("#own-files")
    page.wait_for_timeout(3000)
    found: dict[str, Any] = {"memory_empty_mb": memory_mb(process.pid)}
    page.click("#own-files")
    page.click(f".folder-entry:has-text('{scan.name}')")
    page.wait_for_selector("#scans", timeout=120_000)
    page.wait_for_timeout(4000)
    found["wheel"] = wheel(page, steps)
    found["memory_opened_mb"] = memory_mb(process.pid)
    if not page.locator("#segment-button:visible").count():
        page.locator(".v-expansion-panel-title").filter(has_text="Segment").click()
    page.click("#segment-button")
    # A result brings its surfaces: they are made while the reader goes on.
    phases = {
        "wheel_during_the_run": "#summary:has-text('analysed')", "wheel_while_surfaces_are_made": "#solid-words:text-is('3-D')",
    }  # fmt: skip
    found |= wheel_through(page, phases)
    words_at, result_at = page.evaluate("[window.words_at, window.result_at]")
    found["picture_after_words_ms"] = round(result_at - words_at) if words_at and result_at else None
    found["wheel_with_surfaces"] = wheel(page, steps)
    found |= measure_review_steps(page, steps)
    found["memory_segmented_mb"], found["memory_peak_mb"] = memory_mb(process.pid), memory_mb(process.pid, "VmHWM")
    close_all(page)
    found["memory_closed_mb"] = memory_mb(process.pid)
    process.terminate()
    process.wait()
    return found


def large_scan(folder: Path, slices: int) -> Path:
    """A drawn CT of 512 x 512 x `slices` voxels with nodules in the lungs, int16, as NRRD."""
    import SimpleITK as sitk

    k, j, i = np.ogrid[:slices, :512, :512]
    values = np.full((slices, 512, 512), -1000, np.int16)
    values[np.broadcast_to(((j - 256) / 170) ** 2 + ((i - 256) / 220) ** 2 < 1, values.shape)] = 40
    for side in (160, 352):
        lung = ((k / slices - 0.5) / 0.45) ** 2 + ((j - 256) / 110) ** 2 + ((i - side) / 75) ** 2 < 1
        values[lung] = -850
    random = np.random.default_rng(0)
    inside = np.argwhere(values[::8, ::8, ::8] == -850) * 8
    for centre in inside[random.integers(0, len(inside), 24)]:
        box = tuple(slice(max(0, int(at) - 14), int(at) + 15) for at in centre)
        k, j, i = np.ogrid[tuple(slice(s.start, min(s.stop, n)) for s, n in zip(box, values.shape, strict=True))]
        ball = (k - centre[0]) ** 2 + (j - centre[1]) ** 2 + (i - centre[2]) ** 2 < random.uniform(5, 14) ** 2
        values[box][ball] = 30
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
    parser.add_argument("--large-only", action="store_true", help="nothing but the large scan")
    parser.add_argument("--runs", type=int, default=10, help="of the sample, for its memory; 0 leaves them out")
    arguments = parser.parse_args()
    from playwright.sync_api import sync_playwright

    found: dict[str, Any] = {"date": date.today().isoformat(), "cores": os.cpu_count(), "load_1min": os.getloadavg()[0]}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(CHROMIUM_WORDS))
        if not arguments.large_only:
            found |= measure_samples(browser, arguments.steps)
        if arguments.runs and not arguments.large_only:
            found["memory"] = measure_memory(browser, arguments.runs)
        if arguments.large_slices:
            with tempfile.TemporaryDirectory() as folder:
                scan = large_scan(Path(folder), arguments.large_slices)
                found["large"] = {"slices": arguments.large_slices, **measure_large(browser, scan, arguments.steps)}
        browser.close()
    text = json.dumps(found, indent=1)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
