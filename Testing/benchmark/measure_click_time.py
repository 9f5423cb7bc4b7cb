"""Processor and wall time of clicks in a large drawn scan.

    python Testing/benchmark/measure_click_time.py --shape 300 512 512 --clicks 40 --seed 0

Bright balls of 3 to 15 mm in noise inside an ellipsoid; every second one hangs on a plate of its own value, so that the region
runs into the side of its box and is cut at its necks: the slowest case. Measured: what is prepared once a scan, each first
click, a second one beside the outline that adds, and a third one inside it that takes away; one thread. `outlines` is a checksum
of all of them: the same number, the same outlines.
"""

from __future__ import annotations

import argparse
import json
import time
import zlib

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ClamSegLib.outlining.outline import Click, Outline, outline
from ClamSegLib.outlining.tissue import tissue_of

MM = (1.0, 0.7, 0.7)


def scan(shape: tuple[int, ...], places: list[tuple[int, ...]], rng: np.random.Generator) -> np.ndarray:
    """int16: noise around 100, lesions of 180."""
    block = rng.normal(100, 8, [min(64, n) for n in shape]).astype(np.int16)
    tiles = [-(-n // b) for n, b in zip(shape, block.shape, strict=True)]
    array = np.tile(block, tiles)[tuple(slice(0, n) for n in shape)].copy()
    for number, at in enumerate(places):
        reach = [int(20 / mm) for mm in MM]
        box = tuple(slice(max(0, a - r), a + r) for a, r in zip(at, reach, strict=True))
        grid = np.ogrid[box]
        away = sum(((g - a) * mm) ** 2 for g, a, mm in zip(grid, at, MM, strict=True))
        array[box][np.sqrt(away) <= rng.uniform(3, 15)] += 80
        if number % 2:  # a wall with a stalk
            array[at[0] - 1 : at[0] + 2, at[1] - 1 : at[1] + 2, at[2] : at[2] + 60] += 80
            array[max(0, at[0] - 60) : at[0] + 60, max(0, at[1] - 80) : at[1] + 80, at[2] + 30 : at[2] + 34] += 80
    return array


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=3, default=(300, 512, 512), help="slices, rows, columns")
    parser.add_argument("--clicks", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    rng, shape = np.random.default_rng(arguments.seed), tuple(arguments.shape)
    places = [tuple(int(rng.uniform(0.3, 0.7) * n) for n in shape) for _ in range(arguments.clicks)]
    array = scan(shape, places, rng)
    axes = np.ogrid[tuple(slice(-1, 1, n * 1j) for n in shape)]
    organ = sum(axis**2 for axis in axes) <= 1
    probability = np.where(array > 150, np.uint8(200), np.uint8(3))
    start = time.process_time()
    tissue = tissue_of(array, MM, organ, probability)
    once = time.process_time() - start
    taken: dict[str, list[float]] = {}
    checksum = 0
    for place in places:
        clicks, found = [Click(place)], None
        for name in ("first", "second, adds", "third, takes away"):
            if found is not None:
                adds = len(clicks) == 1
                clicks.append(Click(beside(found, organ, rng) if adds else within(found, rng), adds))
            start, begun = time.process_time(), time.perf_counter()
            found = outline(tissue, clicks)
            taken.setdefault(f"{name}, processor", []).append(time.process_time() - start)
            taken.setdefault(f"{name}, wall", []).append(time.perf_counter() - begun)
            checksum = zlib.crc32(repr(found.box).encode() + found.mask.tobytes(), checksum)
    told: dict[str, object] = {"processor ms, once a scan": round(1000 * once), "outlines": f"{checksum:08x}"}
    told["ms a click: median, 90 %, most"] = {
        name: [round(1000 * float(q)) for q in np.quantile(times, (0.5, 0.9, 1))] for name, times in taken.items()
    }
    print(json.dumps(told, indent=1))


def beside(found: Outline, organ: np.ndarray, rng: np.random.Generator) -> tuple[int, int, int]:
    """A voxel of the organ up to 4 voxels beside an outline."""
    mask = np.pad(found.mask, 4)
    near = ndimage.binary_dilation(mask, iterations=4) & ~mask
    places = np.argwhere(near) + [side.start - 4 for side in found.box]
    inside = [tuple(map(int, at)) for at in places if (at >= 0).all() and (at < organ.shape).all() and organ[tuple(at)]]
    k, j, i = inside[rng.integers(len(inside))]
    return k, j, i


def within(found: Outline, rng: np.random.Generator) -> tuple[int, int, int]:
    """A voxel of an outline."""
    places = np.argwhere(found.mask) + [side.start for side in found.box]
    k, j, i = map(int, places[rng.integers(len(places))])
    return k, j, i


if __name__ == "__main__":
    main()
