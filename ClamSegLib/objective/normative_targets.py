"""What diseased slices are taught where only their labels are known: soft targets from the normative map.

A pixel of a diseased slice is lesion where it is less like normal tissue than a limit: that of normal slices, a share of
the slice's own peak, or of the volume's, whichever is highest. Parts of a volume that are weak beside its strongest are
dropped, outlines move to the edges of the image, and gaps are closed. Every pixel of a normal slice is taught 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.model.normative_map import REFERENCE_PX

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
_LARGEST_LOG_ODDS = 30.0


@dataclass(frozen=True)
class TargetConfig:
    """How evidence becomes targets; shares were chosen on patients apart from those of the figures (docs/research).

    Attributes:
        normal_share: this share of the pixels of normal slices lies below the limit.
        slice_share: the limit lies no lower than at this share of the slice's peak,
        volume_share: and of the peak of the whole volume.
        peak_share: the peak is the mean of so many of the organ's strongest pixels.
        softness: targets are sigmoid((a - limit) / softness).
        parts_share: parts (in 3-D) whose summed evidence is below this share of the volume's strongest are dropped.
        closing_px: gaps narrower than twice this radius, in pixels of 64, and holes count as lesion,
        filled: with this target.
        edge_weight: weight of the image's own edges; 0: none.
        edge_share: an outline lies where the image has this share of its height inside over its height around.
        edge_softness: of the targets there, as a share of that height.
        edge_reach_px: so far may an outline grow, in pixels of 64.
    """

    normal_share: float = 0.93
    slice_share: float = 0.3
    volume_share: float = 0.2
    peak_share: float = 0.02
    softness: float = 0.5
    parts_share: float = 0.3
    closing_px: float = 3.0
    filled: float = 0.6
    edge_weight: float = 0.5
    edge_share: float = 0.55
    edge_softness: float = 0.15
    edge_reach_px: float = 3.0


def targets_of_volume(
    a: Floats, x: Floats, organ: Bools, diseased: Bools, normal_limit: float, config: TargetConfig = TargetConfig()
) -> Floats:
    """Targets (N,S,S) in 0..1 of the slices of one volume, one above the other; 0 on slices that are not diseased.

    Args:
        a: (N,S,S) normative map, 0 outside the organ.
        x: (N,S,S) the image.
        organ: (N,S,S).
        diseased: (N,), at least one.
        normal_limit: the evidence below which normal tissue lies.
    """
    peak = np.array([_top_mean(one[inside], config.peak_share) for one, inside in zip(a, organ, strict=True)])
    highest = config.volume_share * peak[diseased].max()
    limit = np.maximum(np.maximum(normal_limit, config.slice_share * peak), highest)
    y = _sigmoid((a - limit[:, None, None]) / config.softness) * (organ & diseased[:, None, None])
    y = _strongest_parts(y, np.maximum(a, 0), config.parts_share)
    if config.edge_weight > 0:
        for k in np.flatnonzero((y > 0.5).any(axis=(1, 2))):
            y[k] += config.edge_weight * (_at_edges(y[k], x[k], config) * organ[k] - y[k])
    return _closed(y, organ, config.closing_px * a.shape[-1] / REFERENCE_PX, config.filled)


def _sigmoid(values: NDArray[np.floating]) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -_LARGEST_LOG_ODDS, _LARGEST_LOG_ODDS))), np.float32)


def _top_mean(values: Floats, share: float) -> float:
    """Mean of the strongest `share` of the values (n,); 0 where there is none."""
    if values.size == 0:
        return 0.0
    k = max(1, int(share * values.size))
    return float(np.partition(values, -k)[-k:].mean())


def _strongest_parts(y: Floats, evidence: Floats, share: float) -> Floats:
    """Targets (N,S,S) without the parts whose evidence sums to less than a share of the strongest part's."""
    from scipy import ndimage

    parts, n = ndimage.label(y > 0.5, np.ones((3, 3, 3)))
    if n < 2:
        return y
    sums = np.asarray(ndimage.sum(evidence, parts, np.arange(1, n + 1)))
    weak = np.r_[False, sums < share * sums.max()]
    # Soft rims belong to the part they surround; slices lie some pixels apart.
    nearest = ndimage.distance_transform_edt(
        parts == 0, sampling=(3, 1, 1), return_distances=False, return_indices=True
    )
    return np.asarray(np.where(weak[parts[tuple(nearest)]], 0, y), np.float32)


def _at_edges(y: Floats, x: Floats, config: TargetConfig) -> Floats:
    """Targets (S,S) of a slice with outlines where the image has a share of each part's own height over its ground.

    Every pixel within reach belongs to the part of target > 0.5 that is nearest; parts below four pixels of 64 stay.
    """
    from scipy import ndimage

    unit = y.shape[-1] / REFERENCE_PX
    reach = config.edge_reach_px * unit
    parts, n = ndimage.label(y > 0.5)
    image = ndimage.gaussian_filter(x.astype(np.float32), 0.5 * unit)
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
        found[zone] = _sigmoid((share - config.edge_share) / config.edge_softness)
    return found


def _closed(y: Floats, organ: Bools, radius: float, value: float) -> Floats:
    """At least `value` in gaps and holes of target > 0.5: cysts and dead tissue belong to the lesion."""
    from scipy import ndimage

    r = max(1, round(radius))
    side = np.arange(-r, r + 1)
    disk = side[:, None] ** 2 + side**2 <= r * r + 0.5
    for k in np.flatnonzero((y > 0.5).any(axis=(1, 2))):
        marked = ndimage.binary_closing(np.pad(y[k] > 0.5, r + 1), disk)
        marked = ndimage.binary_fill_holes(marked)[r + 1 : -r - 1, r + 1 : -r - 1] & organ[k]
        y[k] = np.maximum(y[k], value * marked)
    return y
