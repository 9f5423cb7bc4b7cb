"""Engines: the result never depends on what computes it, beyond what is allowed; choices are remembered and forgotten."""

import copy
import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_model import tiny_model

from ClamSegLib.cli import main
from ClamSegLib.engines import cache as engine_memory
from ClamSegLib.engines import candidates as engine_candidates
from ClamSegLib.engines import choose as engine_choice
from ClamSegLib.engines import self_test as engine_trial
from ClamSegLib.engines.build import open_engine, open_steps
from ClamSegLib.engines.choose import SMALLEST_AGREEMENT, OpenEngine, OpenSteps, Work, choose_engine
from ClamSegLib.engines.engine import Engine, EngineChoice
from ClamSegLib.engines.self_test import try_engine
from ClamSegLib.imaging.read_write import read_volume
from ClamSegLib.model.checkpoint import LoadedModel, load_model
from ClamSegLib.model.config import Condition, EarlyExit, ModelConfig, NetworkConfig
from ClamSegLib.model.twin import TwinUNet
from ClamSegLib.segmentation.segment_volume import SegmentOptions, segment_volume
from ClamSegLib.system import device
from ClamSegLib.system.engine_packages import engine_versions, installed_engines
from ClamSegLib.system.errors import ClamSegError, InputError
from ClamSegLib.system.progress import Reporter

CPU = torch.device("cpu")
KINDS = {"torch": "torch", "openvino": "openvino", "onnx": "onnxscript", "mnn": "MNN"}


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("CLAMSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "engines"


@pytest.fixture
def model(tmp_path) -> LoadedModel:
    return load_model(tiny_model(tmp_path / "tiny"))


def with_statistics(twin: TwinUNet) -> TwinUNet:
    """Batch statistics and shifts as after training, so that folding them has something to do."""
    generator = torch.Generator().manual_seed(5)
    for module in twin.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3, generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
            torch.nn.init.normal_(module.weight, 1.0, 0.2, generator=generator)
            torch.nn.init.normal_(module.bias, 0.0, 0.2, generator=generator)
    return twin.eval()


def model_of(tmp_path: Path, **network) -> LoadedModel:
    net = NetworkConfig(**{"features": (4, 8, 8), "kernel_sizes": (3, 3, 5), **network})
    odds = tuple(tuple((0.7,) * (net.classes - 1) for _ in range(net.heads)) for _ in range(net.branches))
    conditions = tuple(Condition(f"c{k}") for k in range(net.classes - 1))
    config = ModelConfig("m", image_size=32, network=net, odds_normal=odds, conditions=conditions, weights_sha256="0")
    return LoadedModel(config, with_statistics(TwinUNet(net, seed=1)), tmp_path)


def crops(n: int = 3) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 1, 32, 32)).astype(np.float32)


def work_of(model: LoadedModel, asked: str, ahead: int = 10_000, **changes) -> Work:
    sample = crops(4)
    whole = np.ones((4, 32, 32), bool)
    return Work(model, model.config.network.depth, CPU, asked, sample, whole, ahead, **changes)


ARCHITECTURES = {
    "twin": {},
    "one branch": {"branches": 1},
    "two conditions": {"classes": 3},
    "repeated level": {"repeat_levels": (1,)},
    "instance normalisation": {"normalisation": "instance"},
    "u-net": {"kind": "unet"},
    "fcn": {"kind": "fcn"},
}


@pytest.mark.parametrize("branches", ["in turn", "together"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_folded_network_answers_as_the_trained_one(tmp_path, name, branches):
    model = model_of(tmp_path, **ARCHITECTURES[name])
    for level in range(1, model.config.network.heads + 1):
        reference = open_engine(model, level, CPU, EngineChoice()).run(crops())
        folded = open_engine(model, level, CPU, EngineChoice("torch", branches=branches)).run(crops())
        assert reference[0].std() > 0.01, "a flat map would agree with anything"
        for expected, found in zip(reference, folded, strict=True):
            assert np.allclose(expected, found, atol=2e-5)


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_engine_and_level_marks_the_pixels_the_reference_marks(cache, tmp_path, kind, precision, level):
    pytest.importorskip(KINDS[kind])
    if (kind, precision) in (("onnx", "bfloat16"), ("mnn", "bfloat16")):
        return  # they compute in float32
    model = model_of(tmp_path)
    reference = open_engine(model, level, CPU, EngineChoice()).run(crops())[0]
    # A threshold that real lesions have: away from where an untrained network puts most of its pixels.
    threshold = float(np.quantile(reference, 0.95))
    found = open_engine(model, level, CPU, EngineChoice(kind, precision, threads=1)).run(crops())[0]
    same = ((found > threshold) == (reference > threshold)).mean()
    assert same >= (SMALLEST_AGREEMENT if precision == "float32" else 0.99)
    assert np.abs(found - reference).max() < (1e-4 if precision == "float32" else 0.1)


def test_a_whole_case_is_the_same_by_every_engine(cache, model, repository):
    volume = read_volume(repository / "Resources" / "Samples" / "mr_flair_brain.nii.gz")
    expected = segment_volume(volume, model, SegmentOptions(device="cpu"))
    for kind, package in KINDS.items():
        pytest.importorskip(package)
        result = segment_volume(volume, model, SegmentOptions(device="cpu", engine=kind))
        inside = expected.organ.mask
        assert ((result.labels > 0) == (expected.labels > 0))[inside].mean() >= SMALLEST_AGREEMENT
        assert result.engine["engine"] == kind
        assert result.engine["agreement_with_reference"] >= SMALLEST_AGREEMENT


def test_the_same_choice_gives_the_same_result_to_the_bit(cache, model):
    choice = EngineChoice("torch", threads=1)
    first = open_engine(model, 2, CPU, choice).run(crops())
    again = open_engine(model, 2, CPU, choice).run(crops())
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("kind", ["reference", "torch"])
def test_numbers_that_overflow_are_refused_and_never_become_an_empty_map(model, repository, kind):
    volume = read_volume(repository / "Resources" / "Samples" / "mr_flair_brain.nii.gz")
    with torch.no_grad():
        model.twin.branches[0].heads["x_0_2"].bias[0] = float("inf")
    with pytest.raises(ClamSegError, match="no numbers"):
        segment_volume(volume, model, SegmentOptions(device="cpu", engine="reference"))
    with pytest.raises(ClamSegError, match="no numbers"):
        open_engine(model, 2, CPU, EngineChoice(kind)).run(crops())


def test_a_level_whose_heads_count_nothing_and_a_model_without_odds_are_refused_in_words(model, repository):
    volume = read_volume(repository / "Resources" / "Samples" / "mr_flair_brain.nii.gz")
    deepest = replace(model, config=replace(model.config, head_weights=(0.0, 1.0)), engines={})
    assert segment_volume(volume, deepest, SegmentOptions(device="cpu")).level == 2
    with pytest.raises(InputError, match="every head of level 1 the weight 0"):
        segment_volume(volume, deepest, SegmentOptions(device="cpu", level=1))
    unknown = replace(model, config=replace(model.config, odds_normal=()), engines={})
    with pytest.raises(InputError, match="no odds_normal"):
        segment_volume(volume, unknown, SegmentOptions(device="cpu"))


@pytest.mark.parametrize("level", [None, "auto"])
def test_an_engine_taken_by_auto_that_fails_on_the_way_gives_way_to_the_network_as_trained(model, repository, level):
    volume = read_volume(repository / "Resources" / "Samples" / "mr_flair_brain.nii.gz")
    model = replace(model, config=replace(model.config, early_exits=(EarlyExit(1, 0.0, 0.5),)))
    options = SegmentOptions(device="cpu", level=level)
    expected = segment_volume(volume, model, options)
    twin = copy.deepcopy(model.twin)
    with torch.no_grad():
        twin.branches[0].heads["x_0_2"].bias[0] = float("inf")  # as where a precision overflows
    broken = replace(model, twin=twin, engines={})
    threads = torch.get_num_threads()
    engine = OpenEngine(open_engine(broken, 2, CPU, EngineChoice("torch")), 1.0, "remembered")
    steps = OpenSteps(open_steps(broken, (1, 2), CPU, EngineChoice("torch")), 1.0, "remembered")
    for asked in ("auto", "torch"):
        model.engines.update({(2, "cpu", asked, threads): engine, (1, 2, "cpu", asked, threads): steps})
    found = segment_volume(volume, model, replace(options, engine="auto"))
    assert np.array_equal(found.probability, expected.probability)
    assert found.engine["engine"] == "reference"
    assert any("fastest here failed" in words and "no numbers" in words for words in found.warnings)
    with pytest.raises(ClamSegError, match="run again with --engine reference"):
        segment_volume(volume, model, replace(options, engine="torch"))


def test_memory_that_runs_out_while_engines_are_tried_leaves_the_network_as_trained(model, repository, monkeypatch):
    volume = read_volume(repository / "Resources" / "Samples" / "mr_flair_brain.nii.gz")
    expected = segment_volume(volume, model, SegmentOptions(device="cpu", batch_size=1))

    def no_memory(*given):
        raise MemoryError

    monkeypatch.setattr(engine_choice, "_Trial", no_memory)
    found = segment_volume(volume, model, SegmentOptions(device="cpu", engine="torch"))
    assert np.array_equal(found.probability, expected.probability)
    assert any("while engines were tried" in words for words in found.warnings)


LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
import numpy as np, torch
from ClamSegLib.model.checkpoint import load_model
from ClamSegLib.system.device import is_out_of_memory
from ClamSegLib.engines.engine import EngineChoice
from ClamSegLib.engines.build import open_engine

engine = open_engine(load_model(Path(sys.argv[2])), 2, torch.device("cpu"), EngineChoice(sys.argv[1], threads=1))
image = np.random.default_rng(0).normal(size=(4096, 1, 32, 32)).astype(np.float32)
expected = engine.run(image[:64])[0]
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 40 * 2**20,) * 2)
for size in (4096, 2048, 64):
    try:
        found = engine.run(image[-size:] if size > 64 else image[:64])[0]
    except Exception as error:
        print("memory" if is_out_of_memory(error) else repr(error))
    else:
        print("wrong" if size == 64 and not np.allclose(found, expected, atol=1e-4) else len(found))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process have little memory")
@pytest.mark.parametrize("kind", ["torch", "openvino", "onnx", "mnn"])
def test_an_engine_whose_memory_runs_out_says_so_and_never_answers_for_slices_of_before(cache, model, kind):
    pytest.importorskip(KINDS[kind])
    words = [sys.executable, "-c", LITTLE_MEMORY, kind, str(model.folder)]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split("\n")
    assert told[0] == "memory"
    assert told[1] in ("memory", "2048")
    assert told[2] == "64", "with fewer slices it goes on"


@pytest.mark.parametrize("kind", ["openvino", "onnx", "mnn"])
def test_the_same_weights_for_crops_of_another_size_are_converted_anew(cache, model, kind):
    pytest.importorskip(KINDS[kind])
    choice = EngineChoice(kind, threads=1)
    open_engine(model, 2, CPU, choice).run(crops())
    larger = replace(model, config=replace(model.config, image_size=64), engines={})
    image = np.random.default_rng(1).normal(size=(2, 1, 64, 64)).astype(np.float32)
    found = open_engine(larger, 2, CPU, choice).run(image)
    expected = open_engine(larger, 2, CPU, EngineChoice()).run(image)
    assert all(np.allclose(a, b, atol=2e-4) for a, b in zip(expected, found, strict=True))


def test_a_choice_is_measured_once_and_then_remembered(cache, model, monkeypatch):
    first = choose_engine(work_of(model, "torch"))
    assert first.reason == "measured"
    assert len(list(cache.glob("*.json"))) == 1

    def never(*args):
        raise AssertionError("measured again")

    monkeypatch.setattr(engine_choice, "_Trial", never)
    second = choose_engine(work_of(model, "torch"))
    assert second.reason == "remembered"
    assert second.engine.choice == first.engine.choice
    assert choose_engine(work_of(model, "torch", batch_size=3)).engine.choice.batch_size == 3


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"question": 1}', '"x"', "null"])
def test_a_damaged_memory_is_removed_and_measured_anew(cache, model, damage):
    choose_engine(work_of(model, "torch"))
    (file,) = cache.glob("*.json")
    file.write_text(damage)
    assert choose_engine(work_of(model, "torch")).reason == "measured"
    assert json.loads(file.read_text())["choice"]["engine"] == "torch"


@pytest.mark.parametrize("field", [{"engine": "abacus"}, {"threads": -1}, {"threads": "2"}, {"colour": 1}])
def test_a_memory_with_a_choice_that_cannot_be_is_not_followed(cache, model, field):
    choose_engine(work_of(model, "torch"))
    (file,) = cache.glob("*.json")
    told = json.loads(file.read_text())
    told["choice"] |= field
    file.write_text(json.dumps(told))
    assert choose_engine(work_of(model, "torch")).reason == "measured"


def test_the_same_weights_decoded_otherwise_are_another_model(model):
    known = engine_memory.identity_of(model.config)
    for change in (
        {"threshold": 0.3},
        {"weights_sha256": "0"},
        {"image_size": 64},
        {"level_scales": ((((1.1, 0.0),), ((1.0, 0.0),)),)},
    ):
        assert engine_memory.identity_of(replace(model.config, **change)) != known
    assert engine_memory.identity_of(replace(model.config, name="other")) == known


def test_another_model_version_level_or_processor_is_another_question(model, monkeypatch):
    ask = engine_memory.question("a", 1, "cpu", "auto", 1)
    assert ask != engine_memory.question("b", 1, "cpu", "auto", 1)
    assert ask != engine_memory.question("a", 2, "cpu", "auto", 1)
    monkeypatch.setattr(engine_memory, "processor_name", lambda: "another")
    assert ask != engine_memory.question("a", 1, "cpu", "auto", 1)
    monkeypatch.undo()
    monkeypatch.setattr(engine_memory, "versions_of_engines", lambda: {"torch": "0"})
    assert ask != engine_memory.question("a", 1, "cpu", "auto", 1)


def test_a_cache_that_cannot_be_written_does_not_stop_the_work(tmp_path, model, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CLAMSEG_CACHE", str(tmp_path / "file" / "below"))
    assert choose_engine(work_of(model, "torch")).reason == "measured"


@pytest.mark.parametrize(("answer", "why"), [(1.0, "agree with the reference"), (np.nan, "no numbers")])
def test_an_engine_whose_masks_differ_is_not_taken_and_that_is_said(cache, model, monkeypatch, answer, why):
    monkeypatch.setattr(engine_candidates, "is_bfloat16_fast", lambda kind: True)
    real = engine_choice.open_engine

    def one_is_wrong(model, level, device, choice):
        engine = real(model, level, device, choice)
        if choice.precision == "bfloat16":
            engine._run = lambda image: (np.full_like(image, answer), np.zeros_like(image))
        return engine

    monkeypatch.setattr(engine_choice, "open_engine", one_is_wrong)
    heard: list[str] = []

    class Listener(Reporter):
        def note(self, message: str) -> None:
            heard.append(message)

    chosen = choose_engine(work_of(model, "torch"), Listener())
    assert chosen.engine.choice.precision == "float32"
    assert any("bfloat16" in words and "not taken" in words and why in words for words in heard)
    assert why in next(cache.glob("*.json")).read_text()


def test_where_every_engine_fails_the_reference_runs_and_nothing_is_remembered(cache, model, monkeypatch):
    real = engine_choice.open_engine

    def broken(model, level, device, choice):
        if choice.engine != "reference":
            raise RuntimeError("no such instruction")
        return real(model, level, device, choice)

    monkeypatch.setattr(engine_choice, "open_engine", broken)
    assert choose_engine(work_of(model, "torch")).engine.choice.engine == "reference"
    assert not list(cache.glob("*.json"))


def test_who_segments_hears_that_the_engine_asked_for_is_not_taken(cache, model, repository, monkeypatch):
    volume = read_volume(repository / "Resources" / "Samples" / "mr_flair_brain.nii.gz")
    monkeypatch.setattr(engine_choice, "SMALLEST_AGREEMENT", 1.1)
    heard: list[str] = []

    class Listener(Reporter):
        def note(self, message: str) -> None:
            heard.append(message)

    result = segment_volume(volume, model, SegmentOptions(device="cpu", engine="torch"), Listener())
    assert result.engine["engine"] == "reference"
    assert any("Engine torch, float32" in words and "not taken" in words for words in heard)


def test_little_work_runs_on_the_reference_without_measuring(cache, model):
    assert choose_engine(work_of(model, "auto", ahead=20)).reason == "reference"
    assert not cache.exists()


@pytest.mark.parametrize(
    ("kind", "file", "cut"),
    [("openvino", "model.bin", False), ("mnn", "model.mnn", False), ("mnn", "model.mnn", True)],
)
def test_a_converted_network_that_was_changed_on_disk_is_converted_again(cache, model, kind, file, cut):
    pytest.importorskip(KINDS[kind])
    choice = EngineChoice(kind, threads=1)
    expected = open_engine(model, 2, CPU, choice).run(crops())
    (weights,) = cache.glob(f"{kind}-*/{file}")
    size = len(weights.read_bytes())
    weights.write_bytes(weights.read_bytes()[: size // 2] if cut else bytes(size))
    found = open_engine(model, 2, CPU, choice).run(crops())
    assert np.array_equal(expected[0], found[0])
    assert list(weights.parent.parent.iterdir()) == [weights.parent], "nothing is left beside it"


def test_converting_for_openvino_reports_nothing_over_the_network(cache, tmp_path):
    """In a process of its own: the converter decides once, when it is imported, whom it tells."""
    pytest.importorskip("openvino")
    code = (
        "from ClamSegLib.engines.conversion import import_openvino; openvino = import_openvino(); import torch;"
        "openvino.convert_model(torch.nn.ReLU(), example_input=torch.ones(1));"
        "from openvino.tools.ovc import telemetry_utils, convert_impl;"
        "print(telemetry_utils.tm.__name__, convert_impl.tm.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split()[-2:] == ["openvino.tools.ovc.telemetry_stub"] * 2


@pytest.mark.parametrize("kind", ["openvino", "onnx", "mnn"])
def test_an_engine_that_is_not_installed_is_named_with_its_remedy(model, monkeypatch, kind):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=rf"clamseg\[{kind}\]"):
        choose_engine(work_of(model, kind))


@pytest.mark.parametrize("kind", ["openvino", "onnx", "mnn"])
def test_an_engine_is_tried_on_a_real_network(cache, tmp_path, kind):
    pytest.importorskip(KINDS[kind])
    assert 0 < try_engine(model_of(tmp_path), kind) < 1e-3


@pytest.mark.parametrize("answer", [0.25, float("nan")])
def test_an_engine_that_answers_otherwise_than_the_trained_network_fails_its_trial(
    cache, tmp_path, monkeypatch, answer
):
    pytest.importorskip("MNN")

    class Wrong(Engine):
        def _run(self, image):
            maps = np.full((len(image), 1, *image.shape[2:]), answer, np.float32)
            return maps, maps

    real = engine_trial.open_engine
    monkeypatch.setattr(
        engine_trial, "open_engine", lambda *given: Wrong(given[3]) if given[3].engine == "mnn" else real(*given)
    )
    with pytest.raises(ClamSegError, match=r"differs from the trained network by .*; at most 0.01"):
        try_engine(model_of(tmp_path), "mnn")


def test_only_engines_with_packages_of_their_own_are_tried(model):
    with pytest.raises(InputError, match="allowed are openvino, onnx, mnn"):
        try_engine(model, "auto")


def test_an_engine_installed_in_part_counts_as_not_installed(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxscript" else object())
    assert installed_engines() == ["openvino"]
    assert engine_versions()["mnn"] is None


@pytest.mark.parametrize("kind", ["openvino", "mnn"])
def test_an_engine_for_the_cpu_is_refused_on_a_gpu(model, kind):
    pytest.importorskip(KINDS[kind])
    work = replace(work_of(model, kind), device=torch.device("cuda:0"))
    with pytest.raises(InputError, match="--device cpu"):
        choose_engine(work)


def test_auto_takes_the_fastest_engine_although_the_time_for_measuring_is_over(cache, model, monkeypatch):
    pytest.importorskip("openvino")
    pytest.importorskip("MNN")
    times = {("torch", "float32"): 4.0}
    monkeypatch.setattr(engine_candidates, "is_bfloat16_fast", lambda kind: True)
    monkeypatch.setattr(engine_choice, "_worth_measuring", lambda work: True)
    monkeypatch.setattr(engine_choice, "_MEASURING_BUDGET_S", 0.0)
    monkeypatch.setattr(
        engine_choice._Trial,
        "_seconds",
        lambda self, engine, best: times[engine.choice.engine, engine.choice.precision],
    )
    work = replace(work_of(model, "auto"), sample=crops(1), organ=np.ones((1, 32, 32), bool))
    for of_mnn, of_openvino, expected in ((1.0, 2.0, "mnn"), (2.0, 1.0, "openvino"), (9.0, 9.0, "torch")):
        times |= {("mnn", "float32"): of_mnn, ("openvino", "bfloat16"): of_openvino}
        assert choose_engine(work).engine.choice.engine == expected
        (answer,) = cache.glob("*.json")
        answer.unlink()


def test_a_processor_that_works_bfloat16_out_number_by_number_is_never_asked_for_it(monkeypatch):
    from ClamSegLib.engines.candidates import by_promise, precisions_here
    from ClamSegLib.training import learner

    kinds = ["torch", "openvino", "mnn"]
    for fast in (True, False):
        monkeypatch.setattr(engine_candidates, "is_bfloat16_fast", lambda kind, fast=fast: fast)
        monkeypatch.setattr(learner, "is_bfloat16_fast", lambda kind, fast=fast: fast)
        assert any(precision == "bfloat16" for _, precision in by_promise(kinds, CPU)) == fast
        assert precisions_here(CPU) == (("float32", "bfloat16") if fast else ("float32",))
        assert learner.autocast_precision("bf16", CPU) == (torch.bfloat16 if fast else None)
        assert ("openvino", "float32") in by_promise(kinds, CPU)


def test_whether_bfloat16_is_fast_is_measured(monkeypatch):
    now = iter(np.cumsum([0.0, 1.0] * 5 + [0.0, 0.5] * 5))  # float32 takes 1 s, bfloat16 half of it
    monkeypatch.setattr(device.time, "perf_counter", lambda: next(now))
    assert device.is_bfloat16_fast.__wrapped__("cpu")
    now = iter(np.cumsum([0.0, 1.0] * 5 + [0.0, 20.0]))  # once is enough
    assert not device.is_bfloat16_fast.__wrapped__("cpu")
    with pytest.raises(StopIteration):
        next(now)


def test_the_report_says_what_computed(cache, tmp_path, repository, capsys):
    source = repository / "Resources" / "Samples" / "mr_flair_brain.nii.gz"
    words = [
        "segment",
        str(source),
        "--model",
        str(tiny_model(tmp_path / "tiny")),
        "--device",
        "cpu",
        "--progress",
        "none",
    ]
    assert main([*words, "--engine", "torch", "--batch-size", "3", "--output", str(tmp_path / "out")]) == 0
    (report,) = (tmp_path / "out").glob("*/report.json")
    told = json.loads(report.read_text())["engine"]
    assert told["engine"] == "torch"
    assert told["batch_size"] == 3
    assert told["threads"] >= 1
    assert told["precision"] in ("float32", "bfloat16")
    assert main([*words, "--engine", "abacus", "--output", str(tmp_path / "x")]) == 2
    assert "auto, reference, torch, openvino, onnx, mnn" in capsys.readouterr().err


def test_the_times_per_level_are_those_of_the_engine_that_runs_here(cache, model, monkeypatch):
    from ClamSegLib import level_times
    from ClamSegLib.engines import build as engine_opening
    from ClamSegLib.engines.cache import Remembered, identity_of, question, remember

    used: list[EngineChoice] = []
    real = engine_opening.open_engine

    def noted(model, level, device, choice):
        used.append(choice)
        if choice.engine == "openvino":
            raise ImportError("it was removed")
        return real(model, level, device, choice)

    monkeypatch.setattr(engine_opening, "open_engine", noted)
    sha, threads = identity_of(model.config), torch.get_num_threads()
    for level, kind in ((1, "torch"), (2, "openvino")):
        remember(question(sha, level, "cpu", "auto", threads), Remembered(EngineChoice(kind), 1.0), [])
    times = level_times.seconds_per_slice(model, "cpu")
    assert [choice.engine for choice in used] == ["torch", "openvino", "reference"]
    assert set(times) == {1, 2}


def test_engines_are_compared_by_the_masks_a_user_gets_with_maps_sharpened_by_the_image(model):
    from ClamSegLib.model.config import RefinementConfig

    plain = replace(model, config=replace(model.config, threshold=0.1))
    strict = RefinementConfig(-4.0, 8.0, ((0.0,) * 96,), (1e6,))
    sharpened = replace(plain, config=replace(plain.config, refinement=strict))
    assert engine_choice._Trial(work_of(plain, "torch"), Reporter()).expected.any()
    assert not engine_choice._Trial(work_of(sharpened, "torch"), Reporter()).expected.any()
