"""Drawn DICOM series for the tests: slices as scanners write them, with any element replaced."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

AXIAL = [1, 0, 0, 0, 1, 0]
NAME = "Doe^Secret"


def dataset(pixels: np.ndarray, series: str, number: int, **values: object) -> Dataset:
    """A CT slice; `values` replace or add elements."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, generate_uid()
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.SeriesInstanceUID, ds.StudyInstanceUID = series, "1.2.3"
    ds.PatientName, ds.PatientID = NAME, "id-4711"
    ds.Modality, ds.SeriesDescription, ds.InstanceNumber = "CT", "Chest 5.0", number
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    ds.PixelRepresentation = int(pixels.dtype == np.int16)
    ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
    ds.PixelSpacing, ds.SliceThickness = [0.8, 0.7], 5
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [-10, -20, 5.0 * number], AXIAL
    ds.FrameOfReferenceUID = "1.2.3.99"
    ds.PixelData = pixels.tobytes()
    for key, value in values.items():
        if value is None:
            delattr(ds, key)
        else:
            setattr(ds, key, value)
    return ds


def save(folder: Path, name: str, ds: Dataset) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    ds.save_as(folder / name, enforce_file_format=True)
    return folder / name


def stack(folder: Path, n: int = 6, series: str = "1.2.3.4", **values: object) -> np.ndarray:
    """Writes n slices under names that say nothing of their order; returns stored values by height."""
    rng = np.random.default_rng(len(series))
    pixels = rng.integers(0, 2000, (n, 20, 24)).astype(np.uint16)
    for k in range(n):
        save(folder, f"{(k * 7) % n:03d}_{series}", dataset(pixels[k], series, k, **values))
    return pixels
