"""Results lie where the scan lies, in every frame and under every transform, in the real scene."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
import vtk
from volumes_in_scene import GEOMETRIES, add_volume, blob, grid_transform, linear_transform, matrix, oblique, plain

from ClamSegLib.imaging.read_write import read_volume
from ClamSegWorkflow.scene import SceneError
from ClamSegWorkflow.scene.certificate import certify
from ClamSegWorkflow.scene.geometry import matrix_of, record_geometry, to_world, unchanged
from ClamSegWorkflow.scene.overlays import (
    PROBABILITY,
    add_map,
    map_array,
    map_image,
    map_of,
    set_shown_threshold,
    show_overlay,
)
from ClamSegWorkflow.scene.regions import mask_of_roi, mask_of_segment
from ClamSegWorkflow.scene.segments import (
    SegmentLook,
    add_segmentation,
    put_segment,
    read_provenance,
    segment_counter,
    segment_mask,
    segment_slice,
    segment_time,
    terminology_entry,
    write_provenance,
)
from ClamSegWorkflow.scene.views import jump_to, set_window, show_behind, turn_to_slices, voxel_at_view
from ClamSegWorkflow.scene.volume_facts import facts_of
from ClamSegWorkflow.scene.volumes import problem_of_volume, voxels_of, write_in_steps, write_picture

SHAPE = (9, 14, 17)
LOOK = SegmentLook(
    "lesion-mass", "mass", (213, 94, 0), "SCT^49755003^Morphologically Altered Structure~SCT^4147007^Mass~^^"
)
TRANSFORMS = {"no transform": lambda scene: None, "linear": linear_transform, "grid": grid_transform}


def values(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    return np.random.default_rng(1).integers(-1000, 1500, shape).astype(np.int16)


def world_of_mask(segmentation: Any, segment_id: str) -> np.ndarray:
    """World positions of a segment's voxels as Slicer's own code sees them, independent of ours."""
    image = slicer.vtkOrientedImageData()
    assert segmentation.GetBinaryLabelmapRepresentation(segment_id, image)
    parent = segmentation.GetParentTransformNode()
    chain = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(parent, None, chain)
    to_ras = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(to_ras)
    i0, i1, j0, j1, k0, k1 = image.GetExtent()
    found = [
        chain.TransformPoint(*to_ras.MultiplyPoint((i, j, k, 1))[:3])
        for k in range(k0, k1 + 1)
        for j in range(j0, j1 + 1)
        for i in range(i0, i1 + 1)
        if image.GetScalarComponentAsDouble(i, j, k, 0) > 0
    ]
    return np.array(sorted(found))


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("frame", GEOMETRIES)
def test_a_segment_lies_in_the_world_where_its_voxels_lie(scene: Any, frame: str, transform: str) -> None:
    volume = add_volume(scene, values(), GEOMETRIES[frame])
    parent = TRANSFORMS[transform](scene)
    volume.SetAndObserveTransformNodeID(parent.GetID() if parent else None)
    mask = blob(SHAPE)
    segmentation = add_segmentation(scene, volume, "result")
    put_segment(segmentation, volume, LOOK, mask)
    expected = np.array(sorted(to_world(volume, (i, j, k)) for k, j, i in np.argwhere(mask)))
    assert np.allclose(world_of_mask(segmentation, LOOK.id), expected, atol=1e-6)
    assert certify(segmentation, volume).holds
    assert str(certify(segmentation, volume)) == "aligned, 0.000 mm"
    assert np.array_equal(segment_mask(segmentation, LOOK.id, SHAPE), mask)


def test_the_certificate_refuses_a_result_without_the_volumes_transform(scene: Any) -> None:
    volume = add_volume(scene, values(), oblique())
    volume.SetAndObserveTransformNodeID(linear_transform(scene).GetID())
    segmentation = add_segmentation(scene, volume, "result")
    put_segment(segmentation, volume, LOOK, blob(SHAPE))
    segmentation.SetAndObserveTransformNodeID(None)
    certificate = certify(segmentation, volume)
    assert not certificate.holds
    assert certificate.largest_error_mm > 50
    assert str(certificate).startswith("NOT aligned")


def test_the_certificate_sees_a_shift_of_a_hundredth_of_a_millimetre(scene: Any) -> None:
    volume = add_volume(scene, values(), oblique())
    segmentation = add_segmentation(scene, volume, "result")
    put_segment(segmentation, volume, LOOK, blob(SHAPE))
    moved = oblique()
    moved[0, 3] += 0.01
    volume.SetIJKToRASMatrix(matrix(moved))
    assert certify(segmentation, volume).largest_error_mm == pytest.approx(0.01, abs=1e-6)
    assert not certify(segmentation, volume).holds


def test_voxels_written_again_replace_and_do_not_add(scene: Any) -> None:
    volume = add_volume(scene, values())
    segmentation = add_segmentation(scene, volume, "result")
    first, second = blob(SHAPE), np.roll(blob(SHAPE), 3, axis=2)
    put_segment(segmentation, volume, LOOK, first)
    before = segment_time(segmentation, LOOK.id)
    put_segment(segmentation, volume, LOOK, second)
    assert np.array_equal(segment_mask(segmentation, LOOK.id, SHAPE), second)
    assert segment_time(segmentation, LOOK.id) > before
    put_segment(segmentation, volume, LOOK, np.zeros(SHAPE, bool))
    assert not segment_mask(segmentation, LOOK.id, SHAPE).any()
    put_segment(segmentation, volume, LOOK, first)
    assert np.array_equal(segment_mask(segmentation, LOOK.id, SHAPE), first)


def test_an_empty_result_keeps_its_segment_and_its_certificate(scene: Any) -> None:
    volume = add_volume(scene, values(), oblique())
    segmentation = add_segmentation(scene, volume, "result")
    put_segment(segmentation, volume, LOOK, np.zeros(SHAPE, bool))
    assert segmentation.GetSegmentation().GetSegment(LOOK.id).GetName() == "mass"
    assert certify(segmentation, volume).holds


def test_a_box_of_the_volume_is_put_at_its_place(scene: Any) -> None:
    volume = add_volume(scene, values(), oblique(left_handed=True))
    segmentation = add_segmentation(scene, volume, "result")
    mask = blob(SHAPE)
    put_segment(segmentation, volume, LOOK, mask[2:, 3:, 4:], (2, 3, 4))
    expected = mask.copy()
    expected[:2], expected[:, :3], expected[:, :, :4] = False, False, False
    assert np.array_equal(segment_mask(segmentation, LOOK.id, SHAPE), expected)


def test_one_segment_never_eats_another(scene: Any) -> None:
    volume = add_volume(scene, values())
    segmentation = add_segmentation(scene, volume, "result")
    mask = blob(SHAPE)
    put_segment(segmentation, volume, SegmentLook("organ", "lungs", (0, 114, 178)), np.ones(SHAPE, bool))
    put_segment(segmentation, volume, LOOK, mask)
    put_segment(segmentation, volume, LOOK, np.roll(mask, 2, axis=1))
    assert segment_mask(segmentation, "organ", SHAPE).all()


@pytest.mark.parametrize("together", [False, True])
def test_a_segment_written_without_its_surface_is_the_mask_in_its_place_and_its_neighbours_keep_theirs(
    scene: Any, together: bool
) -> None:
    volume = add_volume(scene, values(), oblique())
    segmentation = add_segmentation(scene, volume, "result")
    first, second = blob(SHAPE), np.zeros(SHAPE, bool)
    second[5:8, 9:12, 10:14] = True
    other = SegmentLook("other", "other", (0, 100, 0))
    put_segment(segmentation, volume, LOOK, first & ~second)
    put_segment(segmentation, volume, other, second)
    if together:  # as the Segment Editor leaves them
        data = segmentation.GetSegmentation()
        data.CollapseBinaryLabelmaps(False)
        assert data.GetNumberOfLayers() == 1
    smaller = np.zeros(SHAPE, bool)
    smaller[6, 9:12, 11:13] = True
    put_segment(segmentation, volume, other, smaller[5:8, 8:13], (5, 8, 0), keep_surface=True)
    assert np.array_equal(segment_mask(segmentation, "other", SHAPE), smaller)
    assert np.array_equal(segment_mask(segmentation, LOOK.id, SHAPE), first & ~second)
    assert certify(segmentation, volume).holds
    assert segment_counter(segmentation, "other")() == 6
    for axis, size in enumerate(SHAPE):
        for index in range(size):
            plane = segment_slice(segmentation, "other", SHAPE, axis, index)
            assert np.array_equal(plane, smaller.take([index], axis))


def test_names_given_twice_stay_two_segmentations(scene: Any) -> None:
    volume = add_volume(scene, values())
    first, second = (add_segmentation(scene, volume, "scan ct-lung-lesion") for _ in range(2))
    put_segment(first, volume, LOOK, blob(SHAPE))
    put_segment(second, volume, LOOK, np.zeros(SHAPE, bool))
    assert first.GetName() != second.GetName()
    assert segment_mask(first, LOOK.id, SHAPE).any()


def test_a_segmentation_stands_beside_its_volume_in_the_hierarchy(scene: Any) -> None:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "study")
    volume = add_volume(scene, values())
    hierarchy.CreateItem(folder, volume)
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(volume), folder)
    segmentation = add_segmentation(scene, volume, "result")
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(segmentation)) == folder


def test_names_colours_terminology_and_provenance_are_in_the_node(scene: Any) -> None:
    volume = add_volume(scene, values())
    segmentation = add_segmentation(scene, volume, "result")
    put_segment(segmentation, volume, LOOK, blob(SHAPE))
    segment = segmentation.GetSegmentation().GetSegment("lesion-mass")
    assert segment.GetName() == "mass"
    assert np.allclose(segment.GetColor(), (213 / 255, 94 / 255, 0))
    tag = vtk.mutable("")
    assert segment.GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), tag)
    assert str(tag) == terminology_entry(LOOK.terminology)
    entry = slicer.vtkSlicerTerminologyEntry()
    assert slicer.vtkSlicerTerminologiesModuleLogic().DeserializeTerminologyEntry(str(tag), entry)
    assert entry.GetTypeObject().GetCodeMeaning() == "Mass"
    write_provenance(segmentation, {"model": "ct-lung-lesion", "threshold": "0.5"})
    segmentation.SetAttribute("someone.else", "x")
    assert read_provenance(segmentation) == {"model": "ct-lung-lesion", "threshold": "0.5"}


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("frame", GEOMETRIES)
def test_the_file_for_the_worker_holds_the_same_voxels_in_the_same_place(
    scene: Any, tmp_path: Path, frame: str, dtype: type
) -> None:
    array = np.random.default_rng(2).integers(0, 120, SHAPE).astype(dtype)
    volume = add_volume(scene, array, GEOMETRIES[frame])
    volume.SetAndObserveTransformNodeID(linear_transform(scene).GetID())
    path = tmp_path / "ein Fall mit Umläuten.nrrd"
    told = list(write_in_steps(voxels_of(volume), matrix_of(volume), path))
    assert told[-1] == (array.nbytes, array.nbytes)
    read = read_volume(path)
    assert np.array_equal(read.array, array)
    assert read.array.dtype == array.dtype
    for index in ((0, 0, 0), (8, 13, 16), (3, 5, 7)):
        lps = read.to_lps(np.array(index))
        ras = matrix_of(volume) @ np.array([*index[::-1], 1.0])
        assert np.allclose(lps, ras[:3] * (-1, -1, 1), atol=1e-6)


def test_writing_goes_in_steps_that_leave_time_for_the_window(scene: Any, tmp_path: Path) -> None:
    array = np.zeros((40, 512, 512), np.int32)
    steps = list(write_in_steps(array, np.eye(4), tmp_path / "large.nrrd"))
    assert len(steps) == 3
    assert steps == sorted(steps)


def test_64_bit_integers_are_kept_exactly_or_refused(scene: Any) -> None:
    volume = add_volume(scene, np.zeros(SHAPE, np.int16))
    wide = vtk.vtkTypeInt64Array()
    wide.SetNumberOfTuples(int(np.prod(SHAPE)))
    wide.Fill(70000)
    volume.GetImageData().GetPointData().SetScalars(wide)
    assert voxels_of(volume).dtype == np.int32
    assert (voxels_of(volume) == 70000).all()
    wide.SetValue(3, 1 << 40)
    with pytest.raises(SceneError, match="cast the volume"):
        voxels_of(volume)


def test_an_x_ray_is_written_as_a_picture_with_row_0_on_top(scene: Any, tmp_path: Path) -> None:
    rows = np.arange(12 * 20, dtype=np.uint16).reshape(1, 12, 20)
    volume = add_volume(scene, rows)
    write_picture(voxels_of(volume), tmp_path / "x.tif")
    read = read_volume(tmp_path / "x.tif")
    assert np.array_equal(read.array, rows)
    assert not read.spacing_known
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "x.tif"))).squeeze(), rows[0])


def test_a_grey_png_loaded_as_colours_is_read_as_grey_and_a_coloured_one_is_refused(scene: Any) -> None:
    grey = np.random.default_rng(3).integers(0, 255, (1, 10, 12), dtype=np.uint8)
    volume = slicer.util.addVolumeFromArray(np.stack([grey] * 3, axis=-1), nodeClassName="vtkMRMLVectorVolumeNode")
    assert problem_of_volume(volume) == ""
    assert np.array_equal(voxels_of(volume), grey)
    coloured = np.stack([grey, grey, 255 - grey], axis=-1)
    photo = slicer.util.addVolumeFromArray(coloured, name="photo", nodeClassName="vtkMRMLVectorVolumeNode")
    assert problem_of_volume(photo) == "photo is a colour picture; ClamSeg needs grey values.", "before any click"
    with pytest.raises(SceneError, match="colour picture"):
        voxels_of(photo)


def test_an_x_ray_that_slicer_only_shows_inverted_is_inverted_for_the_model(scene: Any) -> None:
    rows = np.arange(60, dtype=np.uint16).reshape(1, 6, 10)
    volume = add_volume(scene, rows)
    volume.CreateDefaultDisplayNodes()
    volume.GetDisplayNode().SetInvertDisplayScalarRange(True)
    assert np.array_equal(voxels_of(volume), 59 - rows)
    assert np.array_equal(slicer.util.arrayFromVolume(volume), rows)


def test_what_cannot_be_segmented_is_said_in_words(scene: Any) -> None:
    assert problem_of_volume(None) == "Choose a volume first."
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    assert "no voxels" in problem_of_volume(empty)
    four_d = slicer.util.addVolumeFromArray(
        np.zeros((4, 5, 6, 12), np.float32), nodeClassName="vtkMRMLVectorVolumeNode"
    )
    assert "12 values in each voxel" in problem_of_volume(four_d)
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "beats")
    assert "4-D" in problem_of_volume(sequence)
    labels = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    assert "labelmap" in problem_of_volume(labels)
    flat = add_volume(scene, values())
    flat.SetIJKToRASMatrix(matrix(np.diag([1.0, 0.0, 1.0, 1.0])))
    assert "spacing of zero" in problem_of_volume(flat)


def test_a_changed_grid_is_noticed_and_a_moved_parent_is_not_a_change(scene: Any) -> None:
    volume = add_volume(scene, values(), oblique())
    record = record_geometry(volume)
    volume.SetAndObserveTransformNodeID(linear_transform(scene).GetID())
    assert unchanged(volume, record)
    volume.SetIJKToRASMatrix(matrix(plain()))
    assert not unchanged(volume, record)


def test_maps_lie_on_the_volume_and_show_only_what_is_above_the_threshold(scene: Any) -> None:
    volume = add_volume(scene, values(), oblique())
    parent = linear_transform(scene)
    volume.SetAndObserveTransformNodeID(parent.GetID())
    segmentation = add_segmentation(scene, volume, "result")
    array = np.random.default_rng(4).integers(0, 256, SHAPE).astype(np.uint8)
    node = add_map(scene, volume, segmentation, map_image(array), PROBABILITY)
    assert map_of(segmentation, PROBABILITY) is node
    assert np.array_equal(map_array(node), array)
    assert np.allclose(to_world(node, (3, 4, 5)), to_world(volume, (3, 4, 5)))
    set_shown_threshold(node, 0.5)
    display = node.GetDisplayNode()
    assert display.GetApplyThreshold()
    assert (array > 0.5 * 255).sum() == (array >= display.GetLowerThreshold()).sum()
    show_overlay(scene, node)
    composites = [scene.GetNthNodeByClass(n, "vtkMRMLSliceCompositeNode") for n in range(3)]
    assert {c.GetForegroundVolumeID() for c in composites} == {node.GetID()}
    show_overlay(scene, None)
    assert {c.GetForegroundVolumeID() for c in composites} == {None}


def test_a_jump_to_a_point_outside_centres_the_views_and_keeps_the_readers_zoom(scene: Any) -> None:
    volume = add_volume(scene, values(), oblique())
    show_behind(scene, volume)
    views = [scene.GetNthNodeByClass(n, "vtkMRMLSliceNode") for n in range(3)]
    for view in views:
        view.SetDimensions(300, 200, 1)
        view.SetFieldOfView(77.0, 51.0, 1.0)
        view.JumpSliceByCentering(*(value + 400.0 for value in to_world(volume, (4, 7, 3))))
    point = to_world(volume, (4, 7, 3))
    jump_to(scene, point)
    for view in views:
        assert tuple(view.GetFieldOfView())[:2] == (77.0, 51.0)
        assert np.allclose([view.GetSliceToRAS().GetElement(row, 3) for row in range(3)], point, atol=1e-6)
    red = next(view for view in views if view.GetLayoutName() == "Red")
    assert np.allclose(voxel_at_view(scene, volume, "Red"), (4, 7, 3), atol=1e-6), red.GetID()
    set_window(volume, -1000, 400)


def test_a_jump_to_a_point_in_view_leaves_the_picture_where_it_is(scene: Any) -> None:
    volume = add_volume(scene, values(), oblique())
    views = [scene.GetNthNodeByClass(n, "vtkMRMLSliceNode") for n in range(3)]
    point = np.array(to_world(volume, (4, 7, 3)))
    for view in views:
        view.SetDimensions(300, 200, 1)
        view.SetFieldOfView(300.0, 200.0, 1.0)
        view.JumpSliceByCentering(*point)
    jump_to(scene, point + 20.0)
    for view in views:
        to_ras = view.GetSliceToRAS()
        axes = np.array([[to_ras.GetElement(row, column) for column in range(3)] for row in range(3)])
        moved = axes.T @ (np.array([to_ras.GetElement(row, 3) for row in range(3)]) - point)
        assert np.allclose(moved[:2], 0, atol=1e-6)  # not within the plane
        assert np.allclose(moved[2], axes.T[2] @ np.full(3, 20.0), atol=1e-6)  # but to the point's slice


@pytest.mark.parametrize("transform", ["no transform", "linear"])
@pytest.mark.parametrize("frame", list(GEOMETRIES))
def test_each_view_is_turned_into_one_slice_of_the_scan_whatever_was_shown_before(
    scene: Any, frame: str, transform: str
) -> None:
    views = {view: scene.GetNodeByID(f"vtkMRMLSliceNode{view}") for view in ("Red", "Green", "Yellow")}
    nodded = add_volume(scene, values(), turned(-40.0), "nodded before")
    turn_to_slices(scene, nodded)
    volume = add_volume(scene, values(), GEOMETRIES[frame])
    parent = TRANSFORMS[transform](scene)
    volume.SetAndObserveTransformNodeID(parent.GetID() if parent else None)
    turn_to_slices(scene, volume)
    assert {tuple(sorted(across_view(volume, view).round(6))) for view in views.values()} == {(0.0, 0.0, 1.0)}
    # Every view shows another axis of the voxels, and Red the one that goes most up.
    along = {name: int(across_view(volume, view).argmax()) for name, view in views.items()}
    assert sorted(along.values()) == [0, 1, 2]
    if transform == "no transform":
        assert (
            along["Red"]
            == np.abs(matrix_of(volume)[2, :3] / np.linalg.norm(matrix_of(volume)[:3, :3], axis=0)).argmax()
        )
    if frame in ("plain", "sagittal") and transform == "no transform":
        assert [view.GetOrientation() for view in views.values()] == ["Axial", "Coronal", "Sagittal"]


def test_a_plane_that_the_reader_gave_a_view_is_kept_and_a_bent_scan_turns_nothing(scene: Any) -> None:
    red = scene.GetNodeByID("vtkMRMLSliceNodeRed")
    red.SetOrientation("Sagittal")
    volume = add_volume(scene, values(), turned(5.0))
    turn_to_slices(scene, volume)
    assert across_view(volume, red).round(6).tolist() == [1.0, 0.0, 0.0]
    volume.SetAndObserveTransformNodeID(grid_transform(scene).GetID())
    turn_to_slices(scene, volume)
    assert red.GetOrientation() == "Axial"


def turned(nod_deg: float) -> np.ndarray:
    """An axial scan whose head nods."""
    c, s = np.cos(np.deg2rad(nod_deg)), np.sin(np.deg2rad(nod_deg))
    return np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1.0]]) @ plain()


def across_view(volume: Any, view: Any) -> np.ndarray:
    """How far a millimetre across a view's plane goes along i, j and k of the volume's world; 1 or 0 where it is one slice."""
    origin = np.array(to_world(volume, (0, 0, 0)))
    axes = np.stack([np.array(to_world(volume, tuple(np.eye(3)[axis]))) - origin for axis in range(3)], axis=1)
    normal = np.array([view.GetSliceToRAS().GetElement(row, 2) for row in range(3)])
    return np.abs(axes.T @ normal / np.linalg.norm(axes, axis=0))


def test_a_segment_of_another_grid_and_transform_becomes_a_mask_of_this_volume(scene: Any) -> None:
    volume = add_volume(scene, values(), oblique((1.0, 1.0, 1.0)))
    volume.SetAndObserveTransformNodeID(linear_transform(scene).GetID())
    other = add_segmentation(scene, volume, "drawn by the user")
    put_segment(other, volume, LOOK, blob(SHAPE))
    before = scene.GetNumberOfNodes()
    assert np.array_equal(mask_of_segment(scene, other, LOOK.id, volume), blob(SHAPE))
    assert scene.GetNumberOfNodes() == before
    put_segment(other, volume, LOOK, np.zeros(SHAPE, bool))
    with pytest.raises(SceneError, match="empty"):
        mask_of_segment(scene, other, LOOK.id, volume)


def test_a_roi_becomes_the_voxels_inside_it(scene: Any) -> None:
    volume = add_volume(scene, values(), oblique((1.0, 1.0, 1.0)))
    volume.SetAndObserveTransformNodeID(linear_transform(scene).GetID())
    roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
    centre = to_world(volume, (8, 6, 4))
    roi.SetCenterWorld(centre)
    roi.SetSize(6.2, 4.2, 8.2)
    mask = mask_of_roi(roi, volume)
    expected = np.zeros(SHAPE, bool)
    for k, j, i in np.ndindex(SHAPE):
        offset = np.abs(np.subtract(to_world(volume, (i, j, k)), centre))
        expected[k, j, i] = (offset <= np.array([3.1, 2.1, 4.1])).all()
    assert expected.any()
    assert np.array_equal(mask, expected)
    roi.SetCenterWorld(9999, 0, 0)
    with pytest.raises(SceneError, match="contains no voxel"):
        mask_of_roi(roi, volume)


def test_what_a_volume_is_is_read_from_the_header_or_guessed_from_its_values(scene: Any) -> None:
    ct = add_volume(scene, np.clip(values(), -1000, 1500).astype(np.int16), name="LIDC lung")
    assert (facts_of(scene, ct).modality, facts_of(scene, ct).certain, facts_of(scene, ct).is_hu) == ("CT", False, True)
    mr = add_volume(scene, np.abs(values()).astype(np.int16), name="FLAIR")
    assert facts_of(scene, mr).modality == "MR"
    xray = add_volume(scene, np.abs(values((1, 9, 9))).astype(np.int16))
    assert facts_of(scene, xray).modality == "XR"
    slice_of_ct = add_volume(scene, np.clip(values((1, 9, 9)), -1000, 1500).astype(np.int16))
    assert facts_of(scene, slice_of_ct).modality == "CT", "no X-ray has air at -1000"
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    hierarchy.CreateItem(hierarchy.GetSceneItemID(), mr)
    hierarchy.SetItemAttribute(hierarchy.GetItemByDataNode(mr), "DICOM.Modality", "PT")
    assert facts_of(scene, mr).certain is False
    hierarchy.SetItemAttribute(hierarchy.GetItemByDataNode(mr), "DICOM.Modality", "CT")
    assert (facts_of(scene, mr).modality, facts_of(scene, mr).certain) == ("CT", True)


def test_view_and_body_part_of_an_x_ray_come_from_the_dicom_database(scene: Any, monkeypatch: Any) -> None:
    class Database:
        def instanceValue(self, uid: str, tag: str) -> str:
            return {("1.2", "0018,5101"): "LL", ("1.2", "0018,0015"): "KNEE"}.get((uid, tag), "")

    volume = add_volume(scene, values((1, 14, 17)))
    volume.SetAttribute("DICOM.instanceUIDs", "1.2")
    assert facts_of(scene, volume).view == ""
    monkeypatch.setattr(slicer, "dicomDatabase", Database(), raising=False)
    facts = facts_of(scene, volume)
    assert facts.view == "lateral"
    assert "knee" in facts.words
