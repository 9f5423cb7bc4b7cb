"""Engines: the result never depends on what computes it, beyond what is allowed; a short rule chooses."""

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
from ClamSegLib.engines import choose as engine_choice
from ClamSegLib.engines import self_test as engine_trial
from ClamSegLib.engines.build import open_engine
from ClamSegLib.engines.choose import SMALLEST_AGREEMENT, OpenEngine, Work, choose_engine, engines_by_rule
from ClamSegLib.engines.conversion import import_mnn, import_openvino
from ClamSegLib.engines.engine import Engine, EngineChoice
from ClamSegLib.engines.self_test import try_engine
from ClamSegLib.imaging.read_write import read_volume
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.model.checkpoint import LoadedModel, load_model
from ClamSegLib.model.config import Condition, ModelConfig, NetworkConfig
from ClamSegLib.model.decoding_config import RefinementConfig
from ClamSegLib.model.twin import TwinUNet
from ClamSegLib.organ.crop_and_normalise import prepare
from ClamSegLib.segmentation.options import SegmentOptions
from ClamSegLib.segmentation.segment_volume import segment_volume
from ClamSegLib.system import device
from ClamSegLib.system.errors import ClamSegError, InputError
from ClamSegLib.system.installation import engine_versions, installed_engines
from ClamSegLib.system.progress import Reporter

CPU = torch.device("cpu")
KINDS = {"torch": "torch", "openvino": "openvino", "mnn": "MNN"}


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


def work_of(model: LoadedModel, asked: str, slices: int = 9) -> Work:
    """A case of noise, all of it organ."""
    array = np.random.default_rng(0).normal(size=(slices, 40, 44)).astype(np.float32)
    preparation = prepare(Volume(array), np.ones(array.shape, bool), model.config)
    return Work(preparation, model, model.config.network.depth, CPU, asked)


@pytest.fixture
def much_work(monkeypatch) -> None:
    """Any work is enough for another engine than the reference."""
    monkeypatch.setattr(engine_choice, "_LITTLE_WORK_GFLOP", 0.0)


class Heard(Reporter):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


ARCHITECTURES = {
    "twin": {},
    "one branch": {"branches": 1},
    "two conditions": {"classes": 3},
    "repeated level": {"repeat_levels": (1,)},
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_folded_network_answers_as_the_trained_one(tmp_path, name):
    model = model_of(tmp_path, **ARCHITECTURES[name])
    for level in range(1, model.config.network.heads + 1):
        reference = open_engine(model, level, CPU, EngineChoice()).run(crops())
        folded = open_engine(model, level, CPU, EngineChoice("torch")).run(crops())
        assert reference[0].std() > 0.01, "a flat map would agree with anything"
        for expected, found in zip(reference, folded, strict=True):
            assert np.allclose(expected, found, atol=2e-5)


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_engine_and_level_marks_the_pixels_the_reference_marks(cache, tmp_path, kind, precision, level):
    pytest.importorskip(KINDS[kind])
    if (kind, precision) == ("mnn", "bfloat16"):
        return  # it computes in float32
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


@pytest.mark.parametrize(("package", "load"), [("openvino", import_openvino), ("MNN", import_mnn)])
def test_a_package_that_finds_no_memory_is_not_called_missing(tmp_path, monkeypatch, package, load):
    (tmp_path / f"{package}.py").write_text("raise ImportError('lib.so: failed to map segment from shared object')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, package, raising=False)
    with pytest.raises(ImportError, match="failed to map segment"):
        load()
    (tmp_path / f"{package}.py").write_text("raise ImportError('lib.so: no such symbol in this version')")
    with pytest.raises(InputError, match="is missing; install it"):
        load()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process have little memory")
@pytest.mark.parametrize("kind", ["torch", "openvino", "mnn"])
def test_an_engine_whose_memory_runs_out_says_so_and_never_answers_for_slices_of_before(cache, model, kind):
    pytest.importorskip(KINDS[kind])
    words = [sys.executable, "-c", LITTLE_MEMORY, kind, str(model.folder)]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split("\n")
    assert told[0] == "memory"
    assert told[1] in ("memory", "2048")
    assert told[2] == "64", "with fewer slices it goes on"


@pytest.mark.parametrize("kind", ["openvino", "mnn"])
def test_the_same_weights_for_crops_of_another_size_are_converted_anew(cache, model, kind):
    pytest.importorskip(KINDS[kind])
    choice = EngineChoice(kind, threads=1)
    open_engine(model, 2, CPU, choice).run(crops())
    larger = replace(model, config=replace(model.config, image_size=64), engines={})
    image = np.random.default_rng(1).normal(size=(2, 1, 64, 64)).astype(np.float32)
    found = open_engine(larger, 2, CPU, choice).run(image)
    expected = open_engine(larger, 2, CPU, EngineChoice()).run(image)
    assert all(np.allclose(a, b, atol=2e-4) for a, b in zip(expected, found, strict=True))


def test_who_segments_hears_that_the_engine_asked_for_is_not_taken(cache, model, repository, monkeypatch):
    volume = read_volume(repository / "Resources" / "Samples" / "mr_flair_brain.nii.gz")
    monkeypatch.setattr(engine_choice, "SMALLEST_AGREEMENT", 1.1)
    heard = Heard()
    result = segment_volume(volume, model, SegmentOptions(device="cpu", engine="torch"), heard)
    assert result.engine["engine"] == "reference"
    assert any("Engine torch, float32" in words and "not taken" in words for words in heard.notes)


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


@pytest.mark.parametrize("kind", ["openvino", "mnn"])
def test_an_engine_that_is_not_installed_is_named_with_its_remedy(model, monkeypatch, kind):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=rf"clamseg\[{kind}\]"):
        choose_engine(work_of(model, kind))


@pytest.mark.parametrize("kind", ["openvino", "mnn"])
def test_an_engine_is_tried_on_a_real_network(cache, tmp_path, kind):
    pytest.importorskip(KINDS[kind])
    assert 0 < try_engine(model_of(tmp_path), kind) < 1e-3


@pytest.mark.parametrize("answer", [0.25, float("nan")])
def test_an_engine_that_answers_otherwise_than_the_trained_network_fails_its_trial(
    cache, tmp_path, monkeypatch, answer
):
    pytest.importorskip("MNN")

    class Wrong(Engine):
        def run(self, image):
            maps = np.full((len(image), 1, *image.shape[2:]), answer, np.float32)
            return maps, maps

    real = engine_trial.open_engine
    monkeypatch.setattr(
        engine_trial, "open_engine", lambda *given: Wrong(given[3]) if given[3].engine == "mnn" else real(*given)
    )
    with pytest.raises(ClamSegError, match=r"differs from the trained network by .*; at most 0.01"):
        try_engine(model_of(tmp_path), "mnn")


def test_only_engines_with_packages_of_their_own_are_tried(model):
    with pytest.raises(InputError, match="allowed are openvino, mnn"):
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
    assert "auto, reference, torch, openvino, mnn" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("machine", "bfloat16", "installed", "expected"),
    [
        ("x86_64", True, ["openvino", "mnn"], [("openvino", "bfloat16"), ("torch", "bfloat16"), ("mnn", "float32")]),
        ("x86_64", True, [], [("torch", "bfloat16"), ("torch", "float32")]),
        ("AMD64", False, ["openvino", "mnn"], [("mnn", "float32"), ("openvino", "float32"), ("torch", "float32")]),
        ("x86_64", False, [], [("torch", "float32")]),
        ("arm64", True, ["mnn"], [("mnn", "float16"), ("torch", "float32"), ("mnn", "float32")]),
    ],
)
def test_the_rule_goes_by_processor_and_by_what_is_installed(monkeypatch, machine, bfloat16, installed, expected):
    monkeypatch.setattr(engine_choice.platform, "machine", lambda: machine)
    monkeypatch.setattr(engine_choice, "is_bfloat16_fast", lambda kind: bfloat16)
    monkeypatch.setattr(engine_choice, "installed_engines", lambda: installed)
    assert engines_by_rule("auto", CPU)[: len(expected)] == expected
    assert all(kind == "torch" for kind, _ in engines_by_rule("torch", CPU))
    assert engines_by_rule("auto", torch.device("cuda:0"))[0] == ("torch", "float16")


def test_auto_follows_the_rule_and_keeps_the_engine_for_the_next_case(cache, model, much_work, monkeypatch):
    monkeypatch.setattr(engine_choice, "engines_by_rule", lambda asked, device, **given: [("torch", "float32")])
    first = choose_engine(work_of(model, "auto"))
    assert first.engine.choice.engine == "torch"
    assert first.agreement >= SMALLEST_AGREEMENT
    assert choose_engine(work_of(model, "auto")) is first
    assert choose_engine(replace(work_of(model, "auto"), batch_size=3)).engine.choice.batch_size == 3


def test_little_work_runs_on_the_reference_by_itself_and_among_others(cache, model):
    for _ in range(2):
        assert choose_engine(work_of(model, "auto", slices=20)).engine.choice.engine == "reference"
    assert choose_engine(work_of(model, "torch", slices=20)).engine.choice.engine == "torch"
    assert not cache.exists()


def test_work_is_measured_in_the_products_of_its_convolutions(tmp_path):
    from torch.utils.flop_counter import FlopCounterMode

    model = model_of(tmp_path, repeat_levels=(1,))
    for level in (1, 2):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model.twin.pruned(level)(torch.zeros(9, 1, 32, 32))
        work = replace(work_of(model, "auto"), level=level)
        assert engine_choice.gflop_of(work) == pytest.approx(counter.get_total_flops() / 1e9, rel=0.2)


@pytest.mark.parametrize(("answer", "why"), [(1.0, "agree with the reference"), (np.nan, "no numbers")])
def test_an_engine_whose_masks_differ_is_not_taken_and_that_is_said(cache, model, monkeypatch, answer, why):
    monkeypatch.setattr(engine_choice, "is_bfloat16_fast", lambda kind: True)
    real = engine_choice.open_engine

    def one_is_wrong(model, level, device, choice):
        engine = real(model, level, device, choice)
        if choice.precision == "bfloat16":
            engine.run = lambda image: (np.full_like(image, answer), np.zeros_like(image))
        return engine

    monkeypatch.setattr(engine_choice, "open_engine", one_is_wrong)
    heard = Heard()
    assert choose_engine(work_of(model, "torch"), heard).engine.choice.precision == "float32"
    assert any("bfloat16" in words and "not taken" in words and why in words for words in heard.notes)


def test_where_every_engine_fails_the_reference_runs(cache, model, monkeypatch):
    real = engine_choice.open_engine

    def broken(model, level, device, choice):
        if choice.engine != "reference":
            raise RuntimeError("no such instruction")
        return real(model, level, device, choice)

    monkeypatch.setattr(engine_choice, "open_engine", broken)
    assert choose_engine(work_of(model, "torch")).engine.choice.engine == "reference"


def test_a_cache_that_cannot_be_written_leaves_the_next_engine_of_the_rule(tmp_path, model, much_work, monkeypatch):
    pytest.importorskip("openvino")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CLAMSEG_CACHE", str(tmp_path / "file" / "below"))
    rule = [("openvino", "float32"), ("torch", "float32")]
    monkeypatch.setattr(engine_choice, "engines_by_rule", lambda asked, device, **given: rule)
    heard = Heard()
    assert choose_engine(work_of(model, "auto"), heard).engine.choice.engine == "torch"
    assert "openvino" in heard.notes[0]


def test_an_engine_taken_by_auto_that_fails_on_the_way_gives_way_to_the_network_as_trained(
    model, repository, much_work, monkeypatch
):
    volume = read_volume(repository / "Resources" / "Samples" / "mr_flair_brain.nii.gz")
    options = SegmentOptions(device="cpu", engine="reference")
    expected = segment_volume(volume, model, options)
    twin = copy.deepcopy(model.twin)
    with torch.no_grad():
        twin.branches[0].heads["x_0_2"].bias[0] = float("inf")  # as where a precision overflows
    broken = OpenEngine(open_engine(replace(model, twin=twin, engines={}), 2, CPU, EngineChoice("torch")))
    monkeypatch.setattr(engine_choice, "_first_that_agrees", lambda *given: broken)
    found = segment_volume(volume, model, replace(options, engine="auto"))
    assert np.array_equal(found.probability, expected.probability)
    assert found.engine["engine"] == "reference"
    assert any("chosen here failed" in words and "no numbers" in words for words in found.warnings)
    with pytest.raises(ClamSegError, match="run again with --engine reference"):
        segment_volume(volume, model, replace(options, engine="torch"))


def test_memory_that_runs_out_while_an_engine_is_tried_leaves_the_network_as_trained(model, repository, monkeypatch):
    volume = read_volume(repository / "Resources" / "Samples" / "mr_flair_brain.nii.gz")
    expected = segment_volume(volume, model, SegmentOptions(device="cpu", engine="reference", batch_size=1))

    def no_memory(*given):
        raise MemoryError

    monkeypatch.setattr(engine_choice, "_first_that_agrees", no_memory)
    found = segment_volume(volume, model, SegmentOptions(device="cpu", engine="torch"))
    assert np.array_equal(found.probability, expected.probability)
    assert any("while engines were tried" in words for words in found.warnings)


def test_bfloat16_is_offered_only_where_it_is_faster(monkeypatch):
    from ClamSegLib.training import learner

    for fast in (True, False):
        monkeypatch.setattr(engine_choice, "is_bfloat16_fast", lambda kind, fast=fast: fast)
        monkeypatch.setattr(learner, "is_bfloat16_fast", lambda kind, fast=fast: fast)
        assert learner.autocast_precision("bf16", CPU) == (torch.bfloat16 if fast else None)
        assert engine_choice.precisions_here(CPU) == (("float32", "bfloat16") if fast else ("float32",))


def test_engines_are_compared_by_the_masks_a_user_gets_with_maps_sharpened_by_the_image(model):
    sample, organ = work_of(model, "torch").sample()
    low, high = np.full((len(sample), 1, 32, 32), 0.2, np.float32), np.full((len(sample), 1, 32, 32), 0.3, np.float32)
    plain = replace(model, config=replace(model.config, threshold=0.25))
    assert engine_choice._agreement(work_of(plain, "torch"), low, high, sample, organ) == 0
    strict = RefinementConfig(-4.0, 8.0, ((0.0,) * 96,), (1e6,))
    sharpened = replace(plain, config=replace(plain.config, refinement=strict))
    assert engine_choice._agreement(work_of(sharpened, "torch"), low, high, sample, organ) == 1
