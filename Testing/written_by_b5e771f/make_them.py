"""Writes a scene, corrections, settings and a model with the code of commit b5e771f, for the tests that open them today.

    git worktree add ../b5e771f b5e771f
    OMP_NUM_THREADS=1 python Testing/written_by_b5e771f/make_them.py ../b5e771f

Everything is drawn, with fixed seeds. What lies beside this file is replaced.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# Folders of a reader who is not on this computer: what matters is that they come back as they were chosen.
READER = "/data/reader"


def three_lesions(volume: Any) -> Any:
    """Probability in steps of 1/255 of two strong lesions and one that is weak at its rim."""
    import numpy as np

    probability = np.full(volume.array.shape, 3, np.uint8)
    probability[2:4, 3:6, 4:8] = 200
    probability[2, 3, 4] = 250
    probability[6:8, 8:12, 10:15] = 140
    probability[6:8, 8:11, 10:14] = 190
    probability[4:6, 9:12, 2:5] = 230
    return probability


def write_review(folder: Path) -> None:
    """A review in the window, saved with its scene; its corrections; and what the application's settings hold then."""
    import numpy as np
    import slicer
    from fakes import FakeWorker
    from PySide6.QtCore import QSettings
    from slicer_stand_in import driver, settings
    from test_review_section import run_to_the_end
    from volumes_in_scene import add_volume

    window = driver.Window(driver.load_module(), FakeWorker())
    window.scene, window.worker = slicer.mrmlScene, window.logic.worker
    window.panel.keep_setting("correctionsFolder", str(folder / "corrections"))
    window.worker.probability_of = three_lesions
    add_volume(window.scene, np.random.default_rng(0).integers(0, 900, (9, 20, 24)).astype(np.int16), name="flair head")
    window.choose("volumeSelector", "flair head")
    run_to_the_end(window)
    window.click_cell("lesionTable", 0)
    window.click("acceptButton")
    window.click("rejectButton")
    window.drag("thresholdSlider", [0.7, 0.62])
    window.panel.review.result.mark(0, "normal")
    window.panel.review.result.mark(8, "unsure")
    window.click("saveCorrectionsButton")
    save_scene(window.scene, folder / "review.mrb")
    window.logic.installation = {"devices": [{"name": "cpu", "description": "8 threads", "works": True}]}
    window.panel.segment.fill_devices()
    window.choose("deviceSelector", "cpu 8 threads")
    window.panel.segment.measured("mr-flair-lesion", "cpu", 2, 0.25)
    window.open("trainingSection")
    window.type_text("trainingFolderEdit", f"{READER}/images")
    window.panel.training._choices.remember(window.panel.training._choices.plan())
    for name, value in {
        "correctionsFolder": f"{READER}/corrections",
        "exportFolder": f"{READER}/exports",
        "lastTraining": "mine-2",
    }.items():
        window.panel.keep_setting(name, value)
    stored = QSettings(str(folder / "Slicer.ini"), QSettings.Format.IniFormat)
    for name, value in settings._VALUES.items():
        stored.setValue(name, value)
    stored.sync()
    window.close()


def save_scene(scene: Any, path: Path) -> None:
    """The scene as Slicer bundles it, its files packed: Slicer stores them as they are."""
    with tempfile.TemporaryDirectory() as temporary:
        written = Path(temporary) / path.name
        if not scene.WriteToMRB(str(written)):
            raise SystemExit("The scene could not be saved.")
        with zipfile.ZipFile(written) as stored, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for entry in stored.infolist():
                packed.writestr(zipfile.ZipInfo(entry.filename), stored.read(entry), zipfile.ZIP_DEFLATED)


def write_model(folder: Path, checkout: Path) -> None:
    """A model trained for a few steps as `train` does by itself, a scan, and the probability that it found."""
    import numpy as np
    from ClamSegLib.volume import Volume
    from ClamSegLib.volume_files import write_volume
    from labelled_phantoms import phantom_slice, write_phantoms

    scan = folder / "scan.nrrd"
    rng = np.random.default_rng(11)
    slices = np.stack([phantom_slice(rng, index in (2, 3, 4))[0] for index in range(6)])
    write_volume(slices.astype(np.int16), Volume(slices, (1.0, 1.0, 3.0)), scan)
    with tempfile.TemporaryDirectory() as temporary:
        data = write_phantoms(Path(temporary) / "phantoms")
        small = ["--features", "4,8,8", "--image-size", "48", "--batch-pairs", "4", "--steps", "120", "--seed", "0"]
        clamseg(checkout, "train", data, "--output", folder / "model", "--name", "trained-before", *small)
        result = Path(temporary) / "result"
        clamseg(checkout, "segment", scan, "--model", folder / "model", "--output", result, "--engine", "reference")
        (found,) = result.rglob("probability.nrrd")
        shutil.copyfile(found, folder / "probability.nrrd")
    for name in ("curves.png", "events.jsonl", "metrics.csv"):  # of the training, not of the model
        (folder / "model" / name).unlink()


def clamseg(checkout: Path, verb: str, *words: Any) -> None:
    """Runs the checkout's command line on one CPU thread."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "ClamSegLib", verb, *map(str, words), "--device", "cpu", "--threads", "1"]
    subprocess.run(command, check=True, env=environment, cwd=checkout)


def main() -> None:
    """Writes everything anew beside this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="a working tree of commit b5e771f")
    parser.add_argument("--only", choices=("review", "model"))
    asked = parser.parse_args()
    checkout = asked.checkout.resolve()
    for part in ("Testing/library", "Testing/extension", "Testing", "ClamSeg", "."):
        sys.path.insert(0, str(checkout / part))
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    if asked.only != "review":
        shutil.rmtree(HERE / "model", ignore_errors=True)
        write_model(HERE, checkout)
    if asked.only != "model":
        import slicer
        from slicer_stand_in import slicer_modules
        from slicer_stand_in.scenes import fresh_scene

        slicer.mrmlScene, _logic = fresh_scene()
        slicer_modules.install()
        shutil.rmtree(HERE / "corrections", ignore_errors=True)
        (HERE / "Slicer.ini").unlink(missing_ok=True)
        write_review(HERE)


if __name__ == "__main__":
    main()
