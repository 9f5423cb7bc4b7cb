"""Takes the pictures of the page for the docs: `.venv-web/bin/python Testing/web/screenshots.py [FOLDER]`.

The real page on the shipped samples with the shipped models, as a reader sees it after a few clicks.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
CHROMIUM_WORDS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
SIZE = {"width": 1280, "height": 800}


def unfold(page: Any, title: str) -> None:
    """Opens a folded section."""
    head = page.locator(".v-expansion-panel-title").filter(has_text=title)
    if head.get_attribute("aria-expanded") != "true":
        head.click()


def open_sample(page: Any, sample: str, words: str) -> None:
    """Opens a sample."""
    unfold(page, "Input")
    page.click(f"#sample-{sample}")
    page.wait_for_selector(f"#scan-name:has-text('{words}')")


def segment(page: Any) -> None:
    """Segments and waits until the views are still."""
    page.wait_for_timeout(1500)
    unfold(page, "Segment")
    page.click("#segment-button")
    page.wait_for_function("() => window.trame.state.get('has_result')", timeout=300_000)
    page.wait_for_function("() => window.trame.state.get('run_state') === 'idle'", timeout=300_000)
    page.wait_for_timeout(8000)


def shoot(page: Any, path: Path) -> None:
    """The page as a picture of at most 256 colours, so that the repository stays small."""
    from PIL import Image

    page.mouse.move(5, 5)
    page.wait_for_timeout(1000)
    page.screenshot(path=str(path))
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT)
    small.save(path, optimize=True)
    print(path.name)


def main() -> int:
    """Takes all of them."""
    from playwright.sync_api import sync_playwright

    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY / "docs" / "images"
    scan = REPOSITORY / "Resources" / "Samples" / "mr_flair_brain.nii.gz"
    command = [sys.executable, "-m", "ClamSegWeb", "--no-browser", str(scan)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}
    server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().split(" at ")[1].strip()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(CHROMIUM_WORDS))
            page = browser.new_page(viewport=SIZE)
            page.set_default_timeout(120_000)
            page.goto(address)
            page.wait_for_selector("#sample-ct-chest")
            open_sample(page, "ct-chest", "CT")
            segment(page)
            page.click("#sort-size")
            page.click("#decide-accepted")
            page.click("#decide-rejected")
            page.wait_for_timeout(2000)
            shoot(page, folder / "page-review.png")
            page.click("#map-probability")
            page.click("#edit-button")
            page.wait_for_selector("#drawing")
            shoot(page, folder / "page-drawing.png")
            page.click("#drawing-done")
            open_sample(page, "xray-chest", "X-ray")
            segment(page)
            shoot(page, folder / "page-xray.png")
            open_sample(page, "ct-chest", "CT")
            segment(page)
            shoot(page, folder / "page-ct.png")
            browser.close()
    finally:
        server.terminate()
        server.wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
