import json
import sys
import types

import numpy as np
import pytest
import torch
from tiny_model import tiny_model

from ClamSegLib.benchmark_networks import rounds
from ClamSegLib.benchmark_peers import MONAI, SMP, PlainNestedUNet, peer, slice_loop
from ClamSegLib.cli import main


def test_a_quick_benchmark_measures_every_part_and_says_what_it_measured(tmp_path, repository):
    model = tiny_model(tmp_path / "ct", "CT")
    case = repository / "Resources" / "Samples" / "ct_chest.nrrd"
    words = [
        "benchmark",
        "--quick",
        "--model",
        str(model),
        "--case",
        str(case),
        "--output",
        str(tmp_path / "out"),
        "--progress",
        "none",
    ]
    assert main(words) == 0
    told = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    assert "interpolated to 128 x 128 x 12" in told["case"]["case"]
    assert {"read", "organ", "crop", "network", "lesions", "write", "pictures"} <= set(told["case"]["seconds"])
    total = sum(stage["median"] for name, stage in told["case"]["seconds"].items() if name != "network")
    assert told["case"]["outside_network_seconds"]["median"] == pytest.approx(total, rel=0.01, abs=0.01)
    assert told["machine"]["threads"] >= 1
    assert {"level 1", "level 2"} <= set(told["network"])
    for stage in told["case"]["seconds"].values():
        assert stage["min"] <= stage["median"] <= stage["max"]
    assert 0 < told["training"]["data_share"] < 1
    shared = told["training_scaling"]["processes"]
    assert set(shared) == {"1", "2"}
    assert all(run["slices_per_second"] > 0 for run in shared.values())
    networks = told["peers"]["networks"]
    assert {"plain nested U-Net", "ClamSeg as trained", "ClamSeg torch float32", "ClamSeg torch bfloat16"} <= set(
        networks
    )
    assert networks[told["peers"]["compared_with"]]["times_as_fast"]["median"] == 1
    for kind in ("ClamSeg torch float32", "ClamSeg mnn float32"):
        assert networks[f"{kind}, level 1"]["gflop_per_slice"] < networks[kind]["gflop_per_slice"]
    assert all(row["share_of_peak"]["median"] > 0 for row in networks.values())
    for name, why in told["peers"]["left_out"].items():
        assert name not in networks
        assert why, "a peer is never left out in silence"
    assert set(told["peers"]["profile"]) == {"float32", "bfloat16"}
    own = {f"ClamSeg {kind}" for kind in ("torch float32", "mnn float32", "mnn float32, with the loaded network")}
    assert set(told["peers"]["memory_mb"]) >= {"plain nested U-Net", *own}
    assert told["slice_loop"]["times_as_fast"]["min"] > 0
    table = (tmp_path / "out" / "benchmark.md").read_text()
    assert all(name in table for name in (*networks, *told["peers"]["left_out"], "copy GB/s"))
    assert (tmp_path / "out" / "benchmark.png").is_file()
    assert not (tmp_path / "out" / "scan.nrrd").exists()


def test_the_plain_nested_network_has_every_node_of_a_unetplusplus():
    network = PlainNestedUNet((4, 8, 8, 16))
    assert set(network.blocks) == {f"{i}_{j}" for i in range(4) for j in range(4 - i)}
    assert network(torch.zeros(2, 1, 32, 32)).shape == (2, 2, 32, 32)


def test_the_slice_loop_pastes_each_slice_into_its_own_box():
    volume = np.full((2, 64, 64), -1000.0, np.float32)
    volume[0, 8:40, 8:40] = 40
    volume[1, 24:60, 20:60] = 40

    class Bright(torch.nn.Module):
        def forward(self, image):
            return torch.cat([0.5 - image, image - 0.5], 1)

    found = slice_loop(volume, Bright(), 32, -1000.0, 400.0)
    for plane, body in zip(found, volume > -500, strict=True):
        assert ((plane > 0) == body).mean() > 0.97


def test_a_round_runs_every_contestant_once_and_the_first_round_does_not_count():
    order: list[str] = []
    seconds = rounds({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2)
    assert order == ["a", "b"] * 3
    assert [len(values) for values in seconds.values()] == [2, 2]


def test_a_peer_that_does_not_import_is_left_out_with_its_reason(monkeypatch):
    monkeypatch.setitem(sys.modules, "monai.networks.nets", None)
    assert peer(MONAI, (4, 8, 8)) == "not installed"
    broken = types.ModuleType("segmentation_models_pytorch")
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", broken)
    assert "does not import" in str(peer(SMP, (4, 8, 8)))


def study_with_levels(folder, rows):
    file = folder / "small.json"
    network = {"features": [4, 8, 8], "shells": 1}
    levels = [{"name": f"level-{n}", "of": "recipe", "level": n} for n in (1,)]
    told = {"name": "small", "choice_patients": 1, "base": {"model": {"image_size": 32, "network": network}}}
    file.write_text(json.dumps({**told, "rows": [{"name": "recipe"}, *levels, {"name": "other"}]}))
    (folder / "small" / "rows").mkdir(parents=True)
    figure = {"value": 0.5, "interval_95": [0.4, 0.6]}
    figures = {"dice": figure, "volume_dice": figure, "false_positive_area": figure}
    for name, level in rows.items():
        row = {"name": name, "of": "" if name in ("recipe", "other") else "recipe", "level": level, "figures": figures}
        row |= {"judged_on": "choice", "refined": True, "head_weights": []}
        (folder / "small" / "rows" / f"{name}.json").write_text(json.dumps(row))
    return file


def test_the_levels_of_a_study_stand_beside_their_times(tmp_path):
    file = study_with_levels(tmp_path, {"recipe": None, "level-1": 1, "other": None})
    words = ["benchmark", "--study", str(file), "--output", str(tmp_path / "out"), "--repetitions", "2"]
    assert main([*words, "--progress", "none"]) == 0
    told = json.loads((tmp_path / "out" / "benchmark.json").read_text())["levels"]
    assert set(told["levels"]) == {"1", "2"}
    assert told["levels"]["2"]["times_as_fast"]["median"] == 1
    assert told["levels"]["1"]["dice"]["value"] == 0.5
    assert told["levels"]["1"]["slices_per_second"]["n"] == 2
    assert "| 1 | 0.500 (0.400 to 0.600)" in (tmp_path / "out" / "benchmark.md").read_text()


def test_a_study_without_judged_levels_is_refused_with_what_to_run(tmp_path, capsys):
    file = study_with_levels(tmp_path, {"recipe": None})
    assert main(["benchmark", "--study", str(file), "--output", str(tmp_path / "out"), "--progress", "none"]) == 2
    assert "judge pruned to a level" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
