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
from ClamSegLib.segmentation.pictured_case import pictured


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
    assert empty.summary.startswith("No lesion of 11 pixels or more found"), "a smallest volume means nothing here"


@pytest.mark.parametrize("given", [picture, stack])
def test_what_four_pixels_of_the_network_would_hold_is_not_listed_and_that_is_said(given, tmp_path):
    model = cs.load_model(tiny_normative_model(tmp_path / "m"))
    seen = cs.segment(given(tmp_path), model, device="cpu").case.probability
    threshold = float(np.quantile(seen, 0.9)) / 255  # an untrained network marks little parts all over at such a one
    every = cs.segment(given(tmp_path), model, device="cpu", threshold=threshold, minimum_area_px=0)
    listed = cs.segment(given(tmp_path), model, device="cpu", threshold=threshold)
    side = model.config.image_size
    box = listed.case.preparation.box
    least = 4 * box.height * box.width / side**2
    assert [x.area_px for x in listed.table] == [x.area_px for x in every.table if x.area_px >= least]
    assert len(listed.table) < len(every.table)
    assert listed.summary.endswith("; marks below 11 pixels are not listed")
    assert "not listed" not in every.summary
    assert np.array_equal(every.case.probability, listed.case.probability), "the map is the same"


def test_a_smallest_area_is_for_scans_without_ml_only(tmp_path):
    model = cs.load_model(tiny_normative_model(tmp_path / "m"))
    scan = replace(stack(tmp_path), spacing_known=True)
    every, large = (
        cs.segment(scan, model, device="cpu", threshold=0.2, minimum_area_px=least).table for least in (0, 9999)
    )
    assert every
    assert [x.volume_ml for x in every] == [x.volume_ml for x in large]


def test_a_picture_has_no_bar_of_5_cm_and_no_place_in_mm(tmp_path):
    from matplotlib.figure import Figure

    case = cs.segment(picture(tmp_path), tiny_normative_model(tmp_path / "m"), device="cpu").case
    axes = Figure().subplots()
    shown = pictured(case, "case")
    pictures._scale_bar(axes, shown)
    assert not axes.lines
    assert "mm" not in shown.stage.caption
