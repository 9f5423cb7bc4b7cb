"""A review on disk comes back to the voxel on the same scan, and on no other."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_bench import SHAPE, Bench, ids, mr
from volumes_in_scene import GEOMETRIES

from ClamSegWorkflow.case.kept_review import (
    MAPS_FILE,
    STEPS_FILE,
    bring_back,
    read_steps,
    snapshot_of_maps,
    snapshot_of_steps,
)
from ClamSegWorkflow.case.lesion_row import Decision
from ClamSegWorkflow.scene import SceneError
from ClamSegWorkflow.scene.segments import SegmentLook, put_segment, segment_mask
from ClamSegWorkflow.scene.volumes import voxels_of


@pytest.fixture
def keep(scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A review with a drawn, a rejected and an added lesion, kept in a folder and taken out of the scene."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def made(frame: str) -> tuple[Any, Path, dict[str, np.ndarray], list[Any]]:
        bench = Bench(scene)
        volume = mr(scene, frame)
        bench.start(volume)
        result = bench.finish()
        folder = tmp_path / "kept"
        folder.mkdir()
        snapshot_of_maps(result).write(folder / MAPS_FILE)
        mask = segment_mask(result.segmentation, segment_id := result.begin_edit(1), SHAPE)
        mask[0, 0, :3] = True
        put_segment(result.segmentation, volume, SegmentLook(segment_id, "x", (1, 2, 3)), mask)
        result.end_edit()
        result.decide(2, Decision.REJECTED)
        result.mark(4, "unsure")
        snapshot_of_steps(result).write(folder / STEPS_FILE)
        masks = {each: segment_mask(result.segmentation, each, SHAPE) for each in ids(result.segmentation)}
        rows = result.lesions.rows()
        result.remove()
        return volume, folder, masks, rows

    return made


@pytest.mark.parametrize("frame", sorted(GEOMETRIES))
def test_a_kept_review_comes_back_to_the_voxel(keep: Any, scene: Any, frame: str) -> None:
    volume, folder, masks, rows = keep(frame)
    assert {read_steps(folder)[name] for name in ("decided", "labelled")} == {2, 1}
    result = bring_back(scene, volume, folder)
    assert result.lesions.rows() == rows
    assert result.marks == {4: "unsure"}
    assert set(ids(result.segmentation)) == set(masks)
    for segment_id, mask in masks.items():
        assert np.array_equal(segment_mask(result.segmentation, segment_id, SHAPE), mask), segment_id
    assert result.certificate().holds
    assert result.provenance["model"] == "mr-toy"
    assert result.waits_for_export()
    result.decide(2, Decision.UNDECIDED)
    assert result.undo()
    assert result.lesions.rows() == rows


def test_a_scan_that_was_replaced_meanwhile_gets_no_review_of_another(keep: Any, scene: Any) -> None:
    volume, folder, _masks, _rows = keep("oblique")
    before = scene.GetNumberOfNodes()
    voxels_of(volume)[3, 4, 5] += 1
    with pytest.raises(SceneError, match="not the scan that was reviewed"):
        bring_back(scene, volume, folder)
    assert scene.GetNumberOfNodes() == before


@pytest.mark.parametrize("name", [MAPS_FILE, STEPS_FILE])
@pytest.mark.parametrize("size", [0, 100])
def test_a_damaged_file_is_told_and_leaves_nothing_in_the_scene(keep: Any, scene: Any, name: str, size: int) -> None:
    volume, folder, _masks, _rows = keep("plain")
    before = scene.GetNumberOfNodes()
    (folder / name).write_bytes((folder / name).read_bytes()[:size])
    with pytest.raises(SceneError, match="damaged"):
        bring_back(scene, volume, folder)
    assert scene.GetNumberOfNodes() == before


def test_the_organ_is_taken_without_a_copy_and_written_as_it_was_whatever_happens_in_the_scene(
    scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    bench = Bench(scene)
    bench.start(mr(scene, "oblique"))
    result = bench.finish()
    part = np.zeros(SHAPE, bool)
    part[2:7, 3:9, 5:] = True
    put_segment(result.segmentation, result.volume, SegmentLook("organ", "brain", (1, 2, 3)), part)
    snapshot = snapshot_of_maps(result)
    assert callable(snapshot.arrays["organ"]), "the page does not wait for it"
    put_segment(result.segmentation, result.volume, SegmentLook("organ", "brain", (1, 2, 3)), ~part)
    result.remove()
    writer = threading.Thread(target=snapshot.write, args=(tmp_path / "maps.npz",))
    writer.start()
    writer.join()
    with np.load(tmp_path / "maps.npz", allow_pickle=False) as file:
        assert np.array_equal(file["organ"], part)
