"""What diseased slices are taught where only their labels are known: soft targets from the normative map.

Targets are the soft outlines of what differs from normal tissue (`decoding/soft_outlines.py`). Parts of a volume that are weak
beside its strongest are dropped. Every pixel of a normal slice is taught 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.decoding.soft_outlines import OutlineRule, above, at_edges, closed, limits_of_slices

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
# Parts (in 3-D) whose summed evidence is below this share of the volume's strongest are dropped.
PARTS_SHARE = 0.3


def targets_of_volume(
    a: Floats, x: Floats, organ: Bools, diseased: Bools, normal_limit: float, rule: OutlineRule
) -> Floats:
    """Targets (N,S,S) in 0..1 of the slices of one volume, one above the other; 0 on slices that are not diseased.

    Args:
        a: (N,S,S) normative map, 0 outside the organ.
        x: (N,S,S) the image.
        organ: (N,S,S).
        diseased: (N,), at least one.
        normal_limit: the evidence below which normal tissue lies.
    """
    limits = limits_of_slices(a, organ, diseased, normal_limit, rule)
    y = np.empty(a.shape, np.float32)
    for k, limit in enumerate(limits):
        y[k] = above(a[k], limit, rule) * (organ[k] & diseased[k])
    y = _strongest_parts(y, np.maximum(a, 0), PARTS_SHARE)
    for own, image, inside in zip(y, x, organ, strict=True):
        if (own > 0.5).any():
            own[:] = closed(at_edges(own, image, inside, rule), inside, rule)
    return y


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
