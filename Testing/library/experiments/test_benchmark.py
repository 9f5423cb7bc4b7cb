import importlib
import json
import sys
import types

import numpy as np
import pytest
import torch
from tiny_model import tiny_model
from torch.utils._python_dispatch import TorchDispatchMode

from ClamSegLib.cli import main
from ClamSegLib.engines.choose import precisions_here
from ClamSegLib.experiments.benchmark_picture import table
from ClamSegLib.experiments.peer_smp import import_without_operators, remark_on_torchvision
from ClamSegLib.experiments.peers import MONAI, SMP_SAME, SMP_SHIPPED, PlainNestedUNet, peer, slice_loop
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
    assert {"level 1", "level 2"} <= set(told["network"])
    for stage in told["case"]["seconds"].values():
        assert stage["min"] <= stage["median"] <= stage["max"]
    assert 0 < told["training"]["data_share"] < 1
    shared = told["training_scaling"]["processes"]
    assert set(shared) == {"1", "2"}
    assert all(run["slices_per_second"] > 0 for run in shared.values())
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
    assert set(told["peers"]["profile"]) == set(precisions)
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
    assert peer(MONAI, (4, 8, 8)) == "monai.networks.nets is not installed"
    remark_on_torchvision.cache_clear()
    monkeypatch.setitem(sys.modules, "torchvision", None)
    assert peer(SMP_SAME, (4, 8, 8)) == "torchvision is not installed"
    monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", types.ModuleType("segmentation_models_pytorch"))
    assert "does not import" in str(peer(SMP_SHIPPED, (4, 8, 8)))
    remark_on_torchvision.cache_clear()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes a package, to be imported by the name that comes back; forgotten after the test."""
    monkeypatch.syspath_prepend(str(tmp_path))
    names = []

    def written(code):
        names.append(f"package_{len(names)}_of_{tmp_path.name}".lower())
        (tmp_path / f"{names[-1]}.py").write_text(code.replace("PACKAGE", names[-1]))
        return names[-1]

    yield written
    for name in names:
        sys.modules.pop(name, None)


DESCRIBES_A_LOST_OPERATOR = """
from torch import library

@library.register_fake("PACKAGE::lost")
def shape_of_lost(boxes):
    return boxes

answer = 42
"""


def test_a_package_whose_operators_do_not_load_is_imported_all_the_same_and_they_stay_missing(package):
    name = package(DESCRIBES_A_LOST_OPERATOR)
    with pytest.raises(RuntimeError, match=f"operator {name}::lost does not exist"):
        importlib.import_module(name)
    assert import_without_operators(name, ("lost", "never_asked_for"))
    assert sys.modules[name].answer == 42
    for operator in ("lost", "never_asked_for"):
        assert not hasattr(getattr(torch.ops, name), operator)
    assert not import_without_operators(name, ("lost",)), "it is imported already"


def test_only_a_missing_operator_of_those_named_is_declared(package):
    assert not import_without_operators(package("answer = 42"), ("lost",))
    name = package(DESCRIBES_A_LOST_OPERATOR)
    with pytest.raises(RuntimeError, match=f"operator {name}::lost does not exist"):
        import_without_operators(name, ("another",))
    with pytest.raises(RuntimeError, match="no such driver"):
        import_without_operators(package("raise RuntimeError('no such driver')"), ("lost",))
    with pytest.raises(ModuleNotFoundError):
        import_without_operators("package_that_nobody_wrote", ("lost",))


class CalledOperators(TorchDispatchMode):
    """Namespaces of the operators that are called."""

    def __init__(self):
        super().__init__()
        self.namespaces = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.namespaces.add(func.namespace)
        return func(*args, **(kwargs or {}))


def installed_peer(name, features):
    found = peer(name, features)
    if isinstance(found, str) and found.endswith(" is not installed"):
        pytest.skip(found)
    assert not isinstance(found, str), found
    return found.network


def test_the_peer_of_segmentation_models_pytorch_at_the_same_features_has_the_arithmetic_of_the_plain_one():
    features, side = (4, 8, 8, 16), 32
    network = installed_peer(SMP_SAME, features)
    assert network(torch.zeros(2, 1, side, side)).shape == (2, 2, side, side)
    # Its head has a kernel of 3, that of the plain one a kernel of 1.
    heads = 2 * side**2 * 2 * features[0] * (9 - 1) / 1e9
    assert gflop(network, side) == pytest.approx(gflop(PlainNestedUNet(features), side) + heads, rel=1e-6)


@pytest.mark.parametrize("name", [SMP_SAME, SMP_SHIPPED])
def test_the_peers_of_segmentation_models_pytorch_call_no_operator_of_torchvision(name):
    network = installed_peer(name, (4, 8, 8, 16))
    with CalledOperators() as called, torch.inference_mode():
        assert network(torch.zeros(1, 1, 32, 32)).shape == (1, 2, 32, 32)
    assert called.namespaces == {"aten"}


def test_a_remark_on_a_network_stands_below_the_table_with_its_name():
    spread = {"median": 1.0, "min": 1.0, "max": 1.0}
    row = {"slices_per_second": spread, "times_as_fast": spread, "latency_seconds": spread, "share_of_peak": spread}
    networks = {name: {**row, "gflop_per_slice": 65.43} for name in ("a net", "another net", "a third")}
    told = {"features": [4, 8], "image_size": 32, "batch": 2, "clock": "wall time", "compared_with": "a net"}
    remarks = {"a net": "measured by candle", "a third": "measured by candle"}
    words = table({"peers": {**told, "networks": networks, "left_out": {}, "remarks": remarks, "peak": {}}})
    assert "a net; a third: measured by candle." in words
    assert "| a net, 65.4 GFLOP |" in words
