import csv
import json
from pathlib import Path

import numpy as np
import pytest
from labelled_phantoms import write_phantoms
from tiny_model import tiny_model

from ClamSegLib.cli import main
from ClamSegLib.evaluation.montage import BOXES, LABELS, OUTLINES, chosen_examples, example_of
from ClamSegLib.evaluation.scoreboard import Scoreboard
from ClamSegLib.imaging.read_write import write_volume
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.metrics import dice


def board(threshold: float | None = 0.5) -> Scoreboard:
    return Scoreboard("x", threshold)


def disc(row: int, column: int, radius: int = 6) -> np.ndarray:
    y, x = np.mgrid[:40, :40]
    return (y - row) ** 2 + (x - column) ** 2 <= radius**2


ORGAN = disc(20, 20, 18)


def add(
    b: Scoreboard, shown: np.ndarray, reference: np.ndarray | None, patient: str = "a", boxes: np.ndarray | None = None
) -> None:
    diseased = reference is None or bool(reference.any())
    b.add_slice(shown, ORGAN, reference, boxes, patient=patient, row=0, diseased=diseased, pixel_mm=(1.0, 1.0))


def test_a_perfect_prediction_has_perfect_figures():
    b = board()
    add(b, disc(20, 20) * np.uint8(255), disc(20, 20))
    add(b, np.zeros((40, 40), np.uint8), np.zeros((40, 40), bool))
    row = b.figures(0)
    assert row["dice"]["value"] == row["pixel_ap"] == row["slice_auc"] == row["best_dice_oracle"]["value"] == 1
    assert row["false_positive_area"]["value"] == row["hd95_mm"]["value"] == 0


def test_figures_agree_with_their_definitions_pixel_by_pixel():
    rng = np.random.default_rng(0)
    shown = rng.integers(0, 256, (40, 40)).astype(np.uint8)
    reference = disc(22, 18)
    b = board(0.3)
    add(b, shown, reference)
    row = b.figures(0)
    assert row["dice"]["value"] == pytest.approx(dice((shown > 0.3 * 255) & ORGAN, reference & ORGAN))
    is_lesion, value = reference[ORGAN], shown[ORGAN]
    precision = [is_lesion[value >= v].mean() for v in value[is_lesion]]
    assert row["pixel_ap"] == pytest.approx(np.mean(precision)), "mean precision at the value of each lesion pixel"
    every = [dice((shown > t) & ORGAN, reference & ORGAN) for t in range(256)]
    assert row["best_dice_oracle"]["value"] == pytest.approx(max(every))
    assert row["best_dice_oracle"]["threshold"] == pytest.approx(int(np.argmax(every)) / 255)


def test_the_calibration_error_is_how_far_probabilities_lie_from_the_share_of_lesion():
    half = np.full((40, 40), 51, np.uint8)  # P_L = 0.2 everywhere
    b = board()
    add(b, half, disc(20, 20))
    share = disc(20, 20).sum() / ORGAN.sum()
    assert b.figures(0)["calibration_error"] == pytest.approx(abs(0.2 - share))
    c = board()
    add(c, disc(20, 20) * np.uint8(255), disc(20, 20))
    assert c.figures(0)["calibration_error"] == 0
    assert board().figures(0)["calibration_error"] is None


def test_nothing_outside_the_organ_counts():
    b = board()
    everywhere = np.full((40, 40), 255, np.uint8)
    add(b, np.where(ORGAN, disc(20, 20) * 255, 255).astype(np.uint8), disc(20, 20))
    assert b.figures(0)["dice"]["value"] == 1
    c = board()
    add(c, everywhere, np.zeros((40, 40), bool))
    assert c.figures(0)["false_positive_area"]["value"] == 1


def test_a_missed_lesion_is_dice_zero_and_has_no_distance():
    b = board()
    add(b, np.zeros((40, 40), np.uint8), disc(20, 20))
    row = b.figures(0)
    assert row["dice"]["value"] == 0
    assert row["hd95_mm"] is None


def test_slices_without_an_outline_are_counted_and_left_out():
    b = board()
    add(b, disc(20, 20) * np.uint8(255), None)
    row = b.figures(0)
    assert row["dice"] is None
    assert row["pixel_ap"] is None
    assert row["slices_without_outline"] == 1


def test_boxes_serve_pointing_and_overlap_only():
    b = board()
    box = np.zeros((40, 40), bool)
    box[14:27, 14:27] = True
    shown = disc(20, 20, 3) * np.uint8(200)
    add(b, shown, None, boxes=box)
    row = b.figures(0)
    assert row["pointing"]["value"] == 1
    assert row["box_iou"]["value"] == pytest.approx(disc(20, 20, 3).sum() / box.sum())
    assert row["energy_in_box"]["value"] == 1
    assert row["dice"] is None


def test_the_best_box_overlap_is_that_of_the_best_threshold():
    b = board(0.9)  # above all values, so that nothing is marked
    box = disc(20, 20, 6)
    shown = np.where(disc(20, 20, 6), 100, np.where(disc(20, 20, 12), 40, 0)).astype(np.uint8)
    add(b, shown, None, boxes=box)
    row = b.figures(0)
    assert row["box_iou"]["value"] == 0
    assert row["best_box_iou_oracle"]["value"] == pytest.approx(1)
    assert 40 / 255 <= row["best_box_iou_oracle"]["threshold"] < 100 / 255


def test_the_worst_patients_are_named_worst_first():
    b = board()
    for patient, column in (("near", 22), ("far", 40), ("good", 20)):
        add(b, disc(20, column) * np.uint8(255), disc(20, 20), patient=patient)
        add(b, disc(20, column) * np.uint8(255), np.zeros((40, 40), bool), patient=patient)
    worst = b.worst_patients(2)
    assert [row["patient"] for row in worst] == ["far", "near"]
    assert (worst[0]["lesion_slices"], worst[0]["lesion_slices_missed"], worst[0]["normal_slices"]) == (1, 1, 1)
    assert worst[1]["dice"] == pytest.approx(dice(disc(20, 22) & ORGAN, disc(20, 20)))
    assert worst[1]["false_positive_area"] > 0
    assert board(None).worst_patients() == []


def example(reference: np.ndarray | None, boxes: np.ndarray | None, diseased: bool = True):
    b = board()
    shown = disc(20, 20, 3) * np.uint8(200)
    figures = b.add_slice(shown, ORGAN, reference, boxes, patient="a", row=0, diseased=diseased, pixel_mm=(1.0, 1.0))
    return example_of(figures, "x", shown.astype(np.float32), shown, shown > 127, reference, boxes)


def test_slices_to_look_at_are_ordered_by_the_best_reference_there_is():
    box, none = disc(20, 20, 9), np.zeros((40, 40), bool)
    outlined, boxed, labelled = example(disc(20, 20), None), example(None, box), example(None, None)
    assert [e.measure for e in (outlined, boxed, labelled)] == [OUTLINES, BOXES, LABELS]
    assert boxed.figure == 1
    assert labelled.picture.highest is not None
    assert np.hypot(labelled.picture.highest[0] - 20, labelled.picture.highest[1] - 20) <= 3
    assert example(none, None, diseased=False) is None
    for examples, expected in (([labelled, boxed, outlined], outlined), ([labelled, boxed], boxed)):
        assert chosen_examples(examples) == [(word, [expected]) for word in ("best", "middle", "worst")]


def test_intervals_need_five_patients():
    for count, has_interval in ((4, False), (5, True)):
        b = board()
        for patient in range(count):
            add(b, disc(20, 20 + patient) * np.uint8(255), disc(20, 20), patient=str(patient))
        assert (b.figures(0)["dice"]["interval_95"] is not None) is has_interval


def test_a_method_without_threshold_has_only_figures_that_need_none():
    b = board(None)
    add(b, disc(20, 20) * np.uint8(9), disc(20, 20))
    row = b.figures(0)
    assert row["dice"] is None
    assert row["best_dice_oracle"]["value"] == 1


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_phantoms(tmp_path_factory.mktemp("d") / "data", patients=8, slices=4)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("m") / "tiny")


def evaluate(data: Path, model: Path, output: Path, *options: str) -> int:
    return main(["evaluate", str(data), "--model", str(model), "--output", str(output), "--progress", "none", *options])


def test_the_verb_writes_figures_cases_and_a_picture(data, model, tmp_path, capsys):
    assert evaluate(data, model, tmp_path / "out", "--baselines", "--compare", str(model)) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "cases.csv",
        "metrics.json",
        "montage.png",
        "reliability.png",
    ]
    text = (tmp_path / "out" / "metrics.json").read_text()
    assert "NaN" not in text
    metrics = json.loads(text)
    names = [row["name"] for row in metrics["table"]]
    assert names == ["tiny", "tiny", "intensity threshold", "Grad-CAM"]
    assert (metrics["rows"], metrics["patients"]) == (32, 8)
    # The spots of the phantoms are the brightest tissue: the floor is nearly perfect there.
    assert metrics["table"][2]["best_dice_oracle"]["value"] > 0.8
    with (tmp_path / "out" / "cases.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 32 * 4
    assert {r["class"] for r in rows} == {"normal", "lesion"}
    table = capsys.readouterr().out
    assert "intensity threshold" in table
    assert "Grad-CAM" in table


def test_a_split_takes_its_rows_only_and_an_unknown_one_is_refused(data, model, tmp_path, capsys):
    assert evaluate(data, model, tmp_path / "dev", "--split", "dev") == 0
    assert json.loads((tmp_path / "dev" / "metrics.json").read_text())["patients"] == 2
    assert evaluate(data, model, tmp_path / "x", "--split", "tset") == 2
    assert "dev, train" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_evaluation_takes_the_very_path_of_segment(data, model, tmp_path):
    """The map that is scored is the one `segment` would write for the same picture."""
    from ClamSegLib.datasets.cases import read_cases
    from ClamSegLib.datasets.labelled_folder import read_labelled_folder
    from ClamSegLib.model.checkpoint import load_model
    from ClamSegLib.organ.crop_and_normalise import prepare
    from ClamSegLib.segmentation.options import SegmentOptions
    from ClamSegLib.segmentation.run_network import run_network
    from ClamSegLib.segmentation.segment_volume import segment_volume

    loaded = load_model(model)
    case = next(iter(read_cases(read_labelled_folder(data), list(range(4)))))
    organ = np.ones(case.volume.array.shape, bool)  # the tiny model's organ step takes the whole image
    scored = run_network(prepare(case.volume, organ, loaded.config), loaded, SegmentOptions(device="cpu")).probability
    written = segment_volume(case.volume, loaded, SegmentOptions(device="cpu")).probability
    assert np.array_equal(scored, written)


def test_the_top_score_is_the_mean_of_the_highest_share_inside_the_organ():
    import torch

    from ClamSegLib.evaluation.baselines import top_k_score

    score = torch.arange(16.0).reshape(1, 4, 4)
    mask = torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[0, :2] = True  # values 0..7, the higher ones lie outside
    assert top_k_score(score, mask, 0.25).item() == 6.5
    assert top_k_score(score, mask, 0.001).item() == 7
    assert top_k_score(score, torch.zeros_like(mask), 0.25).item() == 0


def test_grad_cam_points_where_the_network_looks():
    """With a network that answers to brightness, the map of a bright spot is highest near the spot."""
    import torch

    from ClamSegLib.evaluation.baselines import GradCam
    from ClamSegLib.imaging.volume import Volume
    from ClamSegLib.model.config import ModelConfig, NetworkConfig, OrganConfig
    from ClamSegLib.model.twin import TwinUNet
    from ClamSegLib.organ.crop_and_normalise import prepare

    network = NetworkConfig(features=(4, 4), kernel_sizes=(3, 3))
    twin = TwinUNet(network).eval()
    with torch.no_grad():
        for name, parameter in twin.named_parameters():
            parameter.copy_(parameter.abs() if "norm" not in name else parameter)
        for branch in twin.branches:
            branch.heads["x_0_1"].weight[0].zero_()
    config = ModelConfig("x", image_size=64, network=network, organ=OrganConfig("whole", margin_mm=0))
    array = np.full((1, 64, 64), 100, np.int16)
    array += np.random.default_rng(0).integers(0, 3, array.shape).astype(np.int16)
    array[0, 40:50, 10:20] += 60
    maps = GradCam(twin).maps(prepare(Volume(array, is_picture=True), np.ones(array.shape, bool), config))
    row, column = np.unravel_index(int(maps[0].argmax()), maps[0].shape)
    assert 36 <= row <= 54
    assert 6 <= column <= 24


@pytest.mark.parametrize("verb", ["evaluate", "train"])
def test_an_image_with_nothing_in_it_is_named_among_all_others(tmp_path, capsys, verb):
    for name, label in (("a", "normal"), ("b", "sick"), ("c", "sick")):
        folder = tmp_path / "data" / label / name
        folder.mkdir(parents=True)
        array = np.random.default_rng(len(name)).integers(0, 900, (5, 40, 44)).astype(np.int16)
        write_volume(np.zeros_like(array) if name == "b" else array, Volume(array), folder / f"{name}.nii.gz")
    words = (
        ["--model", str(tiny_model(tmp_path / "tiny"))] if verb == "evaluate" else ["--steps", "2", "--modality", "MR"]
    )
    assert main([verb, str(tmp_path / "data"), "--output", str(tmp_path / "out"), *words]) == 2
    assert "b.nii.gz: The image has the same value (0) everywhere" in capsys.readouterr().err
