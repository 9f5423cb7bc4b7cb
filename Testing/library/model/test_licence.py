"""A model for non-commercial use only: listed, said, confirmed once, and what is made from it is under its licence."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from labelled_phantoms import write_phantoms
from tiny_model import tiny_model

from ClamSegLib.cli import main
from ClamSegLib.model.checkpoint import load_model
from ClamSegLib.model.config import ModelConfig
from ClamSegLib.model.config_json import to_json
from ClamSegLib.model.licence import LicenceError, accepted_licences, id_of, is_accepted, licensed
from ClamSegLib.model.model_folder import read_config
from ClamSegLib.model.own_models import import_model
from ClamSegLib.model.registry import find_model, list_models
from ClamSegLib.system.errors import InputError

NC = "CC-BY-NC-SA-4.0"


@pytest.fixture
def unconfirmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who has confirmed nothing; the folder where confirmations are kept."""
    monkeypatch.setenv("CLAMSEG_SETTINGS", str(tmp_path / "settings"))
    monkeypatch.delenv("CLAMSEG_ACCEPT_LICENCE")
    return tmp_path / "settings"


def under_nc(folder: Path, **changes: object) -> Path:
    """The tiny model under a licence that forbids commercial use."""
    tiny_model(folder)
    config = replace(read_config(folder), licence=NC, non_commercial=True, **changes)
    (folder / "config.json").write_text(json.dumps(to_json(config)))
    (folder / "licence.md").write_text("The licence's text.\n")
    return folder


def segment(model: Path, output: Path, *words: str) -> int:
    sample = Path(__file__).parents[3] / "Resources" / "Samples" / "xray_chest.png"
    return main(
        ["segment", str(sample), "--model", str(model), "--output", str(output), "--device", "cpu", "--progress", "none", *words]
    )  # fmt: skip


def test_without_a_confirmation_nothing_is_written_and_one_line_says_what_to_do(unconfirmed, tmp_path, capsys):
    model = under_nc(tmp_path / "m")
    assert segment(model, tmp_path / "out") == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert f"--accept-licence {NC}" in said[0]
    assert "non-commercial use only" in said[0]
    assert not (tmp_path / "out").exists()
    assert segment(model, tmp_path / "out", "--accept-licence", "MIT") == 2, "another licence confirms nothing"
    with pytest.raises(LicenceError, match="CLAMSEG_ACCEPT_LICENCE"):
        load_model(model)


def test_the_option_confirms_once_and_for_all_with_its_date(unconfirmed, tmp_path):
    model = under_nc(tmp_path / "m")
    assert segment(model, tmp_path / "out", "--accept-licence", "CC BY-NC-SA 4.0") == 0
    kept = json.loads((unconfirmed / "licences.json").read_text())
    assert kept[NC]["date"] == datetime.now(UTC).date().isoformat()
    assert kept[NC]["where"] == "command line"
    assert segment(model, tmp_path / "again") == 0


def test_the_variable_confirms_for_its_process_and_keeps_nothing(unconfirmed, tmp_path, monkeypatch):
    monkeypatch.setenv("CLAMSEG_ACCEPT_LICENCE", f"MIT,{NC}")
    load_model(under_nc(tmp_path / "m"))
    assert accepted_licences() == {}


def test_a_terminal_is_asked_and_only_a_yes_counts(unconfirmed, tmp_path, monkeypatch, capsys):
    import io
    import sys

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    model = under_nc(tmp_path / "m")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdin", Terminal("no\n"))
    assert segment(model, tmp_path / "out") == 2
    assert str(model / "licence.md") in capsys.readouterr().err
    assert not is_accepted(NC)
    monkeypatch.setattr("sys.stdin", Terminal("yes\n"))
    assert segment(model, tmp_path / "out") == 0
    assert is_accepted(NC)


def test_a_damaged_list_of_confirmations_is_asked_for_again(unconfirmed):
    unconfirmed.mkdir()
    (unconfirmed / "licences.json").write_text("[1")
    assert not is_accepted(NC)


def test_what_is_trained_from_it_is_under_its_licence_in_config_card_and_text(tmp_path, capsys):
    data, model = write_phantoms(tmp_path / "data", patients=4, slices=4), under_nc(tmp_path / "m")
    words = [
        "train", str(data), "--init", str(model), "--output", str(tmp_path / "made"), "--steps", "2", "--device", "cpu",
        "--objective", "paper", "--progress", "none",
    ]  # fmt: skip
    assert main([*words, "--licence", "MIT"]) == 2
    assert "leave --licence MIT out" in capsys.readouterr().err
    assert main(words) == 0
    config = read_config(tmp_path / "made")
    assert (config.licence, config.non_commercial) == (NC, True)
    assert f"- Licence: {NC}, for non-commercial use only" in (tmp_path / "made" / "card.md").read_text()
    assert (tmp_path / "made" / "licence.md").read_text() == "The licence's text.\n"


def test_an_export_and_an_imported_copy_carry_licence_and_text(tmp_path, monkeypatch):
    pytest.importorskip("openvino")
    model = under_nc(tmp_path / "m")
    monkeypatch.setenv("CLAMSEG_MODELS", str(tmp_path / "own"))
    assert (import_model(model) / "licence.md").is_file()
    assert main(["export", str(model), "--format", "openvino", "--output", str(tmp_path / "out")]) == 0
    about = json.loads((tmp_path / "out" / "model.json").read_text())
    assert (about["licence"], about["non_commercial"]) == (NC, True)
    assert (tmp_path / "out" / "licence.md").is_file()


def test_models_below_non_commercial_are_listed_with_what_their_licence_forbids(
    unconfirmed, tmp_path, monkeypatch, capsys
):
    for name in ("Models", "NonCommercial"):
        (tmp_path / "Resources" / name).mkdir(parents=True)
    monkeypatch.setenv("CLAMSEG_RESOURCES", str(tmp_path / "Resources"))
    folder = under_nc(tmp_path / "Resources" / "NonCommercial" / "of-study")
    assert find_model("of-study") == folder
    (entry,) = [entry for entry in list_models() if entry["name"] == "of-study"]
    assert (entry["origin"], entry["non_commercial"], entry["licence"]) == ("shipped", True, NC)
    assert main(["models"]) == 0
    assert f"{NC}, non-commercial use only (not yet confirmed)" in capsys.readouterr().out


def test_a_licence_with_nc_in_its_name_needs_no_flag():
    assert ModelConfig("m", licence="CC BY-NC 4.0").is_non_commercial
    assert not ModelConfig("m", licence="CC BY 4.0").is_non_commercial
    assert licensed(ModelConfig("m"), "CC BY-NC 4.0", None).non_commercial
    assert id_of("CC BY-NC-SA 4.0") == NC


def test_a_flag_without_a_name_and_a_text_in_another_folder_are_refused():
    with pytest.raises(InputError, match="must name its licence"):
        ModelConfig("m", non_commercial=True)
    with pytest.raises(InputError, match="without a folder"):
        ModelConfig("m", licence_file="../licence.md")


def test_the_demo_leaves_out_what_is_not_confirmed_and_says_so(unconfirmed, tmp_path, monkeypatch, capsys, repository):
    resources = tmp_path / "Resources"
    (resources / "Models").mkdir(parents=True)
    under_nc(resources / "NonCommercial" / "of-study")
    picture = repository / "Resources" / "Samples" / "xray_chest.png"
    for folder, licence, model in (("Samples", "CC BY 4.0", "tiny"), ("NonCommercial/samples", NC, "of-study")):
        (resources / folder).mkdir(parents=True)
        (resources / folder / "x.png").write_bytes(picture.read_bytes())
        entry = {"name": model, "file": "x.png", "model": model, "description": "A picture", "licence": licence}
        (resources / folder / "samples.json").write_text(json.dumps([entry]))
    tiny_model(resources / "Models" / "tiny")
    monkeypatch.setenv("CLAMSEG_RESOURCES", str(resources))
    demo = ["demo", "--device", "cpu", "--progress", "none", "--output", str(tmp_path / "demo")]
    assert main(demo) == 0
    said = capsys.readouterr().out
    assert f"of-study left out: picture and model are under {NC}" in said
    assert {path.name for path in (tmp_path / "demo").iterdir()} == {"tiny"}
    assert main([*demo, "--accept-licence", NC]) == 0
    assert {path.name for path in (tmp_path / "demo").iterdir()} == {"tiny", "of-study"}
