"""An outline of the lungs in an X-ray is judged by what outlines of people look like."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_find_organ import Heard

from ClamSegLib.imaging.read_write import read_volume
from ClamSegLib.imaging.volume import canonical
from ClamSegLib.model.checkpoint import load_model
from ClamSegLib.model.config import OrganConfig
from ClamSegLib.model.registry import find_model
from ClamSegLib.organ.find_organ import find_organ
from ClamSegLib.organ.lungs_xray import doubt_of_lungs
from ClamSegLib.segmentation.options import SegmentOptions
from ClamSegLib.segmentation.segment_volume import segment_volume

XRAY = OrganConfig("model:xray-lungs", "lungs")
SAMPLES = Path(__file__).resolve().parents[3] / "Resources" / "Samples"


def lungs(left_top: float = 0.12, right_top: float = 0.12, bottom: float = 0.82, right: bool = True) -> np.ndarray:
    """Two upright ellipses from their tops, as parts of the height, to the bottom."""
    y, x = np.mgrid[:200, :200] / 200
    mask = np.zeros(y.shape, bool)
    for centre, top, there in ((0.3, left_top, True), (0.7, right_top, right)):
        middle, half = (top + bottom) / 2, (bottom - top) / 2
        mask |= there & (((y - middle) / half) ** 2 + ((x - centre) / 0.16) ** 2 < 1)
    return mask


def test_two_lungs_of_the_usual_size_are_no_doubt() -> None:
    assert doubt_of_lungs(lungs()) == ""


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (lambda: lungs(0.5, 0.5, 0.7), "fill 10% of the picture"),
        (lambda: lungs(0.4, 0.4, 0.95), "begin 40% down"),
        (lambda: lungs(0.1, 0.5, 0.9), "one side is 50% of the other"),
        (lambda: lungs(0.1, 0.24, 0.9), "one side begins far below the other"),
        (lambda: np.zeros((50, 50), bool), "no lungs were found"),
    ],
)
def test_what_is_missed_is_named_with_what_to_do(mask: Callable[[], np.ndarray], words: str) -> None:
    told = doubt_of_lungs(mask())
    assert words in told
    assert "give a mask" in told


def test_the_sample_is_no_doubt_and_its_lower_half_alone_is_one() -> None:
    volume = canonical(read_volume(SAMPLES / "xray_chest.png"), "axial")[0]
    found = find_organ(volume, XRAY)
    assert found.problem == ""
    assert found.quality > 0.8
    half = found.mask[0].copy()
    rows = np.flatnonzero(half.any(axis=1))
    half[: (rows[0] + rows[-1]) // 2] = False
    assert "begin" in doubt_of_lungs(half)


def test_outlines_of_people_are_hardly_ever_doubted(real_data: Path) -> None:
    folder = real_data / "covid_cxr_lungs"
    if not folder.is_dir():
        pytest.skip("the X-rays with lung masks are not on this machine")
    with (folder / "labels.csv").open(newline="") as file:
        rows = [row["organ_mask_path"] for row in csv.DictReader(file)]
    doubts = [path for path in rows if doubt_of_lungs(np.asarray(Image.open(folder / path)) > 0)]
    assert len(doubts) <= 0.03 * len(rows), doubts


@pytest.mark.parametrize(("hidden", "words"), [("upper", "down the picture"), ("left", "of the picture (12%")])
def test_an_outline_of_a_part_is_doubted_where_it_is_an_organ_step_and_where_it_is_the_result(
    hidden: str, words: str
) -> None:
    volume = read_volume(SAMPLES / "xray_chest.png")
    array = volume.array.copy()
    if hidden == "upper":
        array[:, : array.shape[1] // 2] = array[:, : array.shape[1] // 2].min()
    else:
        array[:, :, array.shape[2] // 2 :] = 0
    half = replace(volume, array=array)
    result = segment_volume(half, load_model(find_model("xray-lungs")), SegmentOptions(device="cpu"))
    assert result.summary().endswith("this model looks for no lesions; the outline of the lungs is doubtful")
    assert words in result.warnings[-1]
    heard = Heard()
    found = find_organ(canonical(half, "axial")[0], XRAY, reporter=heard)
    assert (found.quality, found.fell_back) == (0.5, False)
    assert words in heard.warnings[0]
