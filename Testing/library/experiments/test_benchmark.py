import json
import sys
import types

import pytest
import torch
from tiny_model import tiny_model

from ClamSegLib.cli import main
from ClamSegLib.engines.choose import precisions_here
from ClamSegLib.experiments.peers import MONAI, SMP_SAME, SMP_SHIPPED, PlainNestedUNet, peer
from ClamSegLib.experiments.speed_side_by_side import gflop, rounds


@pytest.mark.timeout(600)  # every network and engine once, each converted anew: minutes on a busy machine
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
    for stage in told["case"]["seconds"].values():
        assert stage["min"] <= stage["median"] <= stage["max"]
    assert 0 < told["training"]["data_share"] < 1
    networks = told["peers"]["networks"]
    precisions = precisions_here(torch.device("cpu"))
    assert {"plain nested U-Net", "ClamSeg as trained", *(f"ClamSeg torch {p}" for p in precisions)} <= set(networks)
    assert ("bfloat16" in told["peers"]["left_out"]) == ("bfloat16" not in precisions)
    assert networks[told["peers"]["compared_with"]]["times_as_fast"]["median"] == 1
    for kind in ("ClamSeg torch float32", "ClamSeg mnn float32"):
        assert networks[f"{kind}, level 1"]["gflop_per_slice"] < networks[kind]["gflop_per_slice"]
    assert all(row["share_of_peak"]["median"] > 0 for row in networks.values())
    for name, why in told["peers"]["left_out"].items():
        assert name not in networks
        assert why, "a peer is never left out in silence"
    table = (tmp_path / "out" / "benchmark.md").read_text()
    assert all(name in table for name in (*networks, *told["peers"]["left_out"], "copy GB/s"))
    assert not (tmp_path / "out" / "scan.nrrd").exists()


def test_the_plain_nested_network_has_every_node_of_a_unetplusplus():
    network = PlainNestedUNet((4, 8, 8, 16))
    assert set(network.blocks) == {f"{i}_{j}" for i in range(4) for j in range(4 - i)}
    assert network(torch.zeros(2, 1, 32, 32)).shape == (2, 2, 32, 32)


def test_a_round_runs_every_contestant_once_and_the_first_round_does_not_count():
    order: list[str] = []
    seconds = rounds({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2)
    assert order == ["a", "b"] * 3
    assert [len(values) for values in seconds.values()] == [2, 2]


def test_a_peer_that_does_not_import_is_left_out_with_its_reason(monkeypatch):
    monkeypatch.setitem(sys.modules, "monai.networks.nets", None)
    assert peer(MONAI, (4, 8, 8)) == "monai.networks.nets is not installed"
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", types.ModuleType("segmentation_models_pytorch"))
    assert "does not import" in str(peer(SMP_SHIPPED, (4, 8, 8)))


def installed_peer(name, features):
    found = peer(name, features)
    if isinstance(found, str) and found.endswith(" is not installed"):
        pytest.skip(found)
    assert not isinstance(found, str), found
    return found


def test_the_peer_of_segmentation_models_pytorch_at_the_same_features_has_the_arithmetic_of_the_plain_one():
    features, side = (4, 8, 8, 16), 32
    network = installed_peer(SMP_SAME, features)
    assert network(torch.zeros(2, 1, side, side)).shape == (2, 2, side, side)
    # Its head has a kernel of 3, that of the plain one a kernel of 1.
    heads = 2 * side**2 * 2 * features[0] * (9 - 1) / 1e9
    assert gflop(network, side) == pytest.approx(gflop(PlainNestedUNet(features), side) + heads, rel=1e-6)
