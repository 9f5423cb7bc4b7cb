import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_model import tiny_model

from ClamSegLib.model.checkpoint import load_model, save_model
from ClamSegLib.model.config import FORMAT_VERSION
from ClamSegLib.model.model_folder import sha256_of
from ClamSegLib.system.errors import InputError, OutputError


def change_config(folder: Path, **values: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))


def test_a_saved_model_gives_the_same_outputs_within_half_precision(tmp_path):
    model = load_model(tiny_model(tmp_path / "m"))
    again = load_model(tiny_model(tmp_path / "again"))
    image = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        for a, b in zip(model.twin(image), again.twin(image), strict=True):
            for x, y in zip(a, b, strict=True):
                assert torch.equal(x, y)
    assert not model.twin.training


def test_saving_float32_loses_nothing(tmp_path):
    model = load_model(tiny_model(tmp_path / "m"))
    state = {name: t + 1e-6 if t.is_floating_point() else t for name, t in model.twin.state_dict().items()}
    save_model(tmp_path / "full", model.config, state, "# card", {}, half=False)
    found = load_model(tmp_path / "full").twin.state_dict()
    assert all(torch.equal(found[name], state[name]) for name in state)


def test_values_beyond_half_precision_are_kept(tmp_path):
    model = load_model(tiny_model(tmp_path / "m"))
    state = model.twin.state_dict()
    name = next(n for n in state if n.endswith("running_var"))
    state[name] = state[name] + 1e6
    save_model(tmp_path / "big", model.config, state, "# card", {})
    assert torch.isfinite(load_model(tmp_path / "big").twin.state_dict()[name]).all()


def test_changed_weights_are_refused(tmp_path):
    folder = tiny_model(tmp_path / "m")
    weights = bytearray((folder / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(weights)
    with pytest.raises(InputError, match="SHA-256"):
        load_model(folder)


def test_weights_of_another_network_are_refused_even_with_the_right_hash(tmp_path):
    folder, other = tiny_model(tmp_path / "m"), tmp_path / "other.safetensors"
    from safetensors.torch import save_file

    save_file({"nodes": torch.zeros(3)}, other)
    (folder / "weights.safetensors").write_bytes(other.read_bytes())
    change_config(folder, weights_sha256=sha256_of(other))
    with pytest.raises(InputError, match="does not hold the weights"):
        load_model(folder)


def test_a_pickle_in_place_of_weights_is_refused_and_never_run(tmp_path):
    import pickle

    class Hostile:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "it-ran",))

    folder = tiny_model(tmp_path / "m")
    path = folder / "weights.safetensors"
    path.write_bytes(pickle.dumps(Hostile()))
    change_config(folder, weights_sha256=sha256_of(path))
    with pytest.raises(InputError, match="not a readable safetensors"):
        load_model(folder)
    assert not (tmp_path / "it-ran").exists()


def test_weights_that_are_not_finite_are_refused(tmp_path):
    model = load_model(tiny_model(tmp_path / "m"))
    state = model.twin.state_dict()
    next(iter(state.values())).fill_(float("nan"))
    save_model(tmp_path / "nan", model.config, state, "# card", {})
    with pytest.raises(InputError, match="not finite"):
        load_model(tmp_path / "nan")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format_version": FORMAT_VERSION + 1, "new_key": 1}, "update ClamSeg"),
        ({"surprise": 1}, "unknown keys surprise"),
        ({"image_size": "big"}, "image_size"),
        ({"threshold": 1.5}, "threshold"),
        (
            {"network": {"features": [4096] * 9, "kernel_sizes": [15] * 9}, "image_size": 256, "odds_normal": []},
            "does not hold the weights",
        ),
        ({"odds_normal": [[[1.0]]]}, "odds_normal"),
        ({"odds_normal": [[[1.0], [float("nan")]], [[1.0], [1.0]]]}, "finite number, came nan"),
        ({"odds_normal": [[[1.0], [float("inf")]], [[1.0], [1.0]]]}, "finite number, came inf"),
        ({"odds_normal": [[[1.0], [-1.0]], [[1.0], [1.0]]]}, "not below 0"),
        ({"head_weights": [float("nan"), 1.0]}, "head_weights"),
        ({"head_weights": [0.0, 0.0]}, "not all 0"),
        ({"head_weights": [-1.0, 2.0]}, "not below 0"),
        ({"minimum_volume_ml": float("nan")}, "minimum_volume_ml"),
        ({"minimum_volume_ml": -1.0}, "at least 0"),
        ({"minimum_network_pixels": -1.0}, "at least 0"),
        ({"threshold": 10**400}, "finite number, came inf"),
        ({"intensity": {"kind": "organ_robust", "low": float("-inf"), "high": 8.0}}, "low must be a finite number"),
        (
            {"refinement": {"low": -4.0, "high": 8.0, "value_log_ratio": [[float("nan")] * 96], "limit": [0.5]}},
            "finite number, came nan",
        ),
        ({"conditions": [{"name": "lesion", "colour": [0, 0, 300]}]}, "0 to 255"),
        ({"default_level": 3}, "default_level 3 must be null or 1 to 2"),
        ({"early_exits": []}, "unknown keys early_exits"),
        ({"format_version": 1, "network": {"normalisation": "instance"}}, "normalisation 'instance'"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused_in_words(tmp_path, change, words):
    folder = tiny_model(tmp_path / "m")
    change_config(folder, **change)
    with pytest.raises(InputError, match=words):
        load_model(folder)


@pytest.mark.parametrize("missing", ["config.json", "weights.safetensors"])
def test_a_folder_that_lacks_a_file_is_refused(tmp_path, missing):
    folder = tiny_model(tmp_path / "m")
    (folder / missing).unlink()
    with pytest.raises(InputError, match=missing):
        load_model(folder)


def test_config_that_is_no_json_is_refused(tmp_path):
    folder = tiny_model(tmp_path / "m")
    (folder / "config.json").write_text("[" * 100_000)  # deeper than Python goes
    with pytest.raises(InputError, match="not a JSON file"):
        load_model(folder)


def test_loading_a_model_leaves_the_compiler_of_torch_alone(tmp_path):
    folder = tiny_model(tmp_path / "m")
    code = "import sys; from pathlib import Path; from ClamSegLib.model.checkpoint import load_model; "
    code += f"model = load_model(Path({str(folder)!r})); assert not any(p.is_meta for p in model.twin.parameters()); "
    code += "print('torch' in sys.modules, 'torch._dynamo' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["True", "False"]


@pytest.mark.skipif(os.name != "posix", reason="rights of files as on Unix")
def test_whoever_may_read_the_folder_may_read_the_weights(tmp_path):
    before = os.umask(0o022)
    try:
        folder = tiny_model(tmp_path / "shared")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}


OF_VERSION_1 = {
    "format_version": 1,
    "network": {
        "features": [4, 8, 8], "kernel_sizes": [3, 3, 3], "normalisation": "batch", "shells": 2, "kind": "unetplusplus",
    },
    "slice_score_normal": 0.4,
    "early_exits": [],
    "neighbours": True,
}  # fmt: skip


def of_version_1(folder, **changes):
    """A folder as format version 1 had it."""
    path = tiny_model(folder) / "config.json"
    told = json.loads(path.read_text())
    del told["slice_smoothing"], told["default_level"]
    path.write_text(json.dumps({**told, **OF_VERSION_1, **changes}))
    return folder


def test_a_model_of_format_version_1_loads_without_a_word(tmp_path):
    model = load_model(of_version_1(tmp_path / "old", level_scales=[]))
    assert model.config.slice_smoothing
    assert model.config.network.branches == 2
    assert model.warnings == ()


def test_what_an_old_model_asked_for_and_no_longer_gets_is_said(tmp_path):
    exits = [{"level": 1, "undecided": 0.25, "share_leaving": 0.75}]
    model = load_model(of_version_1(tmp_path / "old", early_exits=exits, level_scales=[[[[1.1, 0.0]], [[1.0, 0.0]]]]))
    assert [words.split()[2] for words in model.warnings] == ["early_exits", "level_scales"]


def test_the_level_that_runs_is_the_one_asked_for_else_the_models_else_the_deepest(tmp_path):
    config = load_model(tiny_model(tmp_path / "m")).config
    assert config.level_of(None) == 2
    shallow = replace(config, default_level=1)
    assert (shallow.level_of(None), shallow.level_of(2)) == (1, 2)
    with pytest.raises(InputError, match=r"Level 3 does not exist; model 'm' has levels 1 to 2\."):
        config.level_of(3)


def test_a_model_that_replaces_another_leaves_the_files_beside_it_alone(tmp_path):
    folder = tiny_model(tmp_path / "tiny")
    (folder / "notes.txt").write_text("mine")
    (folder / "state").mkdir()
    before = load_model(folder)
    state = {
        name: value + 1 if value.is_floating_point() else value for name, value in before.twin.state_dict().items()
    }
    save_model(folder, before.config, state, "# new\n", {"seed": 4})
    assert load_model(folder).config.weights_sha256 != before.config.weights_sha256
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / "state").is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


@pytest.mark.parametrize("count", range(1, 5))
def test_a_save_that_fails_at_any_file_leaves_the_model_that_was_there(tmp_path, monkeypatch, count):
    folder = tiny_model(tmp_path / "tiny")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    model = load_model(folder)
    replace, left = os.replace, [count]

    def full(source, target):
        left[0] -= 1
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OutputError, match="No space left"):
        save_model(folder, model.config, model.twin.state_dict(), "# new\n", {"seed": 4}, half=False)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]
