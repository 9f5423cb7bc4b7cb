"""NRRD written slice by slice: neither a copy of the scan nor the compressed file is ever in memory as a whole.

By hand, because ITK cannot write a list axis beside three spatial ones.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.imaging.volume import Volume
from ClamSegLib.system.words import in_nrrd

_GZIP = 31  # zlib's word for a gzip header, without a date


def write_nrrd(
    path: Path,
    slices: Iterable[NDArray[np.uint8]],
    volume: Volume,
    keys: Mapping[str, str] | None = None,
    *,
    layers: int = 1,
) -> None:
    """Writes uint8 values on the grid of `volume`, compressed.

    Args:
        slices: (row, column), or (row, column, layer) where there are several layers, from the first slice on.
        keys: of the header, with their values.
        layers: of every voxel; one has no axis of its own.

    Raises:
        OSError: not writable, disk full.
        ValueError: other slices than the grid has.
    """
    direction = np.asarray(volume.direction, float).reshape(3, 3) * np.asarray(volume.spacing_mm)
    columns = [f"({','.join(repr(float(v)) for v in direction[:, k])})" for k in range(3)]
    n, *plane = volume.array.shape
    plane = plane if layers == 1 else [*plane, layers]
    sizes = [*plane[::-1], n]
    header = [
        "NRRD0004",
        "# Complete NRRD file format specification at:",
        "# http://teem.sourceforge.net/nrrd/format.html",
        "type: unsigned char",
        f"dimension: {len(sizes)}",
        "space: left-posterior-superior",
        "sizes: " + " ".join(map(str, sizes)),
        "space directions: " + " ".join(columns if layers == 1 else ["none", *columns]),
        "kinds: " + ("" if layers == 1 else "list ") + "domain domain domain",
        "encoding: gzip",
        f"space origin: ({','.join(repr(float(v)) for v in volume.origin)})",
        *(f"{key}:={in_nrrd(value)}" for key, value in sorted((keys or {}).items())),
    ]
    compressor, written = zlib.compressobj(level=1, wbits=_GZIP), 0
    with path.open("wb") as file:
        file.write(("\n".join(header) + "\n\n").encode("utf-8"))
        for values in slices:
            if values.shape != tuple(plane) or values.dtype != np.uint8:
                raise ValueError(f"a slice {values.shape} of {values.dtype} does not fit {tuple(plane)} of uint8")
            file.write(compressor.compress(np.ascontiguousarray(values)))
            written += 1
        if written != n:
            raise ValueError(f"{written} slices were given for a grid of {n}")
        file.write(compressor.flush())
