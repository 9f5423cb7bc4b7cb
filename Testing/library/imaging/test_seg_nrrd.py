import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from ClamSegLib.imaging.seg_nrrd import Segment, read_segmentation, write_segmentation
from ClamSegLib.imaging.volume import Volume
from ClamSegLib.system.errors import InputError

MASS = "SCT^49755003^Morphologically Altered Structure~SCT^4147007^Mass~^^"
DIRECTION = tuple(Rotation.random(random_state=3).as_matrix().ravel().tolist())
VOLUME = Volume(np.zeros((5, 20, 30), np.int16), (0.5, 0.8, 3.0), (-4.0, 9.5, 100.0), DIRECTION)


def masks(overlap: bool) -> list[Segment]:
    a, b = (np.zeros(VOLUME.array.shape, bool) for _ in range(2))
    a[1:4, 2:12, 3:20] = True
    b[2:3, (5 if overlap else 13) : 18, 5:9] = True
    return [
        Segment("organ", "lungs", a, (0, 114, 178), "", "MANUAL"),
        Segment("lesion-mass", "mass", b, (213, 94, 0), MASS),
    ]


@pytest.mark.parametrize("overlap", [False, True])
def test_segments_come_back_with_names_ids_colours_and_terminology(tmp_path, overlap):
    path = tmp_path / "x.seg.nrrd"
    write_segmentation(path, masks(overlap), VOLUME)
    found = read_segmentation(path, VOLUME)
    for own, other in zip(masks(overlap), found, strict=True):
        assert np.array_equal(own.mask, other.mask)
        assert (own.id, own.name, own.colour) == (other.id, other.name, other.colour)
    assert found[1].terminology == MASS
    assert [segment.algorithm_type for segment in found] == ["MANUAL", "AUTOMATIC"]


@pytest.mark.parametrize("overlap", [False, True])
def test_the_file_lies_in_the_frame_of_the_scan(tmp_path, overlap):
    path = tmp_path / "x.seg.nrrd"
    write_segmentation(path, masks(overlap), VOLUME)
    image = sitk.ReadImage(str(path))
    assert image.GetSize() == (30, 20, 5)
    assert image.GetNumberOfComponentsPerPixel() == (2 if overlap else 1)
    assert image.GetSpacing() == pytest.approx(VOLUME.spacing_mm)
    assert image.GetOrigin() == pytest.approx(VOLUME.origin)
    assert image.GetDirection() == pytest.approx(VOLUME.direction, abs=1e-6)


def test_the_header_speaks_the_keys_slicer_reads(tmp_path):
    path = tmp_path / "x.seg.nrrd"
    write_segmentation(path, masks(True), VOLUME)
    header = path.read_bytes().split(b"\n\n")[0].decode()
    assert "space: left-posterior-superior" in header
    assert "kinds: list domain domain domain" in header
    for line in (
        "Segment0_ID:=organ", "Segment1_ID:=lesion-mass", "Segment1_Name:=mass", "Segment0_Layer:=0", "Segment1_Layer:=1",
        "Segment1_LabelValue:=1", "Segment0_Extent:=0 29 0 19 0 4", "Segmentation_ReferenceImageExtentOffset:=0 0 0",
        "Segmentation_ContainedRepresentationNames:=Binary labelmap|", "Segmentation_SourceRepresentation:=Binary labelmap",
        "Segment0_Color:=0 0.447059 0.698039",
    ):  # fmt: skip
        assert line in header
    assert f"TerminologyEntry:Segmentation category and type - DICOM master list~{MASS}~" in header


def test_an_empty_result_opens_too(tmp_path):
    empty = [Segment("lesion-x", "x", np.zeros(VOLUME.array.shape, bool), (1, 2, 3))]
    write_segmentation(tmp_path / "x.seg.nrrd", empty, VOLUME)
    (found,) = read_segmentation(tmp_path / "x.seg.nrrd", VOLUME)
    assert not found.mask.any()


def test_a_file_that_holds_only_a_part_of_the_grid_is_put_in_its_place(tmp_path):
    """Slicer crops what it saves to the extent of the segments."""
    write_segmentation(tmp_path / "whole.seg.nrrd", masks(False), VOLUME)
    image = sitk.ReadImage(str(tmp_path / "whole.seg.nrrd"))
    part = image[2:25, 1:19, 1:4]
    for key in image.GetMetaDataKeys():
        part.SetMetaData(key, image.GetMetaData(key))
    sitk.WriteImage(part, str(tmp_path / "part.seg.nrrd"))
    found = read_segmentation(tmp_path / "part.seg.nrrd", VOLUME)
    assert all(np.array_equal(a.mask, b.mask) for a, b in zip(masks(False), found, strict=True))


def test_a_segmentation_of_another_scan_is_refused(tmp_path):
    from dataclasses import replace

    write_segmentation(tmp_path / "x.seg.nrrd", masks(False), VOLUME)
    for other in (replace(VOLUME, origin=(0.0, 0.0, 0.3)), replace(VOLUME, spacing_mm=(0.6, 0.8, 3.0))):
        with pytest.raises(InputError, match="another grid"):
            read_segmentation(tmp_path / "x.seg.nrrd", other)
    with pytest.raises(InputError, match="beyond"):
        read_segmentation(tmp_path / "x.seg.nrrd", replace(VOLUME, array=VOLUME.array[:3]))


def test_a_scan_is_no_segmentation(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((5, 20, 30), np.uint8)), str(tmp_path / "x.nrrd"))
    with pytest.raises(InputError):
        read_segmentation(tmp_path / "x.nrrd", Volume(VOLUME.array))


def test_masks_of_another_shape_are_a_mistake_of_the_caller(tmp_path):
    with pytest.raises(ValueError, match="grid"):
        write_segmentation(tmp_path / "x.seg.nrrd", [Segment("a", "a", np.zeros((1, 2, 3), bool), (0, 0, 0))], VOLUME)


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 0, 2), (2, 0, 1), (2, 1, 0)])
@pytest.mark.parametrize("flips", [(False, False, True), (True, False, False), (True, True, True)])
def test_a_file_that_counts_the_same_voxels_along_other_axes_is_turned(tmp_path, axes, flips):
    own = sitk.GetImageFromArray(masks(False)[1].mask.astype(np.uint8))
    own.SetSpacing(VOLUME.spacing_mm)
    own.SetOrigin(VOLUME.origin)
    own.SetDirection(VOLUME.direction)
    turned = sitk.Flip(sitk.PermuteAxes(own, axes), flips, False)
    x, y, z = turned.GetSpacing()
    other = Volume(sitk.GetArrayFromImage(turned), (x, y, z), turned.GetOrigin(), turned.GetDirection())
    path = tmp_path / "turned.seg.nrrd"
    write_segmentation(path, [Segment("lesion-mass", "mass", other.array > 0, (213, 94, 0), MASS)], other)
    (found,) = read_segmentation(path, VOLUME)
    assert np.array_equal(found.mask, masks(False)[1].mask)


def test_a_file_on_a_grid_that_drifts_away_is_refused(tmp_path):
    drifting = Volume(VOLUME.array, (0.501, 0.8, 3.0), VOLUME.origin, VOLUME.direction)
    write_segmentation(tmp_path / "x.seg.nrrd", masks(False), drifting)
    with pytest.raises(InputError, match="another grid"):
        read_segmentation(tmp_path / "x.seg.nrrd", VOLUME)
