"""The organ step that strips the skull: drawn heads, real ones where they are, and what it refuses to guess."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from test_find_organ import Heard

from ClamSegLib.imaging.read_write import read_volume
from ClamSegLib.imaging.volume import Volume, canonical
from ClamSegLib.metrics import dice
from ClamSegLib.model.config import OrganConfig
from ClamSegLib.organ.find_organ import find_organ

STRIP = OrganConfig("strip_skull", "brain")
BRAIN = OrganConfig("brain_mr", "brain")


def head(*, bone: bool = True, scalp: float = 260.0, background: float = 0.0) -> tuple[Volume, np.ndarray]:
    """A drawn head of 2 x 2 x 4 mm: brain with a dark ventricle, bone, scalp; and its brain without the ventricle's hole."""
    z, y, x = np.mgrid[:42, :120, :110]
    rng = np.random.default_rng(0)
    # Half axes of the head 92 x 78 x 76 mm; the brain ends 14 mm below its surface, the scalp is 6 mm thick.
    half = np.array([76.0, 92.0, 78.0])
    place = np.stack([(z - 20) * 4.0, (y - 60) * 2.0, (x - 55) * 2.0])
    radius = np.sqrt(((place / half[:, None, None, None]) ** 2).sum(axis=0))
    depth = (1 - radius) * half.mean()
    brain, is_scalp = depth > 14, (depth > 0) & (depth < 6)
    array = np.full(brain.shape, background, np.float32)
    array[depth > 0] = 20 if bone else 300
    array[is_scalp] = scalp
    array[brain] = 300
    array[(radius < 0.15) & brain] = 20
    array[depth > 0] += rng.normal(0, 8, int((depth > 0).sum()))
    return Volume(array, (2.0, 2.0, 4.0), modality="MR"), brain


@pytest.mark.parametrize("scalp", [120.0, 260.0, 700.0])
def test_a_drawn_head_on_black_gives_its_brain_whatever_the_scalps_brightness(scalp: float) -> None:
    volume, brain = head(scalp=scalp)
    found = find_organ(volume, STRIP)
    assert dice(found.mask, brain) > 0.95
    assert (found.quality, found.problem, found.fell_back) == (1.0, "", False)


def test_the_ordinary_step_takes_a_head_on_black_for_a_brain_and_names_cause_and_cure() -> None:
    volume, brain = head()
    heard = Heard()
    found = find_organ(replace(volume, spacing_mm=(2.4, 2.4, 4.4)), BRAIN, reporter=heard)
    assert found.mask.sum() > 1.4 * brain.sum()
    assert "skull is still there" in heard.warnings[0]
    assert "organ step that strips it, or give a mask" in heard.warnings[0]


def test_where_no_bone_parts_brain_and_scalp_nothing_is_guessed() -> None:
    volume, _brain = head(bone=False, scalp=300.0)
    heard = Heard()
    found = find_organ(replace(volume, spacing_mm=(2.2, 2.2, 4.4)), STRIP, reporter=heard)
    assert found.fell_back
    assert "could not be told apart: give a mask" in heard.warnings[0]


def test_a_head_that_is_stripped_already_loses_nothing() -> None:
    volume, brain = head()
    volume.array[~brain] = 0
    found = find_organ(volume, STRIP)
    assert dice(found.mask, brain) > 0.98
    assert found.quality == 1.0


@pytest.mark.parametrize("patient", ["01", "03", "19"])
def test_real_heads_give_a_brain_of_its_size_that_touches_no_scalp(real_data: Path, patient: str) -> None:
    path = real_data / "ms_flair_raw" / f"openms_long_patient{patient}_study2_FLAIR.nii.gz"
    if not path.is_file():
        pytest.skip("the raw heads are not on this machine")
    volume = canonical(read_volume(path), "axial")[0]
    found = find_organ(volume, STRIP)
    assert found.problem == ""
    assert 1.0 < found.mask.sum() * volume.voxel_ml / 1000 < 1.8
    tissue = volume.array > 0.05 * np.percentile(volume.array, 99.5)
    for k in np.flatnonzero(found.mask.any(axis=(1, 2))):
        outside = ~ndimage.binary_fill_holes(ndimage.binary_closing(tissue[k], iterations=3))
        near = ndimage.distance_transform_edt(~outside, sampling=volume.spacing_mm[1::-1]) < 2.5
        assert not (near & found.mask[k]).any(), f"slice {k} touches the scalp"
