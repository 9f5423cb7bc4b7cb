"""The slices on screen before a run has ended: hatched where they lie, and gone with the run, however it ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_bench import SHAPE, Bench, ids, mr
from volumes_in_scene import matrix, plain

from ClamSegWorkflow.case import first_look
from ClamSegWorkflow.case.progress_text import progress_words
from ClamSegWorkflow.scene import SceneError, nodes_of
from ClamSegWorkflow.scene.geometry import to_world
from ClamSegWorkflow.scene.segments import segment_mask
from ClamSegWorkflow.scene.views import show_behind

START, SLICES = [3, 0, 0], [3, 5]
LESION = (slice(3, 6), slice(2, 12), slice(4, 15))


def labels(lesion: bool = True) -> np.ndarray:
    """Three slices of the organ, and a lesion in it."""
    found = np.zeros((3, *SHAPE[1:]), np.uint8)
    found[:, 1:13, 2:16] = 1
    if lesion:
        found[(slice(0, 3), *LESION[1:])] = 2
    return found


@pytest.fixture
def looking(bench: Bench) -> Bench:
    """A run whose worker is about to segment a scan that the views show at slice 4 of 0 to 8."""
    bench.worker.first = (labels(), START, SLICES)
    volume = mr(bench.scene, "oblique")
    show_behind(bench.scene, volume)
    for view in nodes_of(bench.scene, "vtkMRMLSliceNode"):
        view.JumpSliceByCentering(*to_world(volume, (8, 7, 4)))
    bench.start(volume)
    bench.worker.answer()
    return bench


def shown(bench: Bench) -> list[Any]:
    """What is drawn of a first look."""
    return [node for node in nodes_of(bench.scene, "vtkMRMLSegmentationNode") if "first look" in node.GetName()]


def test_the_slice_in_the_view_of_the_models_plane_is_asked_for(looking: Bench) -> None:
    command, values, _ = looking.worker.requests[-1]
    assert command == "segment"
    assert values["first_slice"] == [4, 7, 8]
    assert Path(values["first_file"]).parent == Path(values["input"]).parent, "it goes with what else the run wrote"


def test_a_scan_that_is_not_on_screen_is_not_looked_at_first(bench: Bench) -> None:
    show_behind(bench.scene, mr(bench.scene, name="another"))
    bench.worker.first = (labels(), START, SLICES)
    bench.start(mr(bench.scene))
    bench.worker.answer()
    assert "first_slice" not in bench.worker.requests[-1][1]
    bench.worker.answer()
    bench.settle()
    assert bench.told.looks == []
    assert len(bench.told.results) == 1


def test_lesions_are_hatched_and_nothing_of_it_is_saved_offered_or_counted(looking: Bench) -> None:
    looking.worker.look_first()
    (node,) = shown(looking)
    assert ids(node) == ["organ", "lesion-glioma"]
    hatched = segment_mask(node, "lesion-glioma", SHAPE)
    lesion = np.zeros(SHAPE, bool)
    lesion[LESION] = True
    assert not (hatched & ~lesion).any()
    assert 0.3 < hatched.sum() / lesion.sum() < 0.7
    for axis in range(3):  # stripes in every view
        cut = hatched.take(4 if axis == 0 else 7, axis)
        assert cut.any()
        assert not cut[lesion.take(4 if axis == 0 else 7, axis)].all()
    assert np.array_equal(segment_mask(node, "organ", SHAPE)[3:6], labels() > 0)
    display = node.GetDisplayNode()
    assert display.GetSegmentOpacity2DFill("organ") == 0, "the organ is an outline"
    assert not display.GetVisibility3D()
    assert (node.GetHideFromEditors(), node.GetSaveWithScene(), display.GetSaveWithScene()) == (True, False, False)
    assert looking.told.results == []
    assert looking.told.looks == ["First look at slices 4 to 6: hatched, not final"]
    assert progress_words("segmenting slices", 3, 9, None, looking.run.first_words) == (
        "segmenting slices: 3 of 9. First look at slices 4 to 6: hatched, not final"
    )


def test_a_look_that_finds_nothing_says_so_and_that_it_is_not_final(looking: Bench) -> None:
    looking.worker.first = (labels(lesion=False), START, [4, 4])
    looking.worker.look_first()
    assert looking.told.looks == ["First look at slice 5: nothing marked so far, not final"]


def test_the_result_takes_its_place(looking: Bench) -> None:
    looking.worker.answer()
    (node,) = shown(looking)
    assert node is not None
    looking.settle()
    assert shown(looking) == []
    assert looking.run.first_words == ""
    ((result, certificate),) = looking.told.results
    assert certificate == "aligned, 0.000 mm"
    assert nodes_of(looking.scene, "vtkMRMLSegmentationNode") == [result.segmentation]
    assert [row.area_px for row in result.lesions.rows()] == [40, 24]


@pytest.mark.parametrize("end", ["cancel", "failure", "closed"])
def test_however_a_run_ends_nothing_of_the_look_stays(looking: Bench, tmp_path: Path, end: str) -> None:
    before = looking.scene.GetNumberOfNodes()
    looking.worker.look_first()
    assert shown(looking)
    if end == "cancel":
        looking.run.cancel()
    elif end == "failure":
        looking.worker.answer(event="error", message="The worker was killed.", code=1)
    else:
        looking.run.scene_closed()
    assert looking.scene.GetNumberOfNodes() == before
    assert looking.run.first_words == ""
    assert list(tmp_path.glob("clamseg-*")) == []
    looking.worker.requests[-1][2]({"event": "preview", "file": "gone", "start": START, "slices": SLICES})
    assert shown(looking) == []


def test_a_look_at_a_scan_that_changed_or_is_gone_is_not_drawn(looking: Bench) -> None:
    volume = looking.run._case.volume
    volume.SetIJKToRASMatrix(matrix(plain((1.5, 1.0, 2.0))))
    looking.worker.look_first()
    looking.scene.RemoveNode(volume)
    looking.worker.look_first()
    assert shown(looking) == []
    assert looking.told.looks == []


@pytest.mark.parametrize(
    ("first", "start"),
    [(labels(), [7, 0, 0]), (labels()[0], START), (labels(), [-1, 0, 0]), (labels(), "3"), (np.array([{"a": 1}], object), START)],
)  # fmt: skip
def test_what_does_not_fit_the_scan_is_not_drawn_and_the_run_goes_on(looking: Bench, first: Any, start: Any) -> None:
    _, values, on_event = looking.worker.requests[-1]
    np.save(values["first_file"], first, allow_pickle=True)
    on_event({"event": "preview", "file": values["first_file"], "start": start, "slices": SLICES})
    assert shown(looking) == []
    looking.worker.first = None
    looking.worker.answer()
    looking.settle()
    assert looking.told.failures == []
    assert len(looking.told.results) == 1


def test_a_look_that_cannot_be_drawn_leaves_nothing_of_it_and_the_run_goes_on(
    looking: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = first_look.put_segment

    def fail_at_the_lesion(node: Any, volume: Any, look: Any, *rest: Any) -> None:
        if look.id != "organ":
            raise SceneError("no room")
        real(node, volume, look, *rest)

    monkeypatch.setattr(first_look, "put_segment", fail_at_the_lesion)
    looking.worker.look_first()
    assert shown(looking) == [], "an organ without its lesions would say that there are none"
    assert (looking.told.looks, looking.run.first_words) == ([], "")
    looking.worker.first = None
    looking.worker.answer()
    looking.settle()
    assert len(looking.told.results) == 1
