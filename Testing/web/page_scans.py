"""Scans for the page's tests: a few slices of the shipped brain with bright spots, of which the shipped model marks seven."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from dicom_stacks import dataset, save
from pydicom.uid import MRImageStorage

from ClamSegLib.imaging.read_write import read_volume, write_volume
from ClamSegLib.imaging.volume import Volume

SAMPLES = Path(__file__).resolve().parents[2] / "Resources" / "Samples"
SLICES = slice(24, 32)
# Row and column of the spots' centres, each as a part of the slice; every other one lies in the lower slices.
SPOTS = ((0.3, 0.35), (0.3, 0.65), (0.5, 0.25), (0.5, 0.75), (0.7, 0.35), (0.7, 0.65), (0.42, 0.5), (0.62, 0.5))
UPPER, LOWER = slice(29, 32), slice(24, 27)
SPOT_RADIUS_PX = 11
# The later ones are darker: the highest thresholds leave them out.
SPOT_VALUES = (1530, 1530, 1530, 1530, 1200, 1250, 1300, 1350)


def brain(slices: slice = SLICES) -> Volume:
    """Axial slices of 1 mm with the spots that lie in them, in their place in the patient."""
    whole = read_volume(SAMPLES / "mr_flair_brain.nii.gz")
    spotted = whole.array.copy()
    rows, columns = np.indices(spotted.shape[1:])
    for k, ((down, across), value) in enumerate(zip(SPOTS, SPOT_VALUES, strict=True)):
        spot = np.hypot(rows - down * len(rows), columns - across * rows.shape[1]) < SPOT_RADIUS_PX
        spotted[LOWER if k % 2 else UPPER, spot] = value
    first = (slices.start, 0, 0)
    return dataclasses.replace(
        whole, array=np.ascontiguousarray(spotted[slices]), origin=tuple(map(float, whole.to_lps(first)))
    )


def write_brain(path: Path, slices: slice = SLICES) -> Path:
    """A file of these slices."""
    volume = brain(slices)
    write_volume(volume.array, volume, path)
    return path


def write_turned_brain(path: Path) -> Path:
    """The same slices as an oblique scan stored upside down: the head is turned and nods, the last slice comes first."""
    volume = brain()
    nod, turn = np.deg2rad(9.0), np.deg2rad(-14.0)
    nodding = np.array([[1, 0, 0], [0, np.cos(nod), -np.sin(nod)], [0, np.sin(nod), np.cos(nod)]])
    turning = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    direction = nodding @ turning @ np.asarray(volume.direction).reshape(3, 3)
    last = direction @ (np.array([0, 0, len(volume.array) - 1]) * volume.spacing_mm) + [31.5, -12.25, 87.0]
    direction[:, 2] *= -1
    turned = dataclasses.replace(
        volume, direction=tuple(direction.ravel().tolist()), origin=tuple(last.tolist()), spacing_mm=(0.9, 0.9, 1.0)
    )
    write_volume(np.ascontiguousarray(volume.array[::-1]), turned, path)
    return path


def write_brain_series(folder: Path, uid: str = "1.2.3.77", before_name: str = "") -> Path:
    """The same slices as a DICOM series, under names that say nothing of their order."""
    volume = brain()
    for k, pixels in enumerate(volume.array):
        place = [float(value) for value in volume.to_lps((k, 0, 0))]
        # Rows of the sample run to the front, as its direction says.
        axes = np.asarray(volume.direction).reshape(3, 3)
        made = dataset(
            pixels.astype(np.uint16), uid, k + 1, Modality="MR", SOPClassUID=MRImageStorage,
            SeriesDescription="FLAIR brain", BodyPartExamined="HEAD", RescaleIntercept=0, PixelSpacing=[1.0, 1.0],
            SliceThickness=1.0, ImagePositionPatient=place, ImageOrientationPatient=[*axes[:, 0], *axes[:, 1]],
        )  # fmt: skip
        made.file_meta.MediaStorageSOPClassUID = MRImageStorage
        save(folder, f"{before_name}{(k * 5) % len(volume.array):03d}", made)
    return folder
