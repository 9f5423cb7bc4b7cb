"""Takes the pictures of the page for the docs: `.venv-web/bin/python Testing/web/screenshots.py [FOLDER]`.

The real page on the shipped samples with the shipped models, as a reader sees it after a few clicks.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from page_server import processes

REPOSITORY = Path(__file__).resolve().parents[2]
CHROMIUM_WORDS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
SIZE = {"width": 1280, "height": 800}
# The nodule of the sample, across and down the axial view.
NODULE = (0.6, 0.715)


def unfold(page: Any, title: str) -> None:
    """Opens a folded section."""
    head = page.locator(".v-expansion-panel-title").filter(has_text=title)
    if head.get_attribute("aria-expanded") != "true":
        head.click()


def segment_and_shoot(page: Any, server: int, path: Path) -> None:
    """Segments; the axial view of the first look and of the result side by side. The worker is held while the first is taken."""
    from PIL import Image

    page.wait_for_timeout(1500)
    unfold(page, "Segment")
    page.click("#segment-button")
    page.wait_for_function("() => window.trame.state.get('run_words').includes('hatched')", timeout=300_000, polling=10)
    worker = next(pid for pid, parent, words in processes() if parent == server and " worker" in words)
    os.kill(worker, signal.SIGSTOP)
    slice_of = page.evaluate("window.trame.state.get('slice_of').Red")
    page.wait_for_timeout(3000)
    steps = [Image.open(io.BytesIO(page.locator("#view-Red").screenshot()))]
    os.kill(worker, signal.SIGCONT)
    page.wait_for_function("() => window.trame.state.get('has_result')", timeout=300_000)
    page.wait_for_function("() => window.trame.state.get('run_state') === 'idle'", timeout=300_000)
    page.wait_for_timeout(8000)
    # A result goes to its first lesion: back to the slice that was looked at first.
    number, there = (
        int(words.split(" / ")[0]) for words in (page.evaluate("window.trame.state.get('slice_of').Red"), slice_of)
    )
    page.locator("#slices-Red [role=slider], .v-slider:has(#slices-Red) [role=slider]").first.focus()
    for _ in range(abs(there - number)):
        page.keyboard.press("ArrowRight" if there > number else "ArrowLeft")
        page.wait_for_timeout(300)
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(3000)
    steps.append(Image.open(io.BytesIO(page.locator("#view-Red").screenshot())))
    gap = 12
    whole = Image.new("RGB", (2 * steps[0].width + gap, steps[0].height), "white")
    for k, step in enumerate(steps):
        whole.paste(step, (k * (step.width + gap), 0))
    save(whole, path)


def shoot(page: Any, path: Path) -> None:
    """The page as a picture."""
    from PIL import Image

    page.mouse.move(5, 5)
    page.wait_for_timeout(1000)
    save(Image.open(io.BytesIO(page.screenshot())), path)


def save(picture: Any, path: Path) -> None:
    """At most 256 colours, so that the repository stays small; rare ones, of a slider or a button, stay what they are."""
    from PIL import Image

    picture.convert("RGB").quantize(256, method=Image.Quantize.MAXCOVERAGE, kmeans=3).save(path, optimize=True)
    print(path.name)


# The pointer of a browser without a screen is in no picture.
POINTER = """([x, y]) => {
  for (const [left, top, width, height] of [[x - 11, y - 1, 22, 2], [x - 1, y - 11, 2, 22]]) {
    const arm = document.createElement("div");
    arm.className = "drawn-pointer";
    arm.style.cssText = `position:fixed;left:${left}px;top:${top}px;width:${width}px;height:${height}px;background:#fff;z-index:9999`;
    document.body.append(arm);
  }
}"""
POINTER_AWAY = "() => document.querySelectorAll('.drawn-pointer').forEach(arm => arm.remove())"


def shoot_clicks(page: Any, path: Path) -> None:
    """The three steps of a click on a lesion, each a piece of the axial view, side by side."""
    from PIL import Image

    box = page.locator("#view-Red").bounding_box()
    across, down = box["x"] + NODULE[0] * box["width"], box["y"] + NODULE[1] * box["height"]
    side = 190
    piece = {"x": across - side / 2, "y": down - 0.7 * side, "width": side, "height": side}
    steps = []

    def take() -> None:
        page.wait_for_timeout(3000)
        steps.append(Image.open(io.BytesIO(page.screenshot(clip=piece))))

    page.mouse.move(across, down)
    page.evaluate(POINTER, [across, down])
    take()
    page.evaluate(POINTER_AWAY)
    page.mouse.click(across, down)
    page.wait_for_function("() => window.trame.state.get('has_proposal')")
    page.mouse.move(5, 5)
    take()
    page.keyboard.press("Enter")
    page.wait_for_function("() => window.trame.state.get('lesion_rows').some(row => row.state === 'added')")
    take()
    scale, gap = 2, 12
    wide = side * scale
    whole = Image.new("RGB", (3 * wide + 2 * gap, wide), "white")
    for k, step in enumerate(steps):
        whole.paste(step.resize((wide, wide), Image.Resampling.LANCZOS), (k * (wide + gap), 0))
    save(whole, path)


def main() -> int:
    """Takes all of them."""
    from playwright.sync_api import sync_playwright

    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY / "docs" / "images"
    command = [sys.executable, "-m", "ClamSegWeb", "--no-browser"]
    # Folders of its own: reviews that an earlier page left behind are in no picture.
    own = tempfile.TemporaryDirectory()
    environment = {
        **os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1", "TMPDIR": own.name, "HOME": own.name,
    }  # fmt: skip
    server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().split(" at ")[1].strip()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(CHROMIUM_WORDS))
            page = browser.new_page(viewport=SIZE)
            page.set_default_timeout(120_000)
            page.goto(address)
            page.wait_for_selector("#scan-name:has-text('Chest CT')")
            segment_and_shoot(page, server.pid, folder / "page-first-look.png")
            page.click("#decide-accepted")
            page.click("#lesion-1")
            page.wait_for_timeout(5000)
            shoot(page, folder / "page-review.png")
            page.click("#map-doubt")
            page.click("#edit-button")
            page.wait_for_selector("#drawing")
            shoot(page, folder / "page-drawing.png")
            page.click("#drawing-done")
            page.click("#map-none")
            page.click("#decide-rejected")  # as if it had been missed
            page.click("#click-button")
            shoot_clicks(page, folder / "page-click.png")
            browser.close()
    finally:
        server.terminate()
        server.wait()
        own.cleanup()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
