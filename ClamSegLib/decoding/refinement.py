"""Sharper maps of models made before objective normative: what a pixel's own value tells, and edges that follow the image.

Their training, up to commit e90c40b, drew blunt outlines and measured beside the network the ratio of the histograms of
diseased and normal slices at equal height (the evidence of a single pixel, which no receptive field blurs). A guided filter
(He et al., Guided Image Filtering, 2013) moves the edges of a map onto those of the image.

Where a lesion ends is then decided by its own peak evidence: evidence climbs with how unlike normal tissue a lesion is, so one limit
for all cuts bright lesions too wide and faint ones too narrow. P_L = 0.5 lies at the limit measured on normal slices, or
at a share of the strongest evidence of the slice, or of the volume, whichever is highest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.model.decoding_config import RefinementConfig

Floats = NDArray[np.float32]
BINS = 96
_MOST_CERTAIN = 1 - 1 / 512  # a probability in 1/255 steps says no more
_LARGEST_LOG_RATIO = 60.0
_HALF = np.float32(np.log(2.0))  # so much above its limit P_L is one half
_PEAK = 0.99
_RADIUS_SHARE = 0.047  # of the image's side: 3 pixels of 64
_FLATTEST = 0.1  # variance of the image, in its own units squared, below which the filter averages


def bins_of(values: NDArray[np.floating], low: float, high: float) -> NDArray[np.int64]:
    """The bin 0..BINS-1 of each value, any shape; values beyond the table's ends fall into its last bins."""
    place = (np.asarray(values, np.float32) - low) / (high - low) * BINS
    return np.asarray(np.clip(place, 0, BINS - 1), np.int64)


def follow_image(map_: Floats, image: Floats) -> Floats:
    """The guided filter: in every window the map becomes a linear function of the image, then windows are averaged.

    Args:
        map_: (S,S) any values.
        image: (S,S) network input; its spread sets what counts as an edge.
    """
    from scipy.ndimage import uniform_filter

    side = 2 * max(1, round(_RADIUS_SHARE * image.shape[-1])) + 1

    def mean(values: Floats) -> Floats:
        return np.asarray(uniform_filter(values, side), np.float32)

    guide = np.asarray(image, np.float32)
    guide = np.clip((guide - guide.mean()) / max(float(guide.std()), 1e-6), -2.0, 4.0)
    of_image, of_map = mean(guide), mean(map_)
    slope = (mean(guide * map_) - of_image * of_map) / (mean(guide * guide) - of_image**2 + _FLATTEST)
    return np.asarray(mean(slope) * guide + mean(of_map - slope * of_image), np.float32)


def sharpened(probability: Floats, image: Floats, refinement: RefinementConfig) -> Floats:
    """log ratios (B,K,S,S) of P_L with the evidence of each pixel's value, edges on those of the image.

    Args:
        probability: (B,K,S,S) P_L of the network.
        image: (B,1,S,S) its input.
        refinement: limit and shares are not used here.
    """
    ratio = -np.log1p(-np.minimum(probability, np.float32(_MOST_CERTAIN)))
    table = np.asarray(refinement.value_log_ratio, np.float32)
    for n, values in enumerate(image[:, 0]):
        place = bins_of(values, refinement.low, refinement.high)
        for k in range(ratio.shape[1]):
            ratio[n, k] = follow_image(ratio[n, k] + table[k][place], values)
    return np.asarray(ratio, np.float32)


def peaks(ratio: NDArray[np.floating], organ: NDArray[np.bool_]) -> Floats:
    """The strongest evidence (B,K) of slices: what a hundredth of the organ's pixels exceed; 0 without organ.

    Args:
        ratio: (B,K,S,S) `sharpened`.
        organ: (B,S,S).
    """
    found = np.zeros(ratio.shape[:2], np.float32)
    for n, inside in enumerate(organ):
        if inside.any():
            found[n] = np.quantile(ratio[n][:, inside].astype(np.float32), _PEAK, axis=1)
    return found


def to_probability(
    ratio: NDArray[np.floating], peak: Floats, refinement: RefinementConfig, volume_peak: Floats | None = None
) -> Floats:
    """P_L (B,K,S,S) of sharpened log ratios.

    Args:
        ratio: (B,K,S,S) `sharpened`.
        peak: (B,K) `peaks` of the slices.
        volume_peak: (K,) the largest of all slices of the volume; None where only single slices are known.
    """
    limit = np.maximum(np.asarray(refinement.limit, np.float32), refinement.peak_share * peak - _HALF)
    if volume_peak is not None:
        limit = np.maximum(limit, refinement.volume_peak_share * volume_peak - _HALF)
    above = np.clip(ratio.astype(np.float32) - limit[:, :, None, None], 0.0, _LARGEST_LOG_RATIO)
    return np.asarray(-np.expm1(-above), np.float32)


def refined(probability: Floats, image: Floats, organ: NDArray[np.bool_], refinement: RefinementConfig) -> Floats:
    """P_L (B,K,S,S) of single slices, sharper; arguments as for `sharpened` and `peaks`."""
    ratio = sharpened(probability, image, refinement)
    return to_probability(ratio, peaks(ratio, organ), refinement)
