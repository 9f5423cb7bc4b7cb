"""What of a run stays written in its result: model, hash, level, threshold, version, engine, doubts."""

from __future__ import annotations

import json
from typing import Any


def provenance_of(report: dict[str, Any], accepted: list[str]) -> dict[str, str]:
    """What stays written in the segmentation node."""
    model = report["model"]
    return {
        "model": model["name"],
        "model_name": model.get("display_name") or model["name"],
        "weights_sha256": model["weights_sha256"],
        "level": f"{model['level']} of {model['levels']}",
        "threshold": f"{model['threshold']:.4g}",
        "version": report["clamseg"],
        "device": report["device"],
        "engine": _engine_words(report["engine"]),
        "organ": f"{report['organ']['method']}, quality {report['organ']['quality']:.2f}",
        "summary": report["summary"],
        "warnings": " | ".join(report["warnings"]),
        "accepted_warnings": " | ".join(accepted),
        "notice": report["notice"],
        "report": json.dumps(report),
    }


def _engine_words(engine: dict[str, Any]) -> str:
    """What computed the maps, and how exactly, e.g. 'openvino, bfloat16, 2 threads': another one gives slightly others."""
    threads = int(engine["threads"])
    return f"{engine['engine']}, {engine['precision']}, {threads} thread{'s' if threads != 1 else ''}"
