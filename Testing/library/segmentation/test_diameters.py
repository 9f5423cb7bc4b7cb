"""Longest diameter and the one across it: drawn shapes whose measures are known, against a search over all borders."""

import math

import numpy as np
import pytest

from ClamSegLib.segmentation.diameters import diameters_of


def test_a_lesion_of_one_pixel_has_its_diagonals() -> None:
    found = diameters_of(np.ones((1, 1, 1), bool), (2.0, 2.0))
    assert found is not None
    assert found.longest_mm == pytest.approx(2 * math.sqrt(2))
    assert found.perpendicular_mm == pytest.approx(2 * math.sqrt(2))


def test_nothing_has_no_diameter() -> None:
    assert diameters_of(np.zeros((2, 3, 3), bool), (1.0, 1.0)) is None


@pytest.mark.parametrize("angle_deg", [0, 20, 45, 70, 90, 135])
@pytest.mark.parametrize("pixel_mm", [(0.5, 0.5), (0.8, 0.4)])
def test_an_ellipse_is_measured_along_its_axes_in_its_largest_slice(
    angle_deg: float, pixel_mm: tuple[float, float]
) -> None:
    rows, columns = np.meshgrid(np.arange(120) * pixel_mm[0], np.arange(200) * pixel_mm[1], indexing="ij")
    turn = math.radians(angle_deg)
    y, x = rows - rows.mean(), columns - columns.mean()
    along, aside = x * math.cos(turn) + y * math.sin(turn), -x * math.sin(turn) + y * math.cos(turn)
    part = np.stack([(along / a) ** 2 + (aside / b) ** 2 <= 1 for a, b in ((9, 6), (18, 8), (12, 11))])
    found = diameters_of(part, pixel_mm)
    assert found is not None
    assert found.slice_index == 1
    assert found.longest_mm == pytest.approx(36, abs=1.2)
    assert found.perpendicular_mm == pytest.approx(16, abs=1.2)
    one, across = (np.diff(np.asarray(line), axis=0)[0] * pixel_mm for line in (found.longest, found.perpendicular))
    assert np.linalg.norm(one) == pytest.approx(found.longest_mm)
    assert np.linalg.norm(across) == pytest.approx(found.perpendicular_mm)
    assert abs(one @ across) < 1e-6 * found.longest_mm * found.perpendicular_mm
    off = (math.degrees(math.atan2(one[0], one[1])) - angle_deg + 90) % 180 - 90
    assert abs(off) < 10  # pixels of 0.8 mm at ends 8 mm wide leave the direction so open


@pytest.mark.parametrize("seed", range(6))
def test_no_line_at_a_right_angle_through_the_border_is_longer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    part = np.zeros((1, 14, 14), bool)
    part[0, 6:8, 6:8] = True
    for _ in range(40):
        r, c = np.argwhere(part[0])[rng.integers(part.sum())]
        part[0, min(13, r + 1), c] = part[0, r, max(0, c - 1)] = True
    mm = (1.3, 0.7)
    found = diameters_of(part, mm)
    assert found is not None
    corners = {(r + a, c + b) for r, c in np.argwhere(part[0]) for a in (0, 1) for b in (0, 1)}
    points = np.array(sorted(corners)) * mm
    assert found.longest_mm == pytest.approx(max(math.dist(p, q) for p in points for q in points))
    # Fine samples of the pixels' areas: none of them spans more across the longest diameter.
    along = np.diff((np.asarray(found.longest) + 0.5) * mm, axis=0)[0] / found.longest_mm
    aside = np.array([-along[1], along[0]])
    fine = [(r + a, c + b) for r, c in np.argwhere(part[0]) for a in np.linspace(0, 1, 9) for b in np.linspace(0, 1, 9)]
    u, v = np.array(fine) * mm @ along, np.array(fine) * mm @ aside
    spans = [np.ptp(v[np.abs(u - at) < 0.01]) for at in np.unique(u)]
    assert found.perpendicular_mm >= max(spans) - 0.03
    assert found.perpendicular_mm <= np.ptp(v) + 1e-9


def test_both_lines_end_on_the_border_of_the_lesion() -> None:
    part = np.zeros((3, 20, 30), bool)
    part[1, 4:9, 5:25] = True
    found = diameters_of(part, (1.0, 1.0))
    assert found is not None
    assert found.longest_mm == pytest.approx(math.hypot(5, 20))
    for row, column in (*found.longest, *found.perpendicular):
        on_rows = min(abs(row - 3.5), abs(row - 8.5)) < 1e-6
        on_columns = min(abs(column - 4.5), abs(column - 24.5)) < 1e-6
        assert on_rows or on_columns
