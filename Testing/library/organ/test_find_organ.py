import os
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_model import tiny_model

from ClamSegLib.imaging.read_write import read_volume, write_volume
from ClamSegLib.imaging.volume import Volume, canonical
from ClamSegLib.metrics import dice
from ClamSegLib.model.config import IntensityConfig, OrganConfig
from ClamSegLib.organ.clean_values import clean_values
from ClamSegLib.organ.crop_and_normalise import intensity_scale, normalise
from ClamSegLib.organ.find_organ import OrganResult, find_organ
from ClamSegLib.system.errors import ClamSegError, InputError
from ClamSegLib.system.progress import Reporter

LUNGS, BRAIN = OrganConfig("lungs_ct", "lungs"), OrganConfig("brain_mr", "brain")


class Heard(Reporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, message: str) -> None:
        self.warnings.append(message)


def chest(nodule: bool = False) -> tuple[Volume, np.ndarray]:
    """A drawn chest of 3 mm voxels: body, table, two lungs, a trachea; and its lungs."""
    z, y, x = np.mgrid[:80, :110, :130]
    body = ((y - 50) / 42) ** 2 + ((x - 65) / 58) ** 2 < 1
    array = np.where(body, 40, -1000).astype(np.int16)
    array[:, 100:104, 10:120] = 200  # table
    lungs = np.zeros(body.shape, bool)
    for centre in (40, 90):
        lungs |= ((y - 50) / 28) ** 2 + ((x - centre) / 18) ** 2 + ((z - 40) / 34) ** 2 < 1
    array[lungs] = -800
    trachea = ((y - 50) ** 2 + (x - 65) ** 2 < 9) & (z > 45)
    array[trachea] = -990
    if nodule:
        array[((y - 50) ** 2 + (x - 26) ** 2 + (z - 40) ** 2) < 16] = 30  # at the pleura
    return Volume(array, (3.0, 3.0, 3.0), modality="CT"), lungs


def head(stripped: bool) -> tuple[Volume, np.ndarray]:
    """A drawn head of 2 mm voxels with scalp and skull, or without; and its brain."""
    z, y, x = np.mgrid[:70, :110, :100]
    rng = np.random.default_rng(0)
    radius = np.sqrt(((y - 55) / 46) ** 2 + ((x - 50) / 40) ** 2 + ((z - 30) / 36) ** 2)
    brain = radius < 0.78
    array = np.zeros(brain.shape, np.float32)
    array[brain] = 300 + rng.normal(0, 15, brain.sum())
    if not stripped:
        scalp = (radius > 0.9) & (radius < 1)
        array[scalp] = 700
        array += rng.uniform(1, 12, array.shape)
    return Volume(array, (2.0, 2.0, 2.0), modality="MR"), brain


def test_drawn_lungs_are_found_without_trachea_and_with_a_nodule_at_the_pleura():
    volume, lungs = chest(nodule=True)
    found = find_organ(volume, LUNGS)
    assert dice(found.mask, lungs) > 0.93
    assert not found.mask[60:, 48:53, 63:68].any(), "the trachea is not lung"
    assert found.mask[40, 50, 25:28].all(), "a nodule at the pleura stays inside"
    assert (found.method, found.fell_back, found.problem) == ("lungs_ct", False, "")


def test_a_windowed_picture_stack_has_the_lungs_of_its_ct():
    from ClamSegLib.model.config import IntensityConfig

    volume, _ = chest()
    picture = np.round(np.clip((volume.array.astype(float) + 1000) / 1400, 0, 1) * 255).astype(np.uint8)
    seen = replace(volume, array=picture, already_windowed=True)
    found = find_organ(seen, LUNGS, intensity=IntensityConfig("window_hu", -1000, 400))
    assert dice(found.mask, find_organ(volume, LUNGS).mask) > 0.98


def test_a_scan_without_lungs_falls_back_to_the_body_and_says_so():
    volume, _ = chest()
    array = np.where(volume.array == -800, 40, volume.array)
    heard = Heard()
    found = find_organ(volume.with_array(array), LUNGS, reporter=heard)
    assert (found.method, found.fell_back) == ("body", True)
    assert 0.3 < found.mask.mean() < 0.6
    assert "the body is used instead" in heard.warnings[0]


def test_lungs_of_an_impossible_density_are_called_doubtful():
    volume, lungs = chest()
    array = volume.array.copy()
    array[lungs] = -400
    found = find_organ(volume.with_array(array), LUNGS)
    assert found.quality < 1
    assert "HU" in found.problem


@pytest.mark.parametrize("stripped", [True, False])
def test_a_drawn_brain_is_found_with_and_without_its_skull(stripped):
    volume, brain = head(stripped)
    found = find_organ(volume, BRAIN)
    assert dice(found.mask, brain) > 0.9
    assert found.quality == 1


def test_real_lungs_agree_with_their_automatic_masks(real_data):
    for name in ("LIDC-IDRI-0001", "LIDC-IDRI-0002"):
        volume, _ = canonical(read_volume(real_data / "lidc_ct" / "volumes" / f"{name}_ct.nii.gz"))
        mask, _ = canonical(read_volume(real_data / "lidc_ct" / "volumes" / f"{name}_lung_auto.nii.gz"))
        assert dice(find_organ(volume, LUNGS).mask, mask.array > 0) > 0.95


def test_a_real_stripped_brain_is_taken_as_it_is(real_data):
    folder = real_data / "open_ms_flair" / "volumes"
    volume, _ = canonical(read_volume(folder / "patient19_flair.nii.gz"))
    mask, _ = canonical(read_volume(folder / "patient19_brain_auto.nii.gz"))
    assert dice(find_organ(volume, BRAIN).mask, mask.array > 0) > 0.97


def test_none_takes_the_whole_image_and_body_the_body():
    volume, _ = chest()
    assert find_organ(volume, LUNGS, request="none").mask.all()
    body = find_organ(volume, LUNGS, request="body").mask
    assert body[40, 50, 65]
    assert not body[40, 2, 2]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_a_mask_file_serves_in_any_axis_order(tmp_path, order):
    import SimpleITK as sitk

    from ClamSegLib.imaging.volume import to_sitk

    volume, lungs = chest()
    stored = sitk.PermuteAxes(to_sitk(lungs.astype(np.uint8), volume), order)
    sitk.WriteImage(stored, str(tmp_path / "mask.nrrd"))
    found = find_organ(volume, LUNGS, request=str(tmp_path / "mask.nrrd"))
    assert np.array_equal(found.mask, lungs)
    assert found.method == "mask file"


def test_a_mask_on_another_grid_is_refused(tmp_path):
    volume, lungs = chest()
    for name, other in (
        ("moved", replace(volume, origin=(0.5, 0.0, 0.0))),
        ("scaled", replace(volume, spacing_mm=(3.1, 3.0, 3.0))),
        ("cut", replace(volume, array=volume.array[:-1])),
    ):
        path = tmp_path / f"{name}.nrrd"
        write_volume(lungs[: len(other.array)].astype(np.uint8), other, path)
        with pytest.raises(InputError, match="another grid"):
            find_organ(volume, LUNGS, request=str(path))


def test_an_empty_mask_file_is_refused(tmp_path):
    volume, lungs = chest()
    write_volume(np.zeros(lungs.shape, np.uint8), volume, tmp_path / "empty.nrrd")
    with pytest.raises(InputError, match="empty"):
        find_organ(volume, LUNGS, request=str(tmp_path / "empty.nrrd"))


def test_an_unknown_method_names_those_there_are():
    with pytest.raises(InputError, match="lungs_ct"):
        find_organ(chest()[0], LUNGS, request="liver_magic")


def test_a_missing_organ_network_falls_back_to_the_central_box(monkeypatch, tmp_path):
    monkeypatch.setenv("CLAMSEG_MODELS", str(tmp_path))
    picture = Volume(np.random.default_rng(0).integers(0, 255, (1, 100, 80)), is_picture=True, modality="XR")
    heard = Heard()
    found = find_organ(picture, OrganConfig("model:not-installed"), reporter=heard)
    assert found.method == "central box"
    assert found.mask[0, 50, 40]
    assert not found.mask[0, 5, 5]
    assert "not-installed" in heard.warnings[0]


def test_a_lesion_model_is_no_organ_step(tmp_path):
    folder = tiny_model(tmp_path / "lesions")
    picture = Volume(np.random.default_rng(0).integers(0, 255, (1, 64, 64)), is_picture=True, modality="XR")
    with pytest.raises(InputError, match="not an organ"):
        find_organ(picture, OrganConfig("body"), request=f"model:{folder}")


def fake_command(folder: Path, name: str, body: str) -> None:
    """A program on the path that takes the arguments of the real one."""
    path = folder / name
    path.write_text(f"#!/usr/bin/env python3\nimport sys, shutil\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.skipif(os.name == "nt", reason="a fake program is a shell script")
@pytest.mark.parametrize(
    ("plugin", "command", "output"),
    [
        ("lungmask", "lungmask", "sys.argv[2]"),
        ("totalsegmentator", "TotalSegmentator", "sys.argv[sys.argv.index('-o') + 1]"),
        ("hd-bet", "hd-bet", "sys.argv[sys.argv.index('-o') + 1].replace('.nii.gz', '_bet.nii.gz')"),
    ],
)
def test_an_installed_program_serves_as_organ_step(tmp_path, monkeypatch, plugin, command, output):
    volume, lungs = chest()
    write_volume(lungs.astype(np.uint8), volume, tmp_path / "answer.nii.gz")
    fake_command(tmp_path, command, f"shutil.copy({str(tmp_path / 'answer.nii.gz')!r}, {output})")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    found = find_organ(volume, LUNGS, request=plugin)
    assert np.array_equal(found.mask, lungs)
    assert found.method == plugin


@pytest.mark.skipif(os.name == "nt", reason="a fake program is a shell script")
def test_a_program_that_crashes_ends_in_one_line(tmp_path, monkeypatch):
    fake_command(tmp_path, "lungmask", "sys.exit('no weights found')")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(ClamSegError, match="no weights found"):
        find_organ(chest()[0], LUNGS, request="lungmask")


def test_a_program_that_is_not_installed_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="pip install lungmask"):
        find_organ(chest()[0], LUNGS, request="lungmask")


@pytest.mark.parametrize("touching", [False, True])
def test_the_heart_between_the_lungs_is_no_lung(touching):
    """Lungs that nearly meet, or meet, before and behind the heart: closing must not enclose it."""
    volume, _ = chest()
    array = np.where((volume.array == -800) | (volume.array == -990), 40, volume.array)
    y, x = np.mgrid[:110, :130]
    ring = (((y - 50) / 30) ** 2 + ((x - 65) / 48) ** 2 < 1) & (((y - 50) / 24) ** 2 + ((x - 65) / 26) ** 2 > 1)
    if not touching:
        ring &= np.abs(x - 65) > 2  # 15 mm apart
    array[10:70, ring] = -800
    found = find_organ(volume.with_array(array.astype(np.int16)), LUNGS)
    assert not found.fell_back
    assert not found.mask[20:60, 40:60, 55:75].any()
    assert dice(found.mask[20:60], np.broadcast_to(ring, (40, 110, 130))) > 0.85


def test_a_dome_of_the_liver_in_the_lung_is_no_lung_but_a_nodule_as_large_is():
    volume, _ = chest()
    array = volume.array.copy()
    z, y, x = np.mgrid[: array.shape[0], : array.shape[1], : array.shape[2]]
    dome = ((y - 50) / 11) ** 2 + ((x - 45) / 9) ** 2 + ((z - 5) / 30) ** 2 < 1  # open below, closed above
    nodule = ((y - 50) / 8) ** 2 + ((x - 85) / 7) ** 2 + ((z - 30) / 6) ** 2 < 1
    array[dome | nodule] = 40
    mask = find_organ(volume.with_array(array), LUNGS).mask
    assert mask[nodule].mean() > 0.95
    assert mask[10:22][dome[10:22]].mean() < 0.1


def test_vessels_beside_the_heart_are_no_lung_but_what_lies_at_the_ribs_is():
    volume, lungs = chest()
    array = volume.array.copy()
    centre = [int(np.flatnonzero(lungs[40, 50])[0]), int(np.flatnonzero(lungs[40, 50, :65])[-1])]
    array[36:44, 47:53, centre[1] - 5 : 65] = 40  # as a vessel enters from the middle
    array[36:44, 47:53, centre[0] : centre[0] + 5] = 40  # as a nodule at the ribs
    mask = find_organ(volume.with_array(array), LUNGS).mask
    assert not mask[37:43, 48:52, centre[1] - 3 : 65].any()
    assert mask[37:43, 48:52, centre[0] + 2 : centre[0] + 5].all()


@pytest.mark.parametrize(
    ("own_method", "method", "name"),
    [
        ("lungs_ct", "lungs_ct", "lungs"),
        ("lungs_ct", "totalsegmentator", "lungs"),
        ("lungs_ct", "body", "searched: body"),
        ("lungs_ct", "whole", "searched: whole image"),
        ("model:xray-lungs", "central box", "searched: central box"),
        ("body", "body", "lungs"),
    ],
)
def test_only_a_mask_of_the_organ_bears_its_name_and_code(own_method, method, name):
    code = "SCT^123037004^Anatomical Structure~SCT^39607008^Lung~^^"
    organ = replace(LUNGS, method=own_method, name="lungs", terminology=code)
    found = OrganResult(np.ones((1, 2, 2), bool), method, 1.0)
    assert found.label(organ) == (name, code if name == "lungs" else "")


@pytest.mark.parametrize("outside", [float("nan"), -7.5, 40.0, 5000.0])
@pytest.mark.parametrize("z_scored", [False, True])
def test_a_stripped_brain_is_the_same_whatever_constant_surrounds_it(outside, z_scored):
    volume, _ = head(stripped=True)
    rescaled = (volume.array - 290) / 15 if z_scored else volume.array
    zeros, _ = clean_values(volume)
    other, _ = clean_values(volume.with_array(np.where(volume.array > 0, rescaled, outside).astype(np.float32)))
    masks = [find_organ(v, BRAIN).mask for v in (zeros, other)]
    assert np.array_equal(masks[0], masks[1])
    seen = [normalise(v.array, intensity_scale(v, masks[0], IntensityConfig())) for v in (zeros, other)]
    assert np.allclose(seen[0], seen[1], atol=1e-3)


def test_noise_that_a_tool_left_around_a_stripped_brain_is_no_brain():
    volume, brain = head(stripped=True)
    noise = np.random.default_rng(1).uniform(0.5, 12, brain.shape)
    noise[:, :8], noise[:, -8:], noise[:, :, :8], noise[:, :, -8:] = 0, 0, 0, 0
    noisy = volume.with_array(np.where(brain, volume.array, noise).astype(np.float32))
    assert dice(find_organ(noisy, BRAIN).mask, brain) > 0.99


def test_dark_voxels_of_a_stripped_brain_stay_where_there_are_few():
    volume, brain = head(stripped=True)
    z, y, x = np.nonzero(brain)
    array = volume.array.copy()
    array[z[::50], y[::50], x[::50]] = 2.0
    found = find_organ(volume.with_array(array), BRAIN).mask
    assert np.array_equal(found, find_organ(volume, BRAIN).mask)
