"""What does not fit between a scan and a model is said before the network runs."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_model import tiny_model

from ClamSegLib.imaging.volume import Volume
from ClamSegLib.model.checkpoint import load_model
from ClamSegLib.segmentation.inspection import inspect
from ClamSegLib.segmentation.options import SegmentOptions


@pytest.mark.parametrize(
    ("in_header", "said"),
    [("knee", True), ("hand", True), ("chest", False), ("thorax", False), ("chestabdomen", False), ("", False)],
)
def test_an_x_ray_of_another_body_part_is_said(tmp_path, in_header, said):
    model = load_model(tiny_model(tmp_path / "m", modality="XR"))
    model = replace(model, config=replace(model.config, body_part="chest"))
    array = np.random.default_rng(0).normal(100, 20, (1, 40, 40)).astype(np.float32)
    picture = Volume(array, modality="XR", is_picture=True, spacing_known=False, body_part=in_header)
    warnings = inspect(picture, model, SegmentOptions(device="cpu")).warnings
    assert any("the header calls the body part" in warning for warning in warnings) == said
