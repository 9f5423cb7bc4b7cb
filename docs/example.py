"""ClamSeg from Python: a scan and an array to lesions, and a model of one's own. Run: python docs/example.py FOLDER

For research, not for diagnosis.
"""

import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk

import ClamSegLib as cs
from ClamSegLib.system.paths import resources_folder


def segment_a_scan(output: Path) -> None:
    """A file goes in; arrays in the frame of that file come out."""
    result = cs.segment(resources_folder() / "Samples" / "ct_chest.nrrd", "ct-lung-lesion", level=1)
    print(result.summary)
    print("organ", result.organ.shape, "lesions", result.lesions.shape, "probability", result.probability.max())
    for lesion in result.table[:3]:
        print(f"  lesion {lesion.number}: {lesion.volume_ml} ml at {lesion.centre_lps_mm} mm (LPS)")
    for warning in result.warnings:
        print("  please note:", warning)
    print("written to", result.save(output / "case", overwrite=True))


def train_a_model(output: Path) -> Path:
    """Two folders of images go in; nobody has drawn a lesion. Drawn discs with and without a spot stand for scans."""
    rng = np.random.default_rng(0)
    row, column = np.mgrid[:48, :48]
    for number in range(24):
        image = 20 + 80 * (np.hypot(row - 24, column - 24) < 19) + rng.normal(0, 6, (48, 48))
        diseased = number % 2 == 1
        if diseased:
            image[np.hypot(row - rng.uniform(16, 32), column - rng.uniform(16, 32)) < 4] += 90
        folder = output / "data" / ("diseased" if diseased else "normal") / f"patient{number:02d}"
        folder.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(sitk.GetImageFromArray(image.clip(0, 255).astype(np.uint8)), str(folder / "slice.png"))
    # So few steps of so small a network show the call, not the quality.
    return cs.train(
        output / "data", output / "model", modality="MR", organ="whole", features=(4, 8, 8), image_size=32,
        steps=20, batch_pairs=4, device="cpu", overwrite=True,
    )  # fmt: skip


def segment_an_array(model: Path) -> None:
    """An array has no file that tells its spacing: give it, or lesions are counted in pixels."""
    array = np.random.default_rng(1).integers(0, 200, (3, 48, 48)).astype(np.int16)
    result = cs.segment(array, model, spacing_mm=(1.0, 1.0, 3.0), modality="MR")
    print(result.summary, result.probability.shape)


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "clamseg-example")
    segment_a_scan(target)
    segment_an_array(train_a_model(target))
