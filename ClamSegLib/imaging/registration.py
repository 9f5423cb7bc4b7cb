"""How a patient lay in an earlier scan: a rigid alignment of two scans by their values, without landmarks.

The earlier scan is turned and moved, never stretched, until both agree in mutual information; sizes in mm stay what they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ClamSegLib.imaging.volume import Volume, canonical, to_sitk
from ClamSegLib.system.errors import InputError

if TYPE_CHECKING:
    import SimpleITK

_GRID_MM = 2.5  # both scans are looked at with voxels of about this size
_BINS, _SAMPLED, _STEPS = 40, 0.2, 200
_LEAST_COMMON = 0.25  # of the smaller scan that must lie in the other one


@dataclass(frozen=True)
class Alignment:
    """Where points of an earlier scan lie in the present one.

    Attributes:
        matrix: (4, 4): LPS mm of the earlier scan to LPS mm of the present one.
        turned_deg: by how much it turns.
        moved_mm: by how much it moves the middle of the earlier scan.
        likeness: correlation of the values of both scans in the common region, -1..1.
        common: share of the smaller scan that lies in the other one.
    """

    matrix: NDArray[np.float64]
    turned_deg: float
    moved_mm: float
    likeness: float
    common: float

    def to_now(self, points_lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (n, 3) of the earlier scan in the present one."""
        return points_lps_mm @ self.matrix[:3, :3].T + self.matrix[:3, 3]


def align(before: Volume, now: Volume) -> Alignment:
    """Aligns an earlier scan with the present one; the same scans give the same answer.

    Raises:
        InputError: a scan without known millimetres or of few slices, or too little that both show.
    """
    import SimpleITK as sitk

    for words, volume in (("earlier", before), ("present", now)):
        if volume.is_picture or not volume.spacing_known or volume.array.shape[0] < 3:
            raise InputError(
                f"The {words} scan must be a volume of three slices or more with known spacing to be compared."
            )
    fixed, moving = _coarse(now), _coarse(before)
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfWorkUnits(1)  # with more, the same scans give another answer each time
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(_SAMPLED, seed=1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 1e-3, _STEPS, 0.7, 1e-8)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([3.0, 1.0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    start = min(_starts(fixed, moving), key=lambda each: _worth(method, fixed, moving, each))
    method.SetInitialTransform(start, inPlace=False)
    try:
        found = method.Execute(fixed, moving)
    except RuntimeError as error:
        raise InputError(
            "The two scans could not be aligned: too little is in both. Compare scans of the same part."
        ) from error
    return _alignment(found, fixed, moving)


def _coarse(volume: Volume) -> SimpleITK.Image:
    """The scan with values between its first and last percent, in float, on about the grid of the registration."""
    import SimpleITK as sitk

    image = sitk.Cast(to_sitk(canonical(volume)[0].array, canonical(volume)[0]), sitk.sitkFloat32)
    factors = [max(1, round(_GRID_MM / mm)) for mm in image.GetSpacing()]
    image = sitk.BinShrink(image, factors) if max(factors) > 1 else image
    low, high = np.percentile(sitk.GetArrayViewFromImage(image), (1, 99))
    return sitk.Clamp(image, lowerBound=float(low), upperBound=float(max(high, low + 1e-3)))


def _starts(fixed: Any, moving: Any) -> list[Any]:
    """In the frame of the scanner, middle on middle, and weight on weight."""
    import SimpleITK as sitk

    middle = [fixed.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in fixed.GetSize()])]
    as_is = sitk.Euler3DTransform()
    as_is.SetCenter(middle[0])
    made = [as_is]
    for how in (sitk.CenteredTransformInitializerFilter.GEOMETRY, sitk.CenteredTransformInitializerFilter.MOMENTS):
        each = sitk.CenteredTransformInitializer(fixed, moving, sitk.Euler3DTransform(), how)
        made.append(sitk.Euler3DTransform(each))
    return made


def _worth(method: Any, fixed: Any, moving: Any, start: Any) -> float:
    """The measure at a start, lower is better; infinite where the scans do not meet."""
    method.SetInitialTransform(start, inPlace=False)
    try:
        return float(method.MetricEvaluate(fixed, moving))
    except RuntimeError:
        return float("inf")


def _alignment(found: Any, fixed: Any, moving: Any) -> Alignment:
    import SimpleITK as sitk

    # SimpleITK's transform leads from the present scan to the earlier one.
    corners = np.vstack([np.zeros(3), 100 * np.eye(3)])
    moved = np.array([found.TransformPoint(point.tolist()) for point in corners])
    back = np.eye(4)
    back[:3, :3], back[:3, 3] = (moved[1:] - moved[0]).T / 100, moved[0]
    matrix = np.linalg.inv(back).astype(np.float64)
    turned = np.degrees(np.arccos(np.clip((np.trace(matrix[:3, :3]) - 1) / 2, -1, 1)))
    middle = np.array(moving.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in moving.GetSize()]))
    shown = sitk.Resample(sitk.Cast(moving * 0 + 1, sitk.sitkUInt8), fixed, found, sitk.sitkNearestNeighbor, 0)
    common = sitk.GetArrayFromImage(shown) > 0
    smaller = min(np.prod(image.GetSize()) * np.prod(image.GetSpacing()) for image in (fixed, moving))
    share = float(common.sum() * np.prod(fixed.GetSpacing()) / smaller)
    if share < _LEAST_COMMON:
        raise InputError(
            f"Only {share:.0%} of the smaller scan lies in the other one after they were aligned; compare scans of the same part."
        )
    values = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, found, sitk.sitkLinear, 0.0))[common].astype(float)
    others = sitk.GetArrayFromImage(fixed)[common].astype(float)
    varied = min(float(values.std()), float(others.std())) > 0
    likeness = float(np.corrcoef(values, others)[0, 1]) if varied else 0.0
    moves = float(np.linalg.norm(matrix[:3, :3] @ middle + matrix[:3, 3] - middle))
    return Alignment(matrix, float(turned), moves, likeness, min(share, 1.0))
