"""Level after level: what was computed stays, nobody is computed twice, and each level says what it says alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_engine import ARCHITECTURES, CPU, KINDS, crops, model_of, work_of

from ClamSegLib.engines import choose as engine_choice
from ClamSegLib.engines.build import open_engine, open_steps
from ClamSegLib.engines.choose import OpenEngine, checked_steps
from ClamSegLib.engines.engine import EngineChoice
from ClamSegLib.level_steps import Halfway, LevelSteps, shapes_of_step
from ClamSegLib.system.errors import ClamSegError
from ClamSegLib.system.progress import Reporter

LEVELS = (1, 2, 3)
SLICES = np.arange(5)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CLAMSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "engines"


def deep(tmp_path, **network):
    return model_of(tmp_path, **{"features": (4, 8, 8, 8), "kernel_sizes": (3, 3, 3, 5), **network})


def at_all_levels(steps: LevelSteps, image) -> list[tuple[np.ndarray, np.ndarray]]:
    halfway = steps.begin(np.arange(len(image)), image)
    found = [steps.maps(halfway)]
    for step in range(1, len(steps.levels)):
        halfway = steps.go_on(step, halfway)
        found.append(steps.maps(halfway))
    assert halfway.nodes == [], "after the last step nothing is kept"
    return found


@pytest.mark.parametrize("kind", ["reference", "torch", "torch together", "openvino", "onnx", "mnn"])
def test_every_level_answers_as_it_does_alone_by_every_engine(tmp_path, kind):
    name, _, together = kind.partition(" ")
    pytest.importorskip(KINDS.get(name, "torch"))
    choice = EngineChoice(name, threads=1, branches="together" if together else "in turn")
    model = deep(tmp_path)
    found = at_all_levels(open_steps(model, LEVELS, CPU, choice), crops(5))
    for level, maps in zip(LEVELS, found, strict=True):
        expected = open_engine(model, level, CPU, EngineChoice()).run(crops(5))
        assert expected[0].std() > 0.01, "a flat map would agree with anything"
        for one, other in zip(expected, maps, strict=True):
            assert np.allclose(one, other, atol=2e-4 if name == "mnn" else 2e-5)


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in ("u-net", "fcn")])
@pytest.mark.parametrize("kind", ["reference", "torch"])
def test_every_architecture_goes_level_by_level(tmp_path, name, kind):
    model = model_of(tmp_path, **ARCHITECTURES[name])
    found = at_all_levels(open_steps(model, (1, 2), CPU, EngineChoice(kind)), crops(3))
    for level, maps in zip((1, 2), found, strict=True):
        expected = open_engine(model, level, CPU, EngineChoice()).run(crops(3))
        assert all(np.allclose(a, b, atol=2e-5) for a, b in zip(expected, maps, strict=True))


@pytest.mark.parametrize("kind", ["reference", "torch", "openvino", "mnn"])
def test_slices_that_leave_and_others_that_join_do_not_change_what_a_slice_says(tmp_path, kind):
    pytest.importorskip(KINDS.get(kind, "torch"))
    steps = open_steps(deep(tmp_path), LEVELS, CPU, EngineChoice(kind, threads=1))
    image = crops(5)
    expected = at_all_levels(steps, image)
    first = steps.begin(SLICES[:3], image[:3]).of(np.array([0, 2]))
    both = Halfway.together([first, steps.begin(SLICES[3:], image[3:])])
    assert both.slices.tolist() == [0, 2, 3, 4]
    second = steps.go_on(1, both.of(np.array([3, 1])))
    assert second.slices.tolist() == [4, 2]
    third = steps.go_on(2, second)
    for level, halfway in ((1, second), (2, third)):
        for found, whole in zip(steps.maps(halfway), expected[level], strict=True):
            assert np.allclose(found, whole[halfway.slices], atol=1e-6)


def test_a_slice_that_waits_keeps_its_own_maps_only(tmp_path):
    steps = open_steps(deep(tmp_path), LEVELS, CPU, EngineChoice("torch"))
    one = steps.begin(np.arange(8), crops(8)).of(np.array([3]))
    kept = [*one.nodes, *(head for branch in one.heads for head in branch)]
    assert all(maps.untyped_storage().nbytes() == maps.numel() * maps.element_size() for maps in kept)


def test_no_node_is_computed_twice(tmp_path, monkeypatch):
    model = deep(tmp_path, branches=1)
    steps = open_steps(model, LEVELS, CPU, EngineChoice())
    runs: list[str] = []
    for name, node in model.twin.branches[0].nodes.items():
        node.register_forward_hook(lambda *_, name=name: runs.append(name))
    at_all_levels(steps, crops(2))
    assert sorted(runs) == sorted(model.twin.branches[0].nodes)
    assert len(runs) == 10


def test_a_step_names_and_measures_what_it_takes_and_gives(tmp_path):
    config = deep(tmp_path).config
    given, found = shapes_of_step(config, 2, 2, ends=False)
    assert given == {
        f"shell_{k}_{node}": shape
        for k in (0, 1)
        for node, shape in (("x_0_0", (4, 32, 32)), ("x_1_0", (8, 16, 16)), ("x_0_1", (4, 32, 32)))
    }
    assert [name for name in found if "head" in name] == ["shell_0_head_2", "shell_1_head_2"]
    assert [name for name in found if "head" not in name] == [
        f"shell_{k}_x_{n}" for k in (0, 1) for n in ("2_0", "1_1", "0_2")
    ]


def test_answers_that_are_no_numbers_are_refused(tmp_path):
    model = deep(tmp_path)
    torch.nn.init.constant_(model.twin.branches[1].heads["x_0_2"].bias, float("nan"))
    steps = open_steps(model, LEVELS, CPU, EngineChoice("torch"))
    halfway = steps.begin(SLICES, crops(5))
    with pytest.raises(ClamSegError, match="no numbers; run again with --engine reference"):
        steps.go_on(1, halfway)


def opened(model, kind: str) -> OpenEngine:
    return OpenEngine(open_engine(model, 3, CPU, EngineChoice(kind, threads=1)), 1.0, "measured")


def three_levels(model):
    return replace(work_of(model, "torch"), level=3)


class Listener(Reporter):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def note(self, message: str) -> None:
        self.heard.append(message)


def test_steps_are_compared_with_the_reference_once(tmp_path, cache, monkeypatch):
    model, listener = deep(tmp_path), Listener()
    first = checked_steps(three_levels(model), LEVELS, opened(model, "torch"), listener)
    assert first.steps.choice.engine == "torch"
    assert first.agreement >= engine_choice.SMALLEST_AGREEMENT
    monkeypatch.setattr(engine_choice, "_agreement", None)  # not asked again
    again = checked_steps(three_levels(model), LEVELS, opened(model, "torch"), listener)
    assert again.agreement == first.agreement
    assert listener.heard == []


def test_steps_that_mark_otherwise_at_one_level_are_not_taken_and_that_is_said(tmp_path, cache, monkeypatch):
    model, listener = deep(tmp_path), Listener()
    engine = opened(model, "torch")

    def spoiled(model, levels, device, choice):
        steps = open_steps(model, levels, device, choice)
        if choice.engine == "torch":
            first, second, third = steps._steps
            steps._steps = (first, lambda given: [-maps for maps in second(given)], third)
        return steps

    monkeypatch.setattr(engine_choice, "open_steps", spoiled)
    taken = checked_steps(three_levels(model), LEVELS, engine, listener)
    assert taken.steps.choice.engine == "reference"
    assert taken.reason == "reference"
    assert any("not taken level by level" in words for words in listener.heard)
    assert not list(cache.glob("*.json")), "what was refused is not remembered"
