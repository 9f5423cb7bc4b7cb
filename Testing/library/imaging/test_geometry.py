"""The worst bug there is would be a mask in the wrong place: every frame comes back as it went in."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from tiny_model import tiny_model

from ClamSegLib.imaging.read_write import read_volume, write_volume
from ClamSegLib.imaging.volume import Volume, canonical, canonical_orientation, check_plane
from ClamSegLib.model.checkpoint import load_model
from ClamSegLib.model.config import PLANES
from ClamSegLib.segmentation.options import SegmentOptions
from ClamSegLib.segmentation.report import write_case
from ClamSegLib.segmentation.segment_volume import segment_volume
from ClamSegLib.system.errors import InputError

OPTIONS = SegmentOptions(device="cpu", threshold=0.05)


def frame(seed: int, handed: int = 1) -> tuple[float, ...]:
    """A random direction matrix; handed -1 mirrors it."""
    matrix = Rotation.random(random_state=seed).as_matrix()
    matrix[:, 0] *= handed
    return tuple(matrix.ravel().tolist())


def phantom(shape: tuple[int, int, int] = (9, 40, 36), **geometry: object) -> Volume:
    """Smooth noise in a box, different everywhere, so that no flip or shift goes unseen."""
    rng = np.random.default_rng(1)
    array = np.zeros(shape, np.int16)
    array[:, 5:-6, 4:-7] = rng.integers(200, 1200, (shape[0], shape[1] - 11, shape[2] - 11))
    return Volume(array, **geometry)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(tiny_model(tmp_path_factory.mktemp("models") / "tiny"))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, -1]), st.sampled_from(PLANES))
def test_turning_to_canonical_and_back_moves_no_voxel(seed, handed, plane):
    rng = np.random.default_rng(seed)
    volume = Volume(rng.normal(size=(3, 4, 5)), (0.7, 1.3, 4.0), (10.0, -20.0, 30.0), frame(seed, handed))
    turned, orientation = canonical(volume, plane)
    assert np.array_equal(orientation.undo(turned.array), volume.array)
    places = dict(zip(volume.array.ravel(), volume.to_lps(np.argwhere(volume.array != np.inf)), strict=True))
    found = turned.to_lps(np.argwhere(turned.array != np.inf))
    assert np.allclose(found, [places[value] for value in turned.array.ravel()], atol=1e-9)


@pytest.mark.parametrize(
    ("plane", "axes"), [("axial", ("S", "P", "L")), ("coronal", ("P", "I", "L")), ("sagittal", ("L", "I", "P"))]
)
def test_canonical_axes_point_where_the_plane_says(plane, axes):
    directions = {"L": (1, 0, 0), "P": (0, 1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
    for permutation, signs in itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)):
        direction = np.zeros((3, 3))
        for column, (axis, sign) in enumerate(zip(permutation, signs, strict=True)):
            direction[axis, column] = sign
        turned, _ = canonical(Volume(np.zeros((2, 3, 4)), direction=tuple(direction.ravel())), plane)
        columns = np.asarray(turned.direction).reshape(3, 3).T[::-1]  # slice, row, column
        for column, letter in zip(columns, axes, strict=True):
            assert np.allclose(column, directions[letter])


@pytest.mark.parametrize("handed", [1, -1])
@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha", ".nii"])
def test_an_oblique_anisotropic_scan_comes_back_in_its_own_frame(tmp_path, model, handed, ending):
    volume = phantom(spacing_mm=(0.8, 1.1, 5.0), origin=(-31.5, 72.25, 410.0), direction=frame(4, handed))
    path = tmp_path / f"scan{ending}"
    write_volume(volume.array, volume, path)
    stored = sitk.ReadImage(str(path))
    result = segment_volume(read_volume(path), model, OPTIONS)
    folder = write_case(result, tmp_path / "case")
    assert (result.labels > 0).any()
    for name in ("segmentation.seg.nrrd", "probability.nrrd"):
        written = sitk.ReadImage(str(folder / name))
        assert written.GetSize() == stored.GetSize()
        for own, other in (
            (written.GetSpacing(), stored.GetSpacing()),
            (written.GetOrigin(), stored.GetOrigin()),
            (written.GetDirection(), stored.GetDirection()),
        ):
            assert np.allclose(own, other, atol=1e-4)


def test_the_same_scan_stored_in_any_axis_order_gives_the_same_mask_in_the_patient(model):
    volume = phantom(spacing_mm=(0.9, 1.2, 3.0), origin=(5.0, 6.0, 7.0))
    expected = segment_volume(volume, model, OPTIONS)
    reference = expected.in_own_frame(expected.probability[0])
    assert reference.max() > 0
    image = sitk.GetImageFromArray(volume.array)
    image.SetSpacing(volume.spacing_mm)
    image.SetOrigin(volume.origin)
    maps = sitk.GetImageFromArray(reference)
    maps.CopyInformation(image)
    for order in itertools.permutations(range(3)):
        for flips in ((False, False, False), (True, False, True), (False, True, False), (True, True, True)):
            stored = sitk.Flip(sitk.PermuteAxes(image, order), flips, False)
            turned = sitk.Flip(sitk.PermuteAxes(maps, order), flips, False)
            own = Volume(
                sitk.GetArrayFromImage(stored), stored.GetSpacing(), stored.GetOrigin(), tuple(stored.GetDirection())
            )
            result = segment_volume(own, model, OPTIONS)
            assert np.array_equal(result.in_own_frame(result.probability[0]), sitk.GetArrayFromImage(turned))


def test_a_lesion_is_measured_where_it_lies_in_the_patient(model):
    from ClamSegLib.segmentation.lesions import measure_lesions

    volume = Volume(np.zeros((6, 20, 20), np.int16), (0.5, 2.0, 4.0), (-10.0, 3.0, 50.0), frame(11))
    labels = np.zeros(volume.array.shape, np.uint8)
    labels[2:4, 5:9, 7:13] = 1
    maps = np.full((1, *labels.shape), 204, np.uint8)
    (lesion,) = measure_lesions(labels, labels.astype(np.int32), maps, volume, ["x"])
    direction = np.asarray(volume.direction).reshape(3, 3)
    expected = np.asarray(volume.origin) + direction @ (np.array([9.5, 6.5, 2.5]) * volume.spacing_mm)
    assert np.allclose(lesion.centre_lps_mm, expected)
    assert lesion.volume_ml == pytest.approx(2 * 4 * 6 * 0.5 * 2.0 * 4.0 / 1000)
    assert lesion.longest_diameter_mm == pytest.approx(np.hypot(4 * 2.0, 6 * 0.5))
    assert (lesion.mean_probability, lesion.mean_doubt) == (pytest.approx(0.8), pytest.approx(0.4))
    assert (lesion.first_slice, lesion.last_slice, lesion.n_slices) == (2, 3, 2)


def test_a_plane_with_needle_pixels_is_refused_and_the_plane_that_fits_named():
    volume = Volume(np.zeros((20, 30, 40)), (1.0, 5.0, 1.0))  # 5 mm between rows: acquired coronally
    with pytest.raises(InputError, match="acquired in coronal slices"):
        check_plane(volume, "axial")
    check_plane(volume, "coronal")
    check_plane(Volume(np.zeros((20, 30, 40)), (1.0, 3.0, 1.0)), "axial")


def test_pictures_are_never_turned():
    picture = Volume(np.zeros((1, 30, 40)), direction=frame(2), is_picture=True)
    assert canonical_orientation(picture).permutation == (0, 1, 2)
    assert canonical_orientation(picture).flips == (False, False, False)


def test_a_picture_comes_back_with_its_own_rows_and_columns(tmp_path, model):
    rng = np.random.default_rng(0)
    sitk.WriteImage(sitk.GetImageFromArray(rng.integers(0, 60000, (50, 70)).astype(np.uint16)), str(tmp_path / "x.png"))
    volume = read_volume(tmp_path / "x.png")
    assert volume.array.dtype == np.uint16
    folder = write_case(segment_volume(volume, model, OPTIONS), tmp_path / "case")
    assert sitk.ReadImage(str(folder / "probability.nrrd")).GetSize() == (70, 50, 1)
    assert "area_px" in Path(folder / "lesions.csv").read_text()


def test_every_slice_is_analysed_whatever_the_batch(model):
    volume = phantom((11, 40, 36))
    maps = [segment_volume(volume, model, SegmentOptions(device="cpu", batch_size=n)).probability for n in (1, 4, 32)]
    assert all(np.abs(m.astype(int) - maps[0]).max() <= 1 for m in maps)
    assert segment_volume(volume, model, OPTIONS).n_slices == 11


def test_a_windowed_picture_stack_gives_the_mask_of_its_ct(tmp_path):
    from dataclasses import replace

    ct = load_model(tiny_model(tmp_path / "ct", "CT"))
    rng = np.random.default_rng(3)
    hu = rng.integers(-1024, 900, (4, 40, 40)).astype(np.int16)
    low, high = ct.config.intensity.low, ct.config.intensity.high
    windowed = np.round(np.clip((hu.astype(np.float32) - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    volume = Volume(hu, modality="CT")
    a = segment_volume(volume, ct, OPTIONS)
    b = segment_volume(replace(volume, array=windowed, already_windowed=True), ct, OPTIONS)
    assert np.array_equal(a.probability, b.probability)
    assert a.probability.max() > 0
