import csv
import json
from pathlib import Path

import pytest
from labelled_phantoms import write_phantoms

from ClamSegLib.cli import main
from ClamSegLib.datasets.labelled_folder import read_labelled_folder
from ClamSegLib.experiments.study_file import StudyRow, read_study, with_choice
from ClamSegLib.experiments.study_patients import with_left_out
from ClamSegLib.experiments.study_table import criterion_correlation
from ClamSegLib.model.model_folder import sha256_of
from ClamSegLib.system.errors import InputError

BASE = {
    "model": {"organ": {"method": "whole"}, "image_size": 32, "network": {"features": [4, 8, 8]}},
    "training": {"steps": 4, "batch_pairs": 4},
}
ROWS = [
    {"name": "labels", "description": "the recipe"},
    {"name": "masks", "description": "the ceiling", "training": {"supervision": "masks"}},
    {"name": "level-1", "description": "the shallow head", "of": "labels", "level": 1},
]


def write_study(path: Path, rows: list[dict], **more: object) -> Path:
    study = {"name": "phantoms", "choice_patients": 2, "ceiling": "masks", "base": BASE, "rows": rows, **more}
    path.write_text(json.dumps(study), encoding="utf-8")
    return path


def study(data: Path, file: Path, output: Path, *more: str) -> int:
    return main(["study", str(file), "--data", str(data), "--output", str(output), "--progress", "none", *more])


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_phantoms(tmp_path_factory.mktemp("study") / "data", patients=10)


@pytest.fixture(scope="module")
def done(tmp_path_factory, data) -> tuple[Path, Path]:
    """A finished study: its file and its output."""
    root = tmp_path_factory.mktemp("done")
    file = write_study(root / "study.json", ROWS)
    assert study(data, file, root / "out") == 0
    return file, root / "out"


def numbers(figures: dict, above: str = "") -> dict[str, float | None]:
    """Every figure under its path, without the name of the row."""
    found: dict[str, float | None] = {}
    for key, value in figures.items():
        if isinstance(value, dict):
            found |= numbers(value, f"{above}{key}.")
        elif isinstance(value, list):
            found |= numbers(dict(enumerate(value)), f"{above}{key}.")
        elif key != "name":
            found[f"{above}{key}"] = value
    return found


def row_of(output: Path, name: str) -> dict:
    return json.loads((output / "rows" / f"{name}.json").read_text(encoding="utf-8"))


def test_every_row_becomes_a_file_with_the_figures_of_evaluate_and_all_stand_in_the_table(done):
    _, output = done
    for name in ("labels", "masks", "level-1"):
        row = row_of(output, name)
        judged = output / "runs" / (row["of"] or name) / f"judged-{name}" / "metrics.json"
        metrics = json.loads(judged.read_text(encoding="utf-8"))
        assert metrics["table"][0] == row["figures"]
        assert metrics["split"] == "choice"
        assert metrics["patients"] == 2
    with (output / "table.csv").open(encoding="utf-8") as file:
        lines = {line["name"]: line for line in csv.DictReader(file)}
    assert list(lines) == ["labels", "masks", "level-1"]
    assert float(lines["masks"]["ap_of_ceiling"]) == 1.0
    assert float(lines["labels"]["pixel_ap"]) == row_of(output, "labels")["figures"]["pixel_ap"]
    assert "the shallow head" in (output / "table.md").read_text(encoding="utf-8")


def test_only_rows_that_learn_from_labels_have_a_criterion_that_read_no_mask(done):
    with (done[1] / "table.csv").open(encoding="utf-8") as file:
        lines = {line["name"]: line for line in csv.DictReader(file)}
    assert lines["labels"]["criterion"]
    assert not lines["masks"]["criterion"]


def test_each_split_is_measured_against_the_ceiling_on_the_same_split(done, data, tmp_path):
    rows = [ROWS[1], {"name": "labels", "eval_split": "choice"}, {"name": "top", "of": "masks", "eval_split": "dev"}]
    file = write_study(tmp_path / "study.json", [*rows, {"name": "end", "of": "labels", "eval_split": "dev"}])
    assert study(data, file, tmp_path / "out") == 0
    with (tmp_path / "out" / "table.csv").open(encoding="utf-8") as table:
        lines = {line["name"]: line for line in csv.DictReader(table)}
    expected = float(lines["end"]["pixel_ap"]) / float(lines["top"]["pixel_ap"])
    assert float(lines["end"]["ap_of_ceiling"]) == pytest.approx(expected)
    assert float(lines["top"]["ap_of_ceiling"]) == float(lines["masks"]["ap_of_ceiling"]) == 1.0


def test_slices_are_heard_together_only_in_rows_that_say_so_and_the_ceiling_stays_what_it_is(done, data, tmp_path):
    from shutil import copytree

    copytree(done[1], tmp_path / "out")
    rows = [*ROWS, {"name": "together", "of": "masks", "slice_smoothing": True}]
    assert study(data, write_study(tmp_path / "study.json", rows), tmp_path / "out") == 0
    alone, together = row_of(tmp_path / "out", "masks"), row_of(tmp_path / "out", "together")
    assert together["slice_smoothing"]
    assert together["figures"] != alone["figures"] | {"name": together["figures"]["name"]}
    with (tmp_path / "out" / "table.csv").open(encoding="utf-8") as table:
        lines = {line["name"]: line for line in csv.DictReader(table)}
    assert float(lines["masks"]["ap_of_ceiling"]) == 1.0
    assert float(lines["together"]["ap_of_ceiling"]) == pytest.approx(
        together["figures"]["pixel_ap"] / alone["figures"]["pixel_ap"]
    )


def test_a_decoding_that_is_fitted_anew_by_the_same_code_is_the_same(done, data, tmp_path):
    from shutil import copytree

    copytree(done[1], tmp_path / "out")
    record = tmp_path / "out" / "runs" / "labels" / "run.json"
    run = json.loads(record.read_text())
    run["training"]["mosaic"] = "superpixel"  # as trainings up to e90c40b wrote it
    record.write_text(json.dumps(run))
    rows = [*ROWS, {"name": "anew", "of": "labels", "refit": True}, {"name": "whole", "of": "labels"}]
    assert study(data, write_study(tmp_path / "study.json", rows), tmp_path / "out") == 0
    anew, first = row_of(tmp_path / "out", "anew"), row_of(tmp_path / "out", "whole")
    assert anew["refit"]
    # The first fit saw the weights of the training, this one those of the file, which are rounded to float16.
    assert numbers(anew["figures"]) == pytest.approx(numbers(first["figures"]), abs=1e-3, nan_ok=True)
    assert (tmp_path / "out" / "runs" / "anew" / "config.json").is_file()


def test_a_row_may_have_its_eta_tuned_and_says_what_was_found(data, tmp_path, monkeypatch):
    from ClamSegLib.training.tune_eta import tune_eta

    monkeypatch.setattr(tune_eta, "__defaults__", (2,))
    rows = [{"name": "tuned", "tune_eta": True}]
    assert study(data, write_study(tmp_path / "study.json", rows, ceiling=""), tmp_path / "out") == 0
    row = row_of(tmp_path / "out", "tuned")
    assert 0.1 <= row["tuned_eta"] <= 1.0
    assert (tmp_path / "out" / "runs" / "tuned" / "tune" / "eta.journal").is_file()
    with pytest.raises(InputError, match="cannot change its training"):
        StudyRow("again", of="tuned", tune_eta=True)


def test_models_stay_out_of_version_control(done):
    assert (done[1] / "runs" / ".gitignore").read_text(encoding="utf-8") == "*\n"


def test_a_level_is_judged_without_another_training(done):
    _, output = done
    assert not (output / "runs" / "level-1").exists()
    assert row_of(output, "level-1")["level"] == 1


def test_finished_rows_are_not_run_again_and_a_new_one_is(done, data, tmp_path):
    file, output = done
    before = {p.name: p.stat().st_mtime_ns for p in (output / "rows").iterdir()}
    more = write_study(tmp_path / "more.json", [*ROWS, {"name": "seed-1", "training": {"seed": 1}}])
    assert study(data, more, output) == 0
    after = {p.name: p.stat().st_mtime_ns for p in (output / "rows").iterdir()}
    assert set(after) - set(before) == {"seed-1.json"}
    assert {name: after[name] for name in before} == before
    (output / "rows" / "seed-1.json").unlink()
    assert study(data, file, output) == 0


def test_selected_rows_are_run_and_the_table_names_those_that_are_missing(data, tmp_path):
    file = write_study(tmp_path / "study.json", ROWS)
    assert study(data, file, tmp_path / "out", "--rows", "masks") == 0
    assert [p.name for p in (tmp_path / "out" / "rows").iterdir()] == ["masks.json"]
    assert "Not run yet: labels, level-1." in (tmp_path / "out" / "table.md").read_text(encoding="utf-8")


def test_a_killed_training_goes_on_and_ends_as_if_it_had_not_been_killed(done, data, tmp_path, monkeypatch):
    from ClamSegLib.training.learner import Learner

    file = write_study(tmp_path / "study.json", ROWS[:1], ceiling="")
    long = json.loads(file.read_text())
    long["base"]["training"] |= {"steps": 6, "validate_every": 2}
    file.write_text(json.dumps(long))
    assert study(data, file, tmp_path / "whole") == 0
    step = Learner.step

    def killed(self: Learner) -> dict[str, float]:
        if self.steps_done == 3:
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr(Learner, "step", killed)
    assert study(data, file, tmp_path / "out") == 130
    assert not (tmp_path / "out" / "rows" / "labels.json").exists()
    steps = []
    monkeypatch.setattr(Learner, "step", lambda self: (steps.append(self.steps_done), step(self))[1])
    assert study(data, file, tmp_path / "out") == 0
    assert steps == [2, 3, 4, 5], "the steps up to the last kept state are not repeated"
    assert row_of(tmp_path / "out", "labels")["figures"] == row_of(tmp_path / "whole", "labels")["figures"]


def test_a_row_that_fails_is_said_and_the_others_go_on(data, tmp_path, capsys):
    rows = [{"name": "wrong", "training": {"objective": "clam"}}, ROWS[1]]
    file = write_study(tmp_path / "study.json", rows)
    assert study(data, file, tmp_path / "out") == 2
    assert row_of(tmp_path / "out", "masks")["figures"]["pixel_ap"] is not None
    assert "Not run yet: wrong" in (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
    file = write_study(tmp_path / "study.json", [*rows, ROWS[0]])
    assert main(["study", str(file), "--data", str(data), "--output", str(tmp_path / "out"), "--rows", "wrong"]) == 2
    assert "row wrong: objective 'clam' is unknown; allowed are normative, paper." in capsys.readouterr().err


def test_a_row_whose_settings_changed_is_refused_until_overwrite_is_said_and_the_model_stays_until_another_is_whole(
    done, data, tmp_path, capsys, monkeypatch
):
    from ClamSegLib.training.learner import Learner

    output = tmp_path / "out"
    file = write_study(tmp_path / "study.json", ROWS[:1], ceiling="")
    assert study(data, file, output) == 0
    changed = [{**ROWS[0], "training": {"seed": 5}}]
    file = write_study(tmp_path / "study.json", changed, ceiling="")
    told = ["study", str(file), "--data", str(data), "--output", str(output)]
    assert main(told) == 2
    assert "other settings" in capsys.readouterr().err
    assert row_of(output, "labels")["seed"] == 0
    before = sha256_of(output / "runs" / "labels" / "weights.safetensors")

    def killed(_self: Learner) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Learner, "step", killed)
        assert study(data, file, output, "--overwrite") == 130
    assert sha256_of(output / "runs" / "labels" / "weights.safetensors") == before, "trained beside it"
    assert study(data, file, output, "--overwrite") == 0
    assert sha256_of(output / "runs" / "labels" / "weights.safetensors") != before
    assert row_of(output, "labels")["seed"] == 5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows": []}, "different names"),
        ({"rows": [ROWS[0], ROWS[0]]}, "labels"),
        ({"rows": [{"name": "../up"}]}, "../up"),
        ({"rows": [{"name": "a", "of": "b"}]}, "no row with a training of its own"),
        ({"rows": [{"name": "a", "refit": True}]}, "decoding is fitted with it"),
        ({"rows": [ROWS[0], {"name": "a", "of": "labels", "training": {"seed": 2}}]}, "cannot change its training"),
        ({"choice_patients": 0}, "choice_patients is not given"),
        ({"rows": [{**ROWS[0], "eval_split": "dev"}, ROWS[2]]}, "has learned from the choice patients"),
        ({"ceiling": "sky"}, "'sky' is no row"),
        ({"rows": [{"name": "a", "colour": "red"}]}, "unknown keys colour"),
        ({"choice_patients": 9}, "at most half"),
        ({"rows": [{**ROWS[0], "left_out": ["p1"]}]}, "belong together"),
        ({"rows": [{**ROWS[0], "left_out": ["nobody"], "eval_split": "left out"}]}, "must match some of the patients"),
    ],
)
def test_a_study_that_cannot_be_is_refused_in_one_line(change, words, data, tmp_path, capsys):
    study_file = {"ceiling": "", **change}
    rows = study_file.pop("rows", ROWS)
    file = write_study(tmp_path / "study.json", rows, **study_file)
    assert main(["study", str(file), "--data", str(data), "--output", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert "Traceback" not in told
    assert not list((tmp_path / "out").rglob("*.csv"))


def test_a_patient_left_out_is_judged_and_all_others_are_learned_from(data):
    folder = with_left_out(read_labelled_folder(data), ("p1", "p9"))
    assert {row.patient_id for row in folder.rows if row.split == "left out"} == {"p1", "p9"}
    assert {row.split for row in folder.rows if row.patient_id not in ("p1", "p9")} == {"train"}


def test_rows_that_leave_other_patients_out_have_other_fingerprints(data, tmp_path):
    rows = [{"name": name, "left_out": [name], "eval_split": "left out"} for name in ("p1", "p2")]
    study_of = read_study(write_study(tmp_path / "study.json", rows, ceiling="", choice_patients=0))
    assert len({study_of.training_fingerprint(row) for row in study_of.rows}) == 2


def test_choice_patients_leave_training_only_and_the_seed_says_which(data):
    folder = read_labelled_folder(data)
    first, again, other = (with_choice(folder, 3, seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    kept = {row.patient_id for row in first.rows if row.split == "choice"}
    assert len(kept) == 3
    assert not kept & {row.patient_id for row in first.rows if row.split == "train"}
    assert [row.split for row in folder.rows if row.split == "dev"] == [r.split for r in first.rows if r.split == "dev"]


def test_the_rank_correlation_is_one_for_the_same_order_and_needs_five_rows():
    lines = [
        {"eval_split": "choice", "criterion": c, "dice": d} for c, d in zip(range(6), [1, 4, 5, 7, 8, 11], strict=True)
    ]
    assert criterion_correlation(lines, "choice") == (pytest.approx(1.0), 6)
    swapped = [{**line, "dice": -line["dice"]} for line in lines]
    assert criterion_correlation(swapped, "choice") == (pytest.approx(-1.0), 6)
    assert criterion_correlation(lines[:4], "choice") is None
    assert criterion_correlation(lines, "dev") is None


def test_the_studies_of_the_documents_can_be_read(repository):
    files = sorted((repository / "docs" / "research" / "study").glob("*.json"))
    of_today = [file for file in files if json.loads(file.read_text())["base"]["training"].get("objective") != "clam"]
    assert of_today
    for file in of_today:
        assert read_study(file).rows


def test_a_study_file_with_the_names_of_earlier_versions_reads_the_same(tmp_path):
    today = write_study(
        tmp_path / "today.json", [{"name": "a", "description": "words", "eval_split": "dev"}], ceiling=""
    )
    before = tmp_path / "before.json"
    before.write_text(today.read_text().replace('"description"', '"shows"').replace('"eval_split"', '"judged_on"'))
    assert read_study(before) == read_study(today)
