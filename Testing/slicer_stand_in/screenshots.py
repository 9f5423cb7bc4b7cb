"""Pictures of the panel for the documentation, from the shipped samples with the real worker.

    python Testing/slicer_stand_in/screenshots.py [FOLDER]

Writes panel-input.png, panel-segment.png, ... into docs/images, or into FOLDER. The panel is the extension's own, drawn
by the stand-in for Slicer's widgets.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
SECTIONS = ("input", "segment", "review", "training", "setup")
_LIMIT_S = 300.0


def take_pictures(window: Any, folder: Path) -> list[Path]:
    """Drives a built window over the FLAIR sample and pictures each section in a telling state."""
    from slicer_stand_in.sample_volumes import add_sample

    add_sample("mr_flair_brain.nii.gz", "FLAIR brain")
    add_sample("ct_chest.nrrd", "CT chest")
    window.choose("volumeSelector", "FLAIR brain")
    _look_at_set_up(window)
    window.click("applyButton")
    _wait(window, lambda: window.ui.progressBar.value > 5 or _is_idle(window))
    paths = [_picture(window, folder, "segment")]
    _wait(window, lambda: _is_idle(window))
    paths += [_picture(window, folder, name) for name in ("input", "review", "training", "setup")]
    return paths


def _look_at_set_up(window: Any) -> None:
    answers: list[str] = []
    window.logic.look_at_installation(answers.append)
    _wait(window, lambda: answers)
    window.widget.enter()
    window.panel.models_changed()


def _is_idle(window: Any) -> bool:
    return bool(window.text("applyButton") == "Segment")


def _wait(window: Any, condition: Callable[[], Any]) -> None:
    window.wait_until(condition, _LIMIT_S)


def _picture(window: Any, folder: Path, name: str) -> Path:
    for each in SECTIONS:
        getattr(window.ui, f"{each}Section").collapsed = each != name
    path = folder / f"panel-{name}.png"
    window.grab(path, f"{name}Section")
    return path


def main() -> None:
    """The command."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    for each in (REPOSITORY, REPOSITORY / "ClamSeg", REPOSITORY / "Testing"):
        sys.path.insert(0, str(each))
    import slicer

    from slicer_stand_in import scenes, slicer_modules

    slicer_modules.install()
    from slicer_stand_in import driver

    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY / "docs" / "images"
    slicer.mrmlScene, logic = scenes.fresh_scene()
    window = driver.Window(driver.load_module())
    try:
        for path in take_pictures(window, folder):
            print(path)
    finally:
        window.close()
        logic.SetMRMLScene(None)
    problems = driver.problems()
    if problems:
        raise SystemExit("\n".join(problems))


if __name__ == "__main__":
    main()
