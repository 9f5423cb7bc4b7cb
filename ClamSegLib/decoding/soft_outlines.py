"""Soft outlines 0..1 of what differs from normal tissue: taught to networks, and asked again when a volume is decoded.

A pixel is lesion where it is less like normal tissue than a limit: that of normal slices, a share of the slice's own peak, or
of the volume's, whichever is highest. Outlines move to the edges of the image, and gaps are closed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.model.decoding_config import NormativeConfig
from ClamSegLib.model.normative_map import REFERENCE_PX

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
_LARGEST_LOG_ODDS = 30.0


@dataclass(frozen=True)
class OutlineRule:
    """How evidence becomes soft outlines; shares were chosen on patients apart from those of the figures (docs/research).

    Attributes:
        normal_share: this share of the pixels of normal slices lies below the limit.
        slice_share: the limit lies no lower than at this share of the slice's peak,
        volume_share: and of the peak of the whole volume.
        peak_share: the peak is the mean of so many of the organ's strongest pixels.
        softness: outlines are sigmoid((a - limit) / softness).
        closing_px: gaps narrower than twice this radius, in pixels of 64, and holes count as lesion,
        filled: with this value.
        edge_weight: weight of the image's own edges; 0: none.
        edge_share: an outline lies where the image has this share of its height inside over its height around.
        edge_softness: of the outlines there, as a share of that height.
        edge_reach_px: so far may an outline grow, in pixels of 64.
    """

    normal_share: float = 0.93
    slice_share: float = 0.3
    volume_share: float = 0.2
    peak_share: float = 0.02
    softness: float = 0.5
    closing_px: float = 3.0
    filled: float = 0.6
    edge_weight: float = 0.5
    edge_share: float = 0.55
    edge_softness: float = 0.15
    edge_reach_px: float = 3.0

    @staticmethod
    def of(normative: NormativeConfig) -> OutlineRule:
        """The rule with the shares of a model."""
        return OutlineRule(normative.normal_share, normative.slice_share, normative.volume_share, normative.peak_share)


def limits_of_slices(
    a: NDArray[np.floating], organ: Bools, diseased: Bools, normal_limit: float, rule: OutlineRule
) -> Floats:
    """The evidence (N,) above which a pixel of each slice of a volume counts as lesion.

    Args:
        a: (N,S,S) normative map.
        organ: (N,S,S).
        diseased: (N,), at least one; their peaks are those of the volume.
        normal_limit: the evidence below which normal tissue lies.
    """
    peak = np.array([top_mean(one[inside], rule.peak_share) for one, inside in zip(a, organ, strict=True)])
    highest = rule.volume_share * peak[diseased].max()
    return np.asarray(np.maximum(np.maximum(normal_limit, rule.slice_share * peak), highest), np.float32)


def above(a: NDArray[np.floating], limit: float, rule: OutlineRule) -> Floats:
    """Soft outlines of evidence (any shape): one half at the limit."""
    return sigmoid((a.astype(np.float32) - np.float32(limit)) / np.float32(rule.softness))


def sigmoid(values: NDArray[np.floating]) -> Floats:
    """1 / (1 + exp(-values)), any shape."""
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -_LARGEST_LOG_ODDS, _LARGEST_LOG_ODDS))), np.float32)


def top_mean(values: NDArray[np.floating], share: float) -> float:
    """Mean of the strongest `share` of the values (n,); 0 where there is none."""
    if values.size == 0:
        return 0.0
    k = max(1, int(share * values.size))
    return float(np.partition(values, -k)[-k:].mean(dtype=np.float32))


def at_edges(y: Floats, x: Floats, organ: Bools, rule: OutlineRule) -> Floats:
    """Outlines (S,S) of a slice that have moved towards the edges of the image x (S,S)."""
    if rule.edge_weight == 0:
        return y
    rows, columns = _around(y > 0, rule.edge_reach_px + 6)
    own, image = y[rows, columns], x[rows, columns].astype(np.float32)
    moved = y.copy()
    found = _where_the_image_ends(own, image, y.shape[-1] / REFERENCE_PX, rule) * organ[rows, columns]
    moved[rows, columns] += np.float32(rule.edge_weight) * (found - own)
    return moved


def _around(marked: Bools, reach_px: float) -> tuple[slice, slice]:
    """The rows and columns of a slice (S,S) that are marked, and so many pixels of 64 on."""
    reach = int(np.ceil(reach_px * marked.shape[-1] / REFERENCE_PX))
    found = [np.flatnonzero(marked.any(axis=axis)) for axis in (1, 0)]
    rows, columns = (slice(max(0, int(f[0]) - reach), int(f[-1]) + reach + 1) if len(f) else slice(0) for f in found)
    return rows, columns


def _where_the_image_ends(y: Floats, x: Floats, unit: float, rule: OutlineRule) -> Floats:
    """Outlines where the image has a share of each part's own height over its ground.

    Every pixel within reach belongs to the part of y > 0.5 that is nearest; parts below four pixels of 64 stay.

    Args:
        unit: side of a pixel of 64 in pixels.
    """
    from scipy import ndimage

    reach = rule.edge_reach_px * unit
    parts, n = ndimage.label(y > 0.5)
    image = ndimage.gaussian_filter(x, 0.5 * unit)
    distance, place = ndimage.distance_transform_edt(parts == 0, return_indices=True)
    owner, found = parts[tuple(place)], np.zeros_like(y)
    for part in range(1, n + 1):
        own, inside = owner == part, parts == part
        if inside.sum() < 4 * unit**2:
            found[own] = y[own]
            continue
        around = own & (distance > reach) & (distance <= reach + 3 * unit) & (y < 0.2)
        height = float(np.median(image[inside]))
        ground = float(np.median(image[around])) if around.sum() > 5 * unit**2 else 0.0
        zone = own & (distance <= reach)
        share = (image[zone] - ground) / max(height - ground, 0.5)
        found[zone] = sigmoid((share - rule.edge_share) / rule.edge_softness)
    return found


def closed(y: Floats, organ: Bools, rule: OutlineRule) -> Floats:
    """Outlines (S,S) of at least `filled` in gaps and holes: cysts and dead tissue belong to the lesion."""
    from scipy import ndimage

    if not (y > 0.5).any():
        return y
    r = max(1, round(rule.closing_px * y.shape[-1] / REFERENCE_PX))
    side = np.arange(-r, r + 1)
    disk = side[:, None] ** 2 + side**2 <= r * r + 0.5
    rows, columns = _around(y > 0.5, 0)
    marked = ndimage.binary_closing(np.pad(y[rows, columns] > 0.5, r + 1), disk)
    marked = ndimage.binary_fill_holes(marked)[r + 1 : -r - 1, r + 1 : -r - 1] & organ[rows, columns]
    filled = y.copy()
    filled[rows, columns] = np.maximum(filled[rows, columns], np.float32(rule.filled) * marked)
    return filled
