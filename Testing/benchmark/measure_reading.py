"""Reading with its checks beside reading of another commit, alternating in one run: processor time of each, and their ratio.

    git worktree add ../earlier b5e771f
    OMP_NUM_THREADS=1 python Testing/benchmark/measure_reading.py --earlier ../earlier --rounds 7

Reads a volume of 512 x 512 x 133 in four formats and a folder of 1000 DICOM files of 256 x 256, written anew from seed 0. Both
versions stay loaded in a process of their own; processor time is the time of the work, whoever else uses the machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom import uid

READ = """
import sys, time
from pathlib import Path
try:  # first: an installed ClamSeg would add its newer rooms to an older folder
    from ClamSegLib.volume_files import read_volume
except ImportError:
    from ClamSegLib.imaging.read_write import read_volume
for line in sys.stdin:
    began = time.process_time()
    volume = read_volume(Path(line.strip()))
    spent = time.process_time() - began
    print(spent, int(volume.array.astype("int64").sum()), flush=True)
    del volume
"""


def write_volumes(folder: Path) -> list[Path]:
    """A soft volume with the noise of a CT, in four formats."""
    values = np.random.default_rng(0)
    smooth = sitk.GetArrayFromImage(
        sitk.Expand(sitk.GetImageFromArray(values.normal(0, 400, (133, 32, 32)).astype(np.float32)), [16, 16, 1])
    )
    array = (smooth + values.normal(0, 12, smooth.shape)).astype(np.int16)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.7, 0.7, 2.5))
    paths = [folder / name for name in ("packed.nii.gz", "plain.nii", "packed.nrrd", "packed.mha")]
    for path in paths:
        sitk.WriteImage(image, str(path), useCompression="packed" in path.name)
    return paths


def write_series(folder: Path, count: int = 1000, side: int = 256) -> Path:
    """A CT series of plain DICOM files."""
    folder.mkdir()
    values = np.random.default_rng(0)
    for number in range(count):
        data = pydicom.Dataset()
        data.file_meta = pydicom.dataset.FileMetaDataset()
        data.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        data.SOPClassUID, data.SOPInstanceUID, data.Modality = uid.CTImageStorage, f"1.2.3.{number + 1}", "CT"
        data.SeriesInstanceUID, data.SeriesDescription, data.InstanceNumber = "1.2.3", "thorax", number + 1
        data.ImageOrientationPatient, data.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-20, 30, 0.7 * number]
        data.PixelSpacing, data.SliceThickness = [0.8, 0.8], 0.7
        data.Rows = data.Columns = side
        data.SamplesPerPixel, data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = (
            1,
            16,
            16,
            15,
            1,
        )
        data.RescaleSlope, data.RescaleIntercept, data.PhotometricInterpretation = 1, -1024, "MONOCHROME2"
        data.PixelData = values.integers(0, 2000, (side, side)).astype(np.int16).tobytes()
        data.save_as(folder / f"{number:04d}.dcm", enforce_file_format=True)
    return folder


def started(version: Path) -> subprocess.Popen[str]:
    """A process that reads with the ClamSeg of that folder."""
    environment = {**os.environ, "PYTHONPATH": str(version), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", READ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=version,
    )


def ask(process: subprocess.Popen[str], path: Path) -> tuple[float, str]:
    """Seconds of processor time, and the sum of all voxels."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{path}\n")
    process.stdin.flush()
    seconds, checksum = process.stdout.readline().split()
    return float(seconds), checksum


def main() -> None:
    """Prints a line an input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--earlier", type=Path, required=True, help="folder with the other commit")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    versions = [started(arguments.earlier.resolve()), started(Path(__file__).resolve().parents[2])]
    with tempfile.TemporaryDirectory() as folder:
        inputs = [*write_volumes(Path(folder)), write_series(Path(folder) / "1000 DICOM files")]
        print("| input | earlier, s | now, s | now / earlier |\n|---|---|---|---|")
        for path in inputs:
            taken: list[list[float]] = [[], []]
            for number in range(arguments.rounds + 1):
                answers = [ask(version, path) for version in versions]
                assert answers[0][1] == answers[1][1], "both read the same values"
                if number:  # the first round warms the files up
                    for seconds, (spent, _) in zip(taken, answers, strict=True):
                        seconds.append(spent)
            earlier, now = (statistics.median(seconds) for seconds in taken)
            ratio = statistics.median(b / a for a, b in zip(*taken, strict=True))
            print(f"| {path.name} | {earlier:.3f} | {now:.3f} | {ratio:.2f} |", flush=True)
    for version in versions:
        version.kill()


if __name__ == "__main__":
    main()
