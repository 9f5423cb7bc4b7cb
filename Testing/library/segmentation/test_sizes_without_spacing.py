"""Where no spacing is known, sizes are areas in pixels: never ml or mm, in table, CSV, report, summary or picture."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_model import tiny_normative_model

import ClamSegLib as cs
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.segmentation import pictures


def picture(folder: Path) -> cs.Volume:
    values = np.random.default_rng(0).integers(0, 200, (48, 56), np.uint8)
    Image.fromarray(values).save(folder / "slice.png")
    return cs.read_volume(folder / "slice.png")


def stack(_folder: Path) -> cs.Volume:
    values = np.random.default_rng(0).integers(0, 900, (4, 48, 56)).astype(np.int16)
    return Volume(values, spacing_known=False, modality="MR")


@pytest.mark.parametrize("given", [picture, stack])
def test_no_size_is_told_in_ml_or_mm(given, tmp_path):
    model = cs.load_model(tiny_normative_model(tmp_path / "m"))
    model = replace(model, config=replace(model.config, minimum_volume_ml=0.1, threshold=0.2))
    result = cs.segment(given(tmp_path), model, device="cpu")
    assert result.table, "there is something to measure"
    for lesion in result.table:
        assert (lesion.volume_ml, lesion.longest_diameter_mm, lesion.centre_lps_mm) == (None, None, None)
        assert lesion.area_px > 0
    folder = result.save(tmp_path / "out")
    with (folder / "lesions.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            assert not any(row[name] for name in row if name.endswith(("_ml", "_mm")))
            assert int(row["area_px"]) > 0
    told = json.loads((folder / "report.json").read_text())
    assert not told["geometry"]["spacing_known"]
    assert " ml" not in told["summary"] + json.dumps(told["warnings"])
    empty = cs.segment(given(tmp_path), model, device="cpu", threshold=0.999)
    assert empty.summary.startswith("No lesion found, nothing else was looked for"), (
        "a smallest volume means nothing here"
    )


def test_a_picture_has_no_bar_of_5_cm_and_no_place_in_mm(tmp_path):
    from matplotlib.figure import Figure

    case = cs.segment(picture(tmp_path), tiny_normative_model(tmp_path / "m"), device="cpu").case
    axes = Figure().subplots()
    pictures._scale_bar(axes, case)
    assert not axes.lines
    assert "mm" not in pictures._caption(case, 0)
