"""Trachea and bronchi are no lung, whatever they touch; folds of the lung and cavities in it are no airway."""

import csv

import numpy as np
import pytest
from scipy import ndimage

from ClamSegLib.imaging.read_write import read_volume
from ClamSegLib.imaging.volume import Volume, canonical
from ClamSegLib.metrics import dice
from ClamSegLib.organ.lungs_ct import find_lungs

WINDOW_HU = (-1000.0, 400.0)
LUNG_HU, AIR_HU, TISSUE_HU = -840, -990, 40


def chest(lung_hu: int = LUNG_HU, slices: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """HU of a drawn chest of 2.5 mm voxels, its lungs, and its trachea, whose blurred wall joins it to both lungs in some slices."""
    z, y, x = np.mgrid[:slices, :120, :150]
    array = np.where(((y - 60) / 52) ** 2 + ((x - 75) / 68) ** 2 < 1, TISSUE_HU, -1000).astype(np.int16)
    lungs = np.zeros(array.shape, bool)
    for centre in (44, 106):
        lungs |= ((y - 62) / 36) ** 2 + ((x - centre) / 25) ** 2 + ((z - 20) / 34) ** 2 < 1
    way = ((y - 55) / 4) ** 2 + ((x - 73) / 3.5) ** 2
    wall = (way < 1.4) & (z > 10)
    trachea = (way < 1) & (z > 10)
    bridge = (np.abs(y - 55) < 2) & (x > 60) & (x < 88) & (np.abs(z - 25) < 3)
    array[bridge & ~lungs] = -450
    array[lungs] = lung_hu
    array[wall] = np.where(bridge, -500, -350)[wall]
    array[trachea] = AIR_HU
    return array, lungs & ~wall, trachea


def mask_of(array: np.ndarray) -> np.ndarray:
    return find_lungs(Volume(array, (2.5, 2.5, 2.5), modality="CT"), WINDOW_HU)[0]


@pytest.mark.parametrize("lung_hu", [LUNG_HU, -930], ids=["lung", "emphysema"])
def test_a_trachea_that_joins_both_lungs_is_no_lung_nor_is_what_lies_beside_it(lung_hu):
    array, lungs, trachea = chest(lung_hu)
    mask = mask_of(array)
    assert not mask[trachea].any()
    assert mask[lungs].mean() > 0.97
    between = (array == TISSUE_HU) & (np.abs(np.arange(150) - 75) < 8)
    assert mask[between].mean() < 0.01


def test_a_cavity_near_the_hilum_stays_in_the_mask():
    array, _, _ = chest()
    z, y, x = np.mgrid[:60, :120, :150]
    far = np.sqrt((y - 70.0) ** 2 + (x - 92) ** 2 + (z - 18) ** 2)
    array[far < 6] = TISSUE_HU
    array[far < 4] = AIR_HU
    assert mask_of(array)[far < 6].mean() > 0.95


def test_a_slice_alone_is_outlined_without_its_trachea():
    array, lungs, trachea = chest()
    mask = mask_of(array[30:31])
    assert not mask[trachea[30:31]].any()
    assert dice(mask, lungs[30:31]) > 0.93


def test_real_lungs_that_are_one_part_with_the_trachea_hold_neither_it_nor_mediastinum(real_data):
    with (real_data / "covid_ct_md" / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["patient_id"] == "cap002"]
    rows = sorted(rows, key=lambda row: int(row["slice_index"]))[50:]  # from the hilum up
    planes = [read_volume(real_data / "covid_ct_md" / row["image_path"]).array[0] for row in rows]
    array = np.stack(planes)
    picture = Volume(array, spacing_known=False, already_windowed=True, is_picture=True, modality="CT")
    mask = find_lungs(picture, WINDOW_HU)[0]
    apices = slice(48, 63)  # where half of the trachea was closed to the lung behind it
    lumens, _ = ndimage.label(array[apices] < 25)
    trachea = lumens == lumens[12, 110, 135]
    assert 1500 < trachea.sum() < 2500
    assert not (mask[apices] & trachea).any()
    dense = array[apices] > 145  # -200 HU
    assert (mask[apices] & dense).sum() < 0.015 * mask[apices].sum()


@pytest.mark.parametrize(
    ("name", "inside", "trachea"),
    [("LIDC-IDRI-0001", 1418, (126, 108, 117)), ("LIDC-IDRI-0002", 2037, (122, 120, 133))],
)
def test_a_real_trachea_at_the_neck_is_no_lung_and_every_voxel_of_a_nodule_stays(real_data, name, inside, trachea):
    folder = real_data / "lidc_ct" / "volumes"
    volume, _ = canonical(read_volume(folder / f"{name}_ct.nii.gz"))
    nodule, _ = canonical(read_volume(folder / f"{name}_lesion.nii.gz"))
    mask = find_lungs(volume, WINDOW_HU)[0]
    assert volume.array[trachea] < -900
    assert not mask[trachea]
    assert mask[nodule.array > 0].sum() >= inside
