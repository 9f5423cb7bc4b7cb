from pathlib import Path

import pytest
from tiny_model import tiny_model, tiny_normative_model

from ClamSegLib.model.model_folder import INT8_FILES, NORMATIVE
from ClamSegLib.model.own_models import MODEL_FILES, import_model, remove_model
from ClamSegLib.model.registry import list_models
from ClamSegLib.system.errors import InputError
from ClamSegLib.training.run_folder import TrainingFolder


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLAMSEG_MODELS", str(tmp_path / "Meine Modelle"))
    return tmp_path / "Meine Modelle"


def names() -> list[str]:
    return [entry["name"] for entry in list_models() if entry["origin"] == "user"]


def test_an_imported_model_is_listed_and_brings_nothing_but_its_files(own, tmp_path):
    source = tiny_model(tmp_path / "Läsion 1")
    (source / "preview.png").touch()
    (source / "events.jsonl").touch()
    folder = import_model(source)
    assert folder == own / "Läsion 1"
    assert names() == ["Läsion 1"]
    assert {path.name for path in folder.iterdir()} == set(MODEL_FILES) - {NORMATIVE, *INT8_FILES}


def test_an_imported_model_brings_its_map_of_normal_tissue_and_no_training_to_go_on_with(own, tmp_path):
    from ClamSegLib.model.checkpoint import load_model

    (tiny_model(own / "mine") / "state").mkdir()
    (own / "mine" / "state" / "state.safetensors").touch()
    source = tiny_normative_model(tmp_path / "mine")
    assert load_model(import_model(source, overwrite=True)).normative is not None
    assert not (own / "mine" / "state").exists(), "Resume would replace the imported model"
    (source / NORMATIVE).write_bytes(b"damaged")
    with pytest.raises(InputError, match="SHA-256"):
        import_model(source, "again")


def test_a_model_that_a_killed_training_was_just_replacing_is_there_again(own):
    tiny_model(own / ".clamseg-old-01234567" / "mine")
    assert names() == ["mine"]
    assert [path.name for path in own.iterdir()] == ["mine"]


def test_a_changed_model_is_refused_and_leaves_nothing(own, tmp_path):
    source = tiny_model(tmp_path / "m")
    data = bytearray((source / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (source / "weights.safetensors").write_bytes(bytes(data))
    with pytest.raises(InputError, match="SHA-256 differs"):
        import_model(source)
    (source / "weights.safetensors").unlink()
    with pytest.raises(InputError, match=r"holds no weights\.safetensors"):
        import_model(source)
    with pytest.raises(InputError, match="not a model folder"):
        import_model(tmp_path)
    assert not own.exists()


def test_a_model_of_the_same_name_stays_unless_replaced(own, tmp_path):
    source = tiny_model(tmp_path / "m")
    import_model(source)
    (own / "m" / "card.md").write_text("mine")
    with pytest.raises(InputError, match="already"):
        import_model(source)
    assert (own / "m" / "card.md").read_text() == "mine"
    import_model(source, overwrite=True)
    assert (own / "m" / "card.md").read_text() == "# tiny\n"
    with pytest.raises(InputError, match="among your models already"):
        import_model(own / "m", overwrite=True)


def test_only_own_models_that_do_not_train_are_removed(own, tmp_path):
    import_model(tiny_model(tmp_path / "m"))
    outside = tiny_model(tmp_path / "outside")
    for name in ("ct-lung-lesion", "gone", "", "../outside", str(outside)):
        with pytest.raises(InputError, match="not a model of your own"):
            remove_model(name)
    assert (outside / "config.json").is_file()
    with TrainingFolder(own / "m", resume=False), pytest.raises(InputError, match="being trained"):
        remove_model("m")
    remove_model("m")
    assert names() == []
    assert not (own / "m").exists()
