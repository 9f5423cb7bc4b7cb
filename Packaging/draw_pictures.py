"""Draws the icon of the extension and the thumbnails of the samples: python Packaging/draw_pictures.py

The icon is a clam: two shells, opened around a lesion. It is drawn eight times too large and reduced, so that it is
smooth, in two blues and a vermilion that colour-blind readers tell apart. A thumbnail is the middle slice of a sample.
Needs Pillow, which matplotlib brings along.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

REPOSITORY = Path(__file__).resolve().parent.parent
SIZE = 128
OVER = 8
UPPER, LOWER, RIB, LESION = (0, 114, 178), (86, 180, 233), (255, 255, 255), (213, 94, 0)
HINGE = (0.05, 0.5)
LENGTH, HEIGHT = 0.92, 0.385
OPENING_DEG = 13.0
# Where ribs meet the edge, as parts of the way from the hinge (0) around the back to the mouth (1).
RIBS = (0.42, 0.6, 0.78)
WINDOWS = {"CT": (-1200.0, 250.0)}
THUMBNAIL = (192, 128)


def edge(part: float) -> tuple[float, float]:
    """The shell's edge, half a flat ellipse scalloped between the ribs: along the mouth, and away from it."""
    turn = math.pi * part
    ends = (0.0, *RIBS, 1.0)
    before = max(end for end in ends[:-1] if end <= part)
    after = min(end for end in ends[1:] if end > before)
    scallop = 0.95 + 0.05 * math.sin(math.pi * (part - before) / (after - before))
    if before == 0.0 and part < after / 2:
        scallop = 1.0  # smooth at the hinge
    return LENGTH / 2 * (1 - math.cos(turn)) * (0.6 * scallop + 0.4), HEIGHT * math.sin(turn) ** 0.9 * scallop


def point(along: float, away: float, up: int) -> tuple[float, float]:
    """A position on the enlarged drawing, for the shell above (up = 1) or below (up = -1)."""
    turned = math.radians(OPENING_DEG)
    x = HINGE[0] + along * math.cos(turned) - away * math.sin(turned)
    y = HINGE[1] - up * (along * math.sin(turned) + away * math.cos(turned))
    return x * SIZE * OVER, y * SIZE * OVER


def icon() -> Image.Image:
    """The icon, RGBA, 128 x 128."""
    drawing = Image.new("RGBA", (SIZE * OVER, SIZE * OVER), (0, 0, 0, 0))
    pen = ImageDraw.Draw(drawing)
    for up, colour in ((1, UPPER), (-1, LOWER)):
        pen.polygon([point(*edge(part), up) for part in np.linspace(0, 1, 361)], fill=colour)
        for rib in RIBS:
            along, away = edge(rib)
            start, end = point(0.32 * along, 0.32 * away, up), point(0.94 * along, 0.94 * away, up)
            pen.line([start, end], fill=RIB, width=round(3 * OVER))
    x, y, r = 0.68 * SIZE * OVER, 0.5 * SIZE * OVER, 0.125 * SIZE * OVER
    ring = 0.03 * SIZE * OVER
    pen.ellipse([x - r - ring, y - r - ring, x + r + ring, y + r + ring], fill=RIB)
    pen.ellipse([x - r, y - r, x + r, y + r], fill=LESION)
    return drawing.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def thumbnail(path: Path, modality: str) -> Image.Image:
    """The middle slice of a sample on black."""
    sys.path.insert(0, str(REPOSITORY))
    from ClamSegLib.imaging.read_write import read_volume
    from ClamSegLib.imaging.volume import canonical

    volume, _ = canonical(read_volume(path))
    plane = np.asarray(volume.array[volume.array.shape[0] // 2], float)
    low, high = WINDOWS.get(modality, (float(plane.min()), float(np.percentile(plane, 99.5))))
    grey = Image.fromarray((np.clip((plane - low) / (high - low), 0, 1) * 255).astype(np.uint8))
    grey.thumbnail(THUMBNAIL, Image.Resampling.LANCZOS)
    ground = Image.new("L", THUMBNAIL, 0)
    ground.paste(grey, ((THUMBNAIL[0] - grey.width) // 2, (THUMBNAIL[1] - grey.height) // 2))
    return ground


def main() -> None:
    """Writes all of them."""
    icons = REPOSITORY / "ClamSeg" / "Resources" / "Icons"
    icons.mkdir(parents=True, exist_ok=True)
    for path in (REPOSITORY / "ClamSeg.png", icons / "ClamSeg.png"):
        icon().save(path, optimize=True)
    samples = REPOSITORY / "Resources" / "Samples"
    for sample in json.loads((samples / "samples.json").read_text(encoding="utf-8")):
        thumbnail(samples / sample["file"], sample["modality"]).save(icons / f"{sample['name']}.png", optimize=True)


if __name__ == "__main__":
    main()
