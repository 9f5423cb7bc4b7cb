"""The geometry certificate: the result lies where the volume lies, or it is not shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ClamSegWorkflow.scene.geometry import image_matrix, matrix_of, probe_points, record_geometry, world_transform
from ClamSegWorkflow.scene.segments import binary_labelmap, reference_grid
from ClamSegWorkflow.words import tr as _

POSITION_TOLERANCE_MM = 0.001


@dataclass(frozen=True)
class Certificate:
    """How far the segments lie from where the volume's voxels are.

    Attributes:
        largest_error_mm: over the eight corners and the centre, in world coordinates, transforms included.
    """

    largest_error_mm: float

    @property
    def holds(self) -> bool:
        """Whether the result may be shown."""
        return self.largest_error_mm <= POSITION_TOLERANCE_MM

    def __str__(self) -> str:
        if self.holds:
            return _("aligned, {largest_error_mm:.3f} mm").format(largest_error_mm=self.largest_error_mm)
        return _("NOT aligned, {largest_error_mm:.3f} mm off").format(largest_error_mm=self.largest_error_mm)


def certify(segmentation: Any, volume: Any) -> Certificate:
    """Compares voxel positions of every segment and of the reference grid with the volume's, in the world."""
    points = probe_points(record_geometry(volume).shape)
    own = points @ matrix_of(volume).T
    to_world = world_transform(volume)
    expected = np.array([to_world.TransformPoint(*point[:3]) for point in own])
    of_segmentation = world_transform(segmentation)
    largest = 0.0
    for matrix in _grids(segmentation):
        placed = points @ matrix.T
        found = np.array([of_segmentation.TransformPoint(*point[:3]) for point in placed])
        largest = max(largest, float(np.linalg.norm(found - expected, axis=1).max()))
    return Certificate(largest)


def _grids(segmentation: Any) -> list[np.ndarray]:
    """Image-to-RAS matrices of the reference geometry and of every segment's labelmap."""
    reference = reference_grid(segmentation)
    images = [] if reference is None else [reference]
    data = segmentation.GetSegmentation()
    for index in range(data.GetNumberOfSegments()):
        image = data.GetNthSegment(index).GetRepresentation(binary_labelmap())
        if image is not None and image.GetNumberOfPoints() > 0:
            images.append(image)
    return [image_matrix(image) for image in images]
