"""A network's log odds and the normative map of the whole volume, weighed together.

    f = h + weight * log((t + 0.02) / (1 - t + 0.02))    P_L = sigmoid(scale * (f - shift))

h are the network's log odds, averaged over neighbouring slices where the model does that. t are the soft outlines of what
differs from normal tissue, of all slices as if each were diseased. The network sees one slice; the outlines know the peak
of slice and volume, holes, and the edges of the image. Which of their parts (in 3-D) are lesion, the network says: parts with little
evidence by it beside the strongest part are dropped. No image label and no lesion mask is needed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.decoding.slice_smoothing import OUTSIDE
from ClamSegLib.decoding.soft_outlines import OutlineRule, above, at_edges, closed, limits_of_slices, sigmoid
from ClamSegLib.model.decoding_config import NormativeConfig, VolumeEvidenceConfig
from ClamSegLib.model.normative_map import REFERENCE_PX

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
_SOFTENING = np.float32(0.02)  # no outline is surer than this
_HALF_EVIDENCE = np.float32(-1.0)  # log odds of the network that count half
_STEEPNESS = np.float32(2.0)
_RIM_PX = 3  # so far from a part reach its soft rims, in pixels of 64


def weigh_together(
    own: NDArray[np.float16],
    a: NDArray[np.floating],
    organ: Bools,
    image: Callable[[int], Floats],
    normative: NormativeConfig,
    settings: VolumeEvidenceConfig,
) -> None:
    """Turns h of a volume into f, in place.

    Args:
        own: (N,K,S,S) h of all slices in order, OUTSIDE outside the organ.
        a: (N,S,S) normative map.
        organ: (N,S,S).
        image: gives x (S,S) of a slice by its number; asked for slices with a part only.
        normative: with the evidence below which normal tissue lies.
    """
    rule = OutlineRule.of(normative)
    limits = limits_of_slices(a, organ, np.ones(len(a), bool), normative.normal_limit, rule)
    for condition in range(own.shape[1]):
        kept = _supported_parts(own[:, condition], a, organ, limits, settings.parts_share)
        for k, h in enumerate(own[:, condition]):
            told = _outlines_of_slice(kept, k, a[k], organ[k], limits[k], image, rule)
            if told is None:
                h[organ[k]] += np.float16(settings.weight * _log_odds(np.zeros(1, np.float32))[0])
            else:
                h[organ[k]] += (np.float32(settings.weight) * _log_odds(told[organ[k]])).astype(np.float16)


def _log_odds(told: Floats) -> Floats:
    return np.asarray(np.log((told + _SOFTENING) / (1 - told + _SOFTENING)), np.float32)


def _supported_parts(
    h: NDArray[np.float16], a: NDArray[np.floating], organ: Bools, limits: Floats, share: float
) -> NDArray[np.int8]:
    """(N,S,S): 1 in parts that the network supports, -1 in other parts, 0 in no part."""
    from scipy import ndimage

    marked = (a > limits[:, None, None]) & organ
    parts, n = ndimage.label(marked, np.ones((3, 3, 3)))
    if n == 0:
        return np.zeros(parts.shape, np.int8)
    sums = np.zeros(n + 1)
    for k in np.flatnonzero(marked.any(axis=(1, 2))):
        inside = marked[k]
        evidence = sigmoid(_STEEPNESS * (h[k][inside].astype(np.float32) - _HALF_EVIDENCE))
        sums += np.bincount(parts[k][inside], evidence, n + 1)
    kept = np.where(sums >= share * sums[1:].max(), 1, -1).astype(np.int8)
    kept[0] = 0
    return np.asarray(kept[parts], np.int8)


def _outlines_of_slice(
    kept: NDArray[np.int8],
    k: int,
    a: NDArray[np.floating],
    organ: Bools,
    limit: np.float32,
    image: Callable[[int], Floats],
    rule: OutlineRule,
) -> Floats | None:
    """t (S,S) of slice k: supported parts with their rims, at the image's edges and without gaps; else 0. None: all 0."""
    from scipy.ndimage import maximum_filter

    near = (kept[max(0, k - 1) : k + 2] > 0).any(axis=0)
    if not near.any():
        return None
    reach = 2 * round(_RIM_PX * a.shape[-1] / REFERENCE_PX) + 1
    y = np.where(maximum_filter(near, reach) & (kept[k] >= 0) & organ, above(a, float(limit), rule), 0)
    y = y.astype(np.float32)
    if not (kept[k] > 0).any():
        return y
    return closed(at_edges(y, image(k), organ, rule), organ, rule)


def raw_log_odds(
    calibrated: NDArray[np.float32], organ: Bools, calibration: tuple[tuple[float, float], ...]
) -> NDArray[np.float16]:
    """Log odds (B,K,S,S) before calibration, OUTSIDE outside the organ (B,S,S).

    Args:
        calibrated: (B,K,S,S) scale * (log odds - shift).
    """
    shift, scale = (np.array(values, np.float32)[:, None, None] for values in zip(*calibration, strict=True))
    return np.where(organ[:, None], calibrated / scale + shift, np.float32(OUTSIDE)).astype(np.float16)


def probability_of(f: NDArray[np.float16], settings: VolumeEvidenceConfig) -> Floats:
    """P_L (B,K,S,S) of f."""
    shift, scale = (np.array(v, np.float32)[:, None, None] for v in zip(*settings.calibration, strict=True))
    return sigmoid(scale * (f.astype(np.float32) - shift))
