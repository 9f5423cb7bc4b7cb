"""Pictures of the panel for the documentation, from the shipped samples with the real worker.

    python Testing/slicer_stand_in/screenshots.py [FOLDER]

Writes panel-input.png, panel-segment.png, ... into docs/images, or into FOLDER. The panel is the extension's own, drawn
by the stand-in for Slicer's widgets.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
PICTURES = ("segment", "review", "training", "setup")
_LIMIT_S = 300.0


def take_pictures(window: Any, folder: Path, labelled: str) -> list[Path]:
    """Drives a built window over the shipped samples and pictures it in telling states.

    Args:
        window: with the real worker.
        folder: of the pictures.
        labelled: folder of labelled images, as it is typed into the panel.
    """
    paths = []
    for name, drive in (("segment", _segment), ("review", _review), ("training", _train), ("setup", _set_up)):
        drive(window, labelled)
        path = folder / f"panel-{name}.png"
        window.grab(path, "" if name == "segment" else f"{name}Section")
        paths.append(path)
    return paths


def _segment(window: Any, labelled: str) -> None:
    from slicer_stand_in.sample_volumes import add_sample

    answers: list[str] = []
    window.logic.look_at_installation(answers.append)
    _wait(window, lambda: answers)
    window.widget.enter()
    add_sample("mr_flair_brain.nii.gz", "FLAIR brain")
    add_sample("ct_chest.nrrd", "CT chest")
    window.choose("volumeSelector", "FLAIR brain")
    window.panel.models_changed()
    _only(window, "input", "segment")
    window.click("applyButton")
    _wait(window, lambda: window.ui.progressBar.value > 5 or _is_idle(window))


def _review(window: Any, labelled: str) -> None:
    _wait(window, lambda: _is_idle(window))
    _only(window, "review")
    for button in ("acceptButton", "rejectButton"):
        window.click(button)
    window.choose("overlaySelector", "probability")


def _train(window: Any, labelled: str) -> None:
    _only(window, "training")
    window.type_text("trainingFolderEdit", labelled)
    window.click("checkFolderButton")
    _wait(window, lambda: window.text("checkFolderButton") == "Check folder")


def _set_up(window: Any, labelled: str) -> None:
    _only(window, "setup")
    # as on a computer to which no engine was added yet, whatever this one has
    report = window.logic.installation
    window.panel.setup.show({**report, "engines": dict.fromkeys(report["engines"])})
    window.process_events()


def _is_idle(window: Any) -> bool:
    return bool(window.text("applyButton") == "Segment")


def _wait(window: Any, condition: Callable[[], Any]) -> None:
    window.wait_until(condition, _LIMIT_S)


def _only(window: Any, *sections: str) -> None:
    for each in ("input", "segment", "review", "training", "setup"):
        getattr(window.ui, f"{each}Section").collapsed = each not in sections
    window.process_events()


def main() -> None:
    """The command."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    for each in (REPOSITORY, REPOSITORY / "ClamSeg", REPOSITORY / "Testing", REPOSITORY / "Testing/library"):
        sys.path.insert(0, str(each))
    import slicer
    from labelled_phantoms import write_phantoms

    from slicer_stand_in import scenes, slicer_modules

    slicer_modules.install()
    from slicer_stand_in import driver

    folder = Path(sys.argv[1] if len(sys.argv) > 1 else REPOSITORY / "docs" / "images").resolve()
    slicer.mrmlScene, logic = scenes.fresh_scene()
    with tempfile.TemporaryDirectory() as own:
        os.environ |= {"CLAMSEG_MODELS": str(Path(own) / "models"), "CLAMSEG_CACHE": str(Path(own) / "cache")}
        os.chdir(own)  # so that the pictures show no path of this computer
        write_phantoms(Path("labelled images"))
        window = driver.Window(driver.load_module())
        try:
            for path in take_pictures(window, folder, "labelled images"):
                print(path)
        finally:
            window.close()
            logic.SetMRMLScene(None)
            os.chdir(REPOSITORY)
    problems = driver.problems()
    if problems:
        raise SystemExit("\n".join(problems))


if __name__ == "__main__":
    main()
