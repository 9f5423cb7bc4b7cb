"""axe-core, as axe-playwright-python brings it, on a tab of the page."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

_LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
# What is under the pointer or fades in has colours of its own for a moment.
_AT_REST = "*, *::before, *::after { transition: none !important; animation: none !important }"


def violations(tab: Any) -> list[str]:
    """What axe finds wrong now: rule, and the first elements that break it."""
    tab.add_style_tag(content=_AT_REST)
    tab.mouse.move(1, 1)
    tab.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")
    # Menus are faded in by scripts, which no style holds back.
    tab.evaluate("() => Promise.allSettled(document.getAnimations().map(each => each.finished)).then(() => null)")
    if not tab.evaluate("() => 'axe' in window"):
        tab.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = tab.evaluate(
        "levels => axe.run(document, {runOnly: levels, resultTypes: ['violations']}).then(told => told.violations)",
        _LEVELS,
    )
    return [
        f"{one['id']}: {[(node['html'][:150], node['failureSummary'][-200:]) for node in one['nodes'][:3]]}"
        for one in found
    ]
