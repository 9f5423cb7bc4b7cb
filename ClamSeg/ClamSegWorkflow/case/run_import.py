"""What the worker made of a case into the scene: result, certificate, and the report of how it was made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ClamSegWorkflow.case.apart import Steps
from ClamSegWorkflow.case.lesion_map import Smallest
from ClamSegWorkflow.case.provenance import provenance_of
from ClamSegWorkflow.case.result import Result
from ClamSegWorkflow.case.result_arrays import smallest_of
from ClamSegWorkflow.case.result_import import grid_of, import_in_steps
from ClamSegWorkflow.case.run_input import RunCase
from ClamSegWorkflow.scene.certificate import Certificate
from ClamSegWorkflow.scene.scan_facts import reading_of


def import_case(
    scene: Any, case: RunCase, folder: Path, model_config: Mapping[str, Any]
) -> Steps[tuple[Result, Certificate, dict[str, Any]]]:
    """Brings the result of a case into the scene, step by step; on any failure nothing of it stays.

    Args:
        folder: the worker's result.
        model_config: the model's config.json.

    Returns:
        Result, certificate of its geometry, and the worker's report with what reading the volume warned of.

    Raises:
        SceneError: the volume is gone or was changed, the arrays do not fit, or the certificate does not hold.
        OSError, ValueError, KeyError: the report cannot be used.
    """
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    config = with_found_organ(model_config, report)
    knows_ml = grid_of(case.record, case.volume, config["modality"] == "XR").spacing_known
    if "search" in report and report["geometry"]["spacing_known"] != knows_ml:
        report["search"] |= _limits(smallest_of(report, config), knows_ml)
    report["warnings"] = list(dict.fromkeys([*reading_of(case.volume).warnings, *report["warnings"]]))
    provenance = provenance_of(report, case.doubts)
    result, certificate = yield from import_in_steps(scene, case.volume, case.record, folder, config, provenance)
    return result, certificate, report


def with_found_organ(config: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    """The model's config with the organ named as the worker found it: a body that had to serve is not called lungs."""
    found = {key: report["organ"][key] for key in ("name", "terminology") if key in report["organ"]}
    return {**config, "organ": {**config["organ"], **found}}


def _limits(smallest: Smallest, knows_ml: bool) -> dict[str, Any]:
    """What the summary says is not listed, where the scene knows the spacing and the worker's file did not, or the other way round."""
    return {"smallest_ml": smallest.ml if knows_ml else 0.0, "smallest_px": 0 if knows_ml else smallest.px}
