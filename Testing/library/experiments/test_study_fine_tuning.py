import csv
import json
from pathlib import Path

import numpy as np
import pytest
from labelled_phantoms import write_phantoms

from ClamSegLib.cli import main
from ClamSegLib.datasets.labelled_folder import read_labelled_folder, split_rows
from ClamSegLib.experiments.correction_curve import correction_curves
from ClamSegLib.experiments.study_file import PatientGroup, read_study
from ClamSegLib.experiments.study_patients import with_corrections, with_groups
from ClamSegLib.experiments.study_table import table_lines
from ClamSegLib.objective.training_config import TrainingConfig
from ClamSegLib.system.errors import InputError
from ClamSegLib.training.fit_threshold import dice_by_step, threshold_of

BASE = {
    "model": {"organ": {"method": "whole"}, "image_size": 32, "network": {"features": [4, 8, 8]}},
    # Two patients of a group are learned from: too few to say what is normal, which the default objective needs.
    "training": {"objective": "paper", "steps": 4, "batch_pairs": 4, "validation_share": 0.5},
}
GROUPS = [
    {"name": "old", "patients": ["p[0-3]"], "eval_patients": 2},
    {"name": "new", "patients": ["p[4-7]"], "eval_patients": 2},
]
ROWS = [
    {"name": "start", "train_group": "old", "eval_split": "old"},
    {"name": "tuned-0", "start": "start", "train_group": "new", "eval_split": "new"},
    {"name": "tuned-2", "start": "start", "train_group": "new", "corrected": 2, "eval_split": "new"},
    {"name": "forgotten", "of": "tuned-2", "eval_split": "old"},
]


def write_study(path: Path, rows: list[dict], **more: object) -> Path:
    path.write_text(json.dumps({"name": "phantoms", "groups": GROUPS, "base": BASE, "rows": rows, **more}))
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_phantoms(tmp_path_factory.mktemp("study") / "data", patients=10)


@pytest.fixture(scope="module")
def done(tmp_path_factory, data) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("done")
    file = write_study(root / "study.json", ROWS)
    told = ["study", str(file), "--data", str(data), "--output", str(root / "out"), "--progress", "none"]
    assert main(told) == 0
    return file, root / "out"


def json_of(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_row_fine_tunes_the_model_of_a_row_above_it_and_its_file_says_so(done):
    _, output = done
    run = json_of(output / "runs" / "tuned-2" / "run.json")
    assert run["initial_model"] == "start"
    row = json_of(output / "rows" / "tuned-2.json")
    assert (row["start"], row["train_group"], row["corrected"]) == ("start", "new", 2)
    forgotten = json_of(output / "rows" / "forgotten.json")
    assert forgotten["eval_split"] == "old"
    assert forgotten["patients"] == 2


def test_corrections_change_what_is_learned(done):
    _, output = done
    tuned = [json_of(output / "runs" / name / "config.json")["weights_sha256"] for name in ("tuned-0", "tuned-2")]
    assert tuned[0] != tuned[1]


def test_rows_that_differ_only_in_corrections_make_a_curve_and_a_picture(done):
    file, output = done
    study = read_study(file)
    rows = [json_of(output / "rows" / f"{row.name}.json") for row in study.rows]
    curves = correction_curves(study, table_lines(study, rows))
    assert [[n for n, _ in points] for points in curves.values()] == [[0, 2]]
    assert (output / "corrections.png").stat().st_size > 1000
    with (output / "table.csv").open(encoding="utf-8") as table:
        assert [line["name"] for line in csv.DictReader(table)] == [row["name"] for row in ROWS]


def test_a_start_that_is_not_trained_yet_is_trained_first(data, tmp_path):
    file = write_study(tmp_path / "study.json", ROWS)
    told = ["study", str(file), "--data", str(data), "--output", str(tmp_path / "out"), "--progress", "none"]
    assert main([*told, "--rows", "tuned-0"]) == 0
    assert (tmp_path / "out" / "runs" / "start" / "weights.safetensors").is_file()
    assert [p.name for p in (tmp_path / "out" / "rows").iterdir()] == ["tuned-0.json"]


def test_kept_patients_of_every_group_are_seen_by_no_training(data):
    folder = read_labelled_folder(data)
    groups = tuple(PatientGroup(g["name"], tuple(g["patients"]), g["eval_patients"]) for g in GROUPS)
    of = {name: with_groups(folder, groups, name, 0) for name in ("old", "new")}
    learned = {name: {r.patient_id for r in of[name].rows if r.split == "train"} for name in of}
    kept = {r.patient_id for r in of["old"].rows if r.split in ("old", "new")}
    assert len(kept) == 4
    assert not kept & (learned["old"] | learned["new"])
    assert learned["old"] < {"p0", "p1", "p2", "p3"}
    assert learned["new"] < {"p4", "p5", "p6", "p7"}
    assert kept == {r.patient_id for r in of["new"].rows if r.split in ("old", "new")}
    assert {r.patient_id for r in of["old"].rows if r.split == "dev"} == {"p8", "p9"}


def test_corrected_slices_are_learned_from_and_fewer_are_among_more(data):
    folder, training = read_labelled_folder(data), TrainingConfig(steps=1)
    few, many = (
        {k for k, row in enumerate(with_corrections(folder, n, training, 0).rows) if row.correction} for n in (3, 7)
    )
    assert len(few) == 3
    assert few < many
    assert many <= set(split_rows(folder, validation_share=0.2, seed=0)[0])
    assert all(folder.rows[k].label for k in many)
    with pytest.raises(InputError, match="999 corrected slices"):
        with_corrections(folder, 999, training, 0)


@pytest.mark.parametrize(
    ("rows", "more", "words"),
    [
        ([{**ROWS[1]}], {}, "no trained row above it"),
        ([ROWS[0], {**ROWS[1], "model": {"image_size": 64}}], {}, "cannot change its model"),
        ([ROWS[0], {**ROWS[1], "train_group": "sky"}], {}, "no group of the study"),
        ([{"name": "a", "eval_split": "old"}], {}, "must say which group"),
        ([{**ROWS[0], "corrected": -1}], {}, "must not be negative"),
        (ROWS[:1], {"choice_patients": 2}, "no choice_patients"),
        (ROWS[:1], {"groups": [*GROUPS, GROUPS[0]]}, "different names"),
        (ROWS[:1], {"groups": [{**GROUPS[0], "eval_patients": 4}]}, "keeps 4 of 4"),
        (ROWS[:1], {"groups": [GROUPS[0], {**GROUPS[1], "patients": ["p*"]}]}, "to another one"),
        (ROWS[:1], {"groups": [GROUPS[0], {**GROUPS[1], "name": "dev"}]}, "split 'dev' of its own"),
    ],
)
def test_a_study_of_groups_that_cannot_be_is_refused_in_one_line(rows, more, words, data, tmp_path, capsys):
    file = write_study(tmp_path / "study.json", rows, **more)
    assert main(["study", str(file), "--data", str(data), "--output", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert "Traceback" not in told


def test_the_dice_of_every_step_is_that_of_the_pixels_above_it():
    rng = np.random.default_rng(0)
    steps, lesion = rng.integers(0, 256, 500), rng.random(500) < 0.3
    curve = dice_by_step(steps, lesion)
    for step in (0, 100, 254):
        above = steps > step
        assert curve[step] == pytest.approx(2 * (above & lesion).sum() / (above.sum() + lesion.sum()))


def test_many_corrected_slices_move_the_threshold_farther_than_few():
    outline = np.zeros((20, 20), bool)
    outline[5:15, 5:15] = True
    probability = np.where(outline, 0.2, 0.05).astype(np.float32)
    corrected = (probability, outline, np.ones((20, 20), bool))
    none, few, more, many = (threshold_of([corrected] * n, 0.5) for n in (4, 5, 20, 5000))
    assert 0.5 == none > few > more > many
    assert 0.05 < many < 0.2, "in the end the outlines alone decide"


def test_five_corrected_slices_set_the_threshold_and_fewer_leave_it(tmp_path):
    folder = write_phantoms(tmp_path / "data", patients=10, slices=12)
    rows = [ROWS[0], *({**ROWS[2], "name": f"tuned-{n}", "corrected": n} for n in (4, 5))]
    file = write_study(tmp_path / "study.json", rows)
    told = ["study", str(file), "--data", str(folder), "--output", str(tmp_path / "out"), "--progress", "none"]
    assert main(told) == 0
    thresholds = {n: json_of(tmp_path / "out" / "runs" / f"tuned-{n}" / "config.json")["threshold"] for n in (4, 5)}
    assert thresholds[4] == 0.5
    assert thresholds[5] != 0.5
