import json

import pytest
from tiny_model import tiny_model

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
    assert (tmp_path / "out" / "benchmark.png").is_file()
    assert not (tmp_path / "out" / "scan.nrrd").exists()
