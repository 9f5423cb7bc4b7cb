"""A reader in front of the browser: clicks, waits for what the page shows, and counts coloured pixels."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import pairwise
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

SLICES = ("Red", "Green", "Yellow")
SOLID = "ThreeD"
ORGAN, LESION = "organ", "lesion"
LIMIT_MS = 90_000
_EVERY_MS = 50
# Words, letters and sliders over the views are coloured too; pictures are counted without them.
_BARE = ".view-words, #views .v-slider { visibility: hidden !important }"
# Titles of the folded sections around an element.
_FOLDED_AROUND = """selector => {
  const titles = [];
  let panel = document.querySelector(selector)?.closest('.v-expansion-panel');
  for (; panel; panel = panel.parentElement.closest('.v-expansion-panel'))
    if (!panel.classList.contains('v-expansion-panel--active'))
      titles.unshift(panel.querySelector('.v-expansion-panel-title').innerText.trim());
  return titles;
}"""
# A click on what still moves can be lost: the button is pressed over one thing and let go over another.
_NOTHING_OPENS = "!document.querySelector('[class*=expand-transition]')"
_IS_OPEN = f"""title => {{
  const head = [...document.querySelectorAll('.v-expansion-panel-title')].find(each => each.textContent.includes(title));
  const panel = head && head.closest('.v-expansion-panel');
  return panel && panel.classList.contains('v-expansion-panel--active') && {_NOTHING_OPENS};
}}"""
# Quality steps of a view's picture: the sum of its first table of quantisation, some 700 at rest and 1800 while something moves.
_COARSENESS = """async view => {
  const picture = document.getElementById(`view-${view}`).parentElement.querySelector('img');
  const bytes = new Uint8Array(await (await fetch(picture.src)).arrayBuffer());
  const table = bytes.findIndex((byte, k) => byte === 0xff && bytes[k + 1] === 0xdb);
  return bytes.slice(table + 5, table + 69).reduce((sum, step) => sum + step, 0);
}"""
_COARSE = 1200


class PageReader:
    """A tab of the browser.

    Args:
        browser: Playwright's.
        address: with the key.

    Attributes:
        tab: Playwright's page.
        outside: addresses that were asked for anywhere but on this computer.
        problems: what the page's scripts complained about.
    """

    def __init__(self, browser: Any, address: str) -> None:
        self._context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
        self.tab = self._context.new_page()
        self.tab.set_default_timeout(LIMIT_MS)
        self.outside: list[str] = []
        self.problems: list[str] = []
        self._context.on("request", lambda request: self._look_at(request.url))
        self.tab.on("websocket", lambda socket: self._look_at(socket.url))
        self.tab.on("pageerror", lambda error: self.problems.append(str(error)))
        self.address = address

    def __enter__(self) -> PageReader:
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._context.close()
        if kind is None:
            assert self.outside == []
            assert self.problems == []

    def _look_at(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("data", "blob") and parts.hostname != "127.0.0.1":
            self.outside.append(address)

    def open(self) -> None:
        """Opens the page and waits for its pictures."""
        self.tab.goto(self.address)
        self.has_pictures()

    def another_tab(self) -> PageReader:
        """The same page in another tab."""
        other = object.__new__(PageReader)
        other.__dict__.update(self.__dict__)
        other.tab = self._context.new_page()
        other.tab.set_default_timeout(LIMIT_MS)
        other.open()
        return other

    def has_pictures(self) -> None:
        """Waits until every view that is there has a picture of its size."""
        self.until(
            "() => { const views = [...document.querySelectorAll('[id^=view-]')];"
            " return views.length && views.every(v => { const i = v.parentElement.querySelector('img');"
            " return i && i.complete && Math.abs(i.naturalWidth - v.clientWidth * devicePixelRatio) < 2; }); }"
        )
        self.tab.add_style_tag(content=_BARE)

    # What stands there

    def until(self, condition: str, argument: Any = None) -> None:
        """Waits until a condition in the page's own language holds."""
        # Not with each frame, as by default: without a graphics card frames cost more than what is waited for.
        self.tab.wait_for_function(condition, arg=argument, polling=_EVERY_MS)

    def words(self, name: str) -> str:
        """Words of an element by id."""
        return str(self.tab.locator(f"#{name}").inner_text()).strip()

    def says(self, name: str, words: str) -> None:
        """Waits until an element holds the words."""
        self.until(
            "([id, words]) => { const e = document.getElementById(id); return e && e.innerText.includes(words); }",
            [name, words],
        )

    def value(self, name: str) -> Any:
        """A value of the page's state, as this tab holds it."""
        return self.tab.evaluate("name => window.trame.state.get(name)", name)

    def holds(self, name: str, value: Any) -> None:
        """Waits until a value of the page's state is this one."""
        self.until(
            "([name, value]) => JSON.stringify(window.trame.state.get(name)) === JSON.stringify(value)", [name, value]
        )

    def notices(self) -> list[str]:
        """Notices that stand there."""
        return [str(words) for words in self.tab.locator("[data-testid=notice]").all_inner_texts()]

    def is_told(self, words: str) -> None:
        """Waits for a notice with the words, and closes it."""
        notice = self.tab.locator("[data-testid=notice]", has_text=words)
        notice.wait_for()
        notice.get_by_role("button").click()
        notice.wait_for(state="detached")

    # Doing

    def click(self, name: str) -> None:
        """Clicks an element by id, in a section that is unfolded before where it is folded."""
        self.reach(f"#{name}")
        self.tab.locator(f"#{name}").click()

    def reach(self, selector: str) -> None:
        """Unfolds the sections around an element, the outer one first."""
        for title in self.tab.evaluate(_FOLDED_AROUND, selector):
            self.unfold(title)
        self.until(f"() => {_NOTHING_OPENS}")

    def unfold(self, title: str) -> None:
        """Opens a folded section by its title, where it is folded, and what it lies in."""
        head = self.tab.locator(".v-expansion-panel-title").filter(has_text=title)
        if title == "Own files":
            self.unfold("Input")
        if head.get_attribute("aria-expanded") != "true":
            head.click()
        self.until(_IS_OPEN, title)

    def shows(self, name: str) -> None:
        """Waits until a scan of this name is shown, by its file or its patient, and nothing is being opened."""
        self.until(
            "name => { const e = document.getElementById('scan-name'); return e && (e.innerText + e.title).includes(name); }",
            name,
        )
        self.until("() => !window.trame.state.get('opening')")

    def open_sample(self, name: str, title: str) -> None:
        """Opens a sample and waits for it and its pictures."""
        self.until("() => !window.trame.state.get('opening')")
        before = {} if title in self.words("scan-name") else self._pictures()
        self.click(f"sample-{name}")
        self.shows(title)
        self.has_pictures()
        for view, old in before.items():
            # The name comes first: until its picture follows, that of the scan before stands under it. Where the
            # layout changed, only the new one has the view's size.
            if self.tab.locator(f"#view-{view}").count():
                self.picture_until(view, lambda picture, old=old: differs(picture, old))

    def choose_scan(self, name: str) -> None:
        """Shows a scan that is open; a click on the one that is shown would suggest a model again, some time later."""
        if name not in str(self.tab.locator("#scan-name").get_attribute("title")):
            self.chip(name).click()
            self.shows(name)

    def chip(self, name: str) -> Any:
        """The chip of an open scan by the name of its file; a DICOM scan bears its patient's."""
        return self.tab.locator(f'#scans .v-chip[title*="{name}"]')

    def _pictures(self) -> dict[str, np.ndarray]:
        """What the slice views that are there show, by name."""
        return {view: self.picture(view) for view in SLICES if self.tab.locator(f"#view-{view}").count()}

    def slide(self, name: str, key: str, times: int = 1) -> None:
        """Moves a slider by keys, as a hand on the keyboard does."""
        self.reach(f"#{name}")
        thumb = self.tab.locator(f".v-slider:has(#{name}) [role=slider], #{name} [role=slider]").first
        for _ in range(times):
            thumb.press(key)

    def segment(self, *, fast: bool = True) -> None:
        """Segments and waits for the end; decisions of an earlier review are given up."""
        self.start_segmenting(fast=fast)
        self.idle()

    def start_segmenting(self, *, fast: bool = True) -> None:
        """Clicks Segment, at the first level or at the model's depth."""
        self.breathe()  # the slider has the levels of the model that was chosen just now
        levels = self.value("levels")
        self.slide("level", "Home" if fast else "End")
        self.holds("level", 1 if fast else levels)
        self.click("segment-button")
        self.until("() => window.trame.state.get('question') || window.trame.state.get('run_state') !== 'idle'")
        if self.value("question"):
            self.click("question-yes")
        self.says("segment-button", "Cancel")

    def idle(self) -> None:
        """Waits for the end of a run."""
        self.says("segment-button", "Segment")

    def choose_lesion(self, number: int) -> None:
        """Clicks a row of the lesion table."""
        self.click(f"lesion-{number}")
        self.holds("lesion_number", number)

    # Looking

    def picture(self, view: str) -> np.ndarray:
        """What a view shows, (row, column, red green blue)."""
        png = self.tab.locator(f"#view-{view}").screenshot()
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)

    def count(self, view: str, kind: str) -> int:
        """How many pixels of a view have the colour of organs (blue) or of lesions (vermilion)."""
        return count(self.picture(view), kind)

    def count_until(self, view: str, kind: str, is_enough: Callable[[int], bool]) -> int:
        """Waits until the number of such pixels is enough, and returns it."""
        return count(self.picture_until(view, lambda picture: is_enough(count(picture, kind))), kind)

    def picture_until(self, view: str, is_right: Callable[[np.ndarray], bool]) -> np.ndarray:
        """Waits for a picture of a view, and returns it.

        Pictures come after the words that announce them; nothing but the picture itself tells that it has arrived.
        """
        for _ in range(300):
            picture = self.picture(view)
            if is_right(picture):
                return picture
            self.tab.wait_for_timeout(100)
        numbers = {kind: count(picture, kind) for kind in (ORGAN, LESION)}
        raise AssertionError(f"{view} does not show what it should; coloured pixels: {numbers}")

    def still(self, view: str) -> np.ndarray:
        """The picture of a view once it no longer changes, and no longer has the lower quality of a view that moves.

        Colours of the lower quality run over their edges: counts of the two are not compared with each other.
        """
        last = self.picture(view)
        for _ in range(200):
            self.tab.wait_for_timeout(300)
            picture = self.picture(view)
            if self.tab.evaluate(_COARSENESS, view) < _COARSE and (picture == last).all():
                return picture
            last = picture
        raise AssertionError(f"{view} does not come to rest")

    # The mouse over a view

    def place(self, view: str, across: float, down: float) -> tuple[float, float]:
        """A point of a view in the browser's pixels; both parts from 0 to 1."""
        box = self.tab.locator(f"#view-{view}").bounding_box()
        return box["x"] + across * box["width"], box["y"] + down * box["height"]

    def middle(self, selector: str) -> tuple[float, float]:
        """The middle of an element in the browser's pixels, once sections that open or fold no longer move it."""
        last: Any = None
        for _ in range(100):
            box = self.tab.locator(selector).bounding_box()
            if box is not None and box == last:
                return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
            last = box
            self.tab.wait_for_timeout(500)  # longer than sections move
        raise AssertionError(f"{selector} does not come to rest")

    def wheel(self, view: str, steps: int) -> None:
        """Turns the wheel over a view, step by step."""
        self.tab.mouse.move(*self.place(view, 0.5, 0.5))
        for _ in range(abs(steps)):
            self.tab.mouse.wheel(0, 100 if steps > 0 else -100)

    def drag(self, view: str, *points: tuple[float, float]) -> None:
        """Draws a line through points of a view with the button held."""
        self.tab.mouse.move(*self.place(view, *points[0]))
        self.tab.mouse.down()
        for (x, y), (to_x, to_y) in pairwise(points):
            for part in np.linspace(0, 1, 9)[1:]:
                self.tab.mouse.move(*self.place(view, x + part * (to_x - x), y + part * (to_y - y)))
                self.breathe()
        self.tab.mouse.up()

    def breathe(self) -> None:
        """Lets the browser send what happened and show what came, as between two movements of a hand."""
        frames = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 20))))"
        self.tab.evaluate(frames)


def differs(picture: np.ndarray, other: np.ndarray) -> bool:
    """Whether more changed than the quality of the transmission: a fiftieth of the pixels clearly."""
    return picture.shape != other.shape or (abs(picture - other).max(axis=2) > 25).mean() > 0.02


def count(picture: np.ndarray, kind: str) -> int:
    """How many pixels have the colour of organs (blue) or of lesions (vermilion)."""
    red, green, blue = (picture[..., k] for k in range(3))
    if kind == ORGAN:
        return int(np.count_nonzero((blue - red > 25) & (blue - green > 5)))
    return int(np.count_nonzero((red - blue > 40) & (red - green > 20)))
