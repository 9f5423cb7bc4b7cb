"""How long the panel's steps on a result take, on the real scene: `python Testing/benchmark/measure_review.py`.

A drawn map of 512 x 512 x 300 voxels with 40 lesions and a haze of low probabilities in the lungs, as a network makes
them. Prints the median and the largest of the repetitions and the median of the processor's time, as JSON. Not a test: no
figure is asserted anywhere.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "Testing" / "extension"), str(REPOSITORY / "ClamSeg"), str(REPOSITORY)]


def drawn_map(shape: tuple[int, int, int], lesions: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probability uint8 and organ mask of a drawn chest."""
    random = np.random.default_rng(seed)
    k, j, i = np.ogrid[: shape[0], : shape[1], : shape[2]]
    organ = np.zeros(shape, bool)
    for side in (0.32, 0.68):
        distance = ((k / shape[0] - 0.5) / 0.45) ** 2 + ((j / shape[1] - 0.5) / 0.3) ** 2
        organ |= distance + ((i / shape[2] - side) / 0.14) ** 2 < 1
    probability = np.where(organ, random.integers(0, 30, shape, dtype=np.uint8), 0).astype(np.uint8)
    inside = np.argwhere(organ)
    for centre in inside[random.integers(0, len(inside), lesions)]:
        radius = random.uniform(4, 16)
        box = tuple(slice(max(0, c - 18), c + 18) for c in centre)
        grid = np.meshgrid(
            *(np.arange(s.start, min(s.stop, n)) for s, n in zip(box, shape, strict=True)), indexing="ij"
        )
        distance = np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)))
        grown = np.clip(255 * (1.2 - distance / radius / 1.6), 0, 250).astype(np.uint8)
        probability[box] = np.maximum(probability[box], grown)
    return probability, organ


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shape", default="300,512,512", help="slices, rows, columns")
    parser.add_argument("--lesions", type=int, default=40)
    parser.add_argument("--repetitions", type=int, default=5)
    arguments = parser.parse_args()

    import slicer
    from fakes import CONFIG
    from volumes_in_scene import add_volume

    from ClamSegLib.imaging.volume import canonical
    from ClamSegLib.segmentation.lesions import lesion_mask, measure_lesions, slice_columns
    from ClamSegWorkflow.case.lesion_row import Decision
    from ClamSegWorkflow.case.provenance import provenance_of
    from ClamSegWorkflow.case.result_import import grid_of, import_result
    from ClamSegWorkflow.case.review_files import prepare_review
    from ClamSegWorkflow.scene.geometry import record_geometry

    scene = slicer.vtkMRMLScene()
    slicer.mrmlScene = scene
    logic = slicer.vtkSlicerSegmentationsModuleLogic()
    logic.SetMRMLScene(scene)
    a, b, c = (int(number) for number in arguments.shape.split(","))
    probability, organ = drawn_map((a, b, c), arguments.lesions)
    volume = add_volume(scene, np.zeros((a, b, c), np.int16))
    report = {
        "summary": "", "notice": "", "clamseg": "0", "device": "cpu", "warnings": [],
        "engine": {"engine": "reference", "precision": "float32", "threads": 1},
        "model": {"name": "m", "weights_sha256": "0", "level": 2, "levels": 2, "threshold": 0.5},
        "organ": {"method": "body", "quality": 1.0}, "slices": {"total": a, "analysed": a}, "seconds": {},
    }  # fmt: skip
    times: dict[str, list[float]] = {}
    worked: dict[str, list[float]] = {}

    def timed(name: str, call: Callable[[], Any]) -> Any:
        started, busy = time.perf_counter(), time.process_time()
        value = call()
        times.setdefault(name, []).append(time.perf_counter() - started)
        worked.setdefault(name, []).append(time.process_time() - busy)
        return value

    grid = replace(grid_of(record_geometry(volume), volume, is_projection=False), array=probability)
    turned, orientation = canonical(grid, CONFIG["plane"])
    labels, components = lesion_mask(turned.array[None], 0.5, turned, 0.0)
    found = measure_lesions(labels, components, turned.array[None], turned, [CONFIG["conditions"][0]["name"]])
    report |= {
        "geometry": {"spacing_known": grid.spacing_known},
        "lesions": [asdict(x) | slice_columns(x.first_slice, x.last_slice) for x in found],
    }
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "components.npy", np.ascontiguousarray(orientation.undo(components)))
        (Path(folder) / "report.json").write_text(json.dumps(report), encoding="utf-8")
        for name, array in (
            ("labels", np.where(probability > 127, 2, organ)), ("probability", probability),
        ):  # fmt: skip
            np.save(Path(folder) / f"{name}.npy", array.astype(np.uint8))
        for _ in range(arguments.repetitions):
            result, _ = timed(
                "worker's result to segments in the scene",
                lambda: import_result(
                    scene, volume, record_geometry(volume), Path(folder), CONFIG, provenance_of(report, [])
                ),
            )
            rows = timed("lesion table", result.lesions.rows)
            timed("threshold shown while dragging", lambda: result.preview_threshold(0.4))  # noqa: B023
            timed("mask after the threshold is released", lambda: result.set_threshold(0.4))  # noqa: B023
            timed("table after it", result.lesions.rows)
            timed("lesion accepted", lambda: result.decide(rows[0].number, Decision.ACCEPTED))  # noqa: B023
            timed("table after it was accepted", result.lesions.rows)
            timed("decision undone, with the table", lambda: (result.undo(), result.lesions.rows()))  # noqa: B023
            timed("decision done again, with the table", lambda: (result.redo(), result.lesions.rows()))  # noqa: B023
            result.undo()
            timed("threshold undone, with the table", lambda: (result.undo(), result.lesions.rows()))  # noqa: B023
            written = timed("report taken out of the scene", lambda: prepare_review(result, "report"))  # noqa: B023
            timed("report written", lambda: written(Path(folder) / "report"))  # noqa: B023
            scene.RemoveNode(result.segmentation)
    told = {
        name: {
            "median_s": round(statistics.median(t), 4), "largest_s": round(max(t), 4),
            "processor_s": round(statistics.median(worked[name]), 4),
        }
        for name, t in times.items()
    }  # fmt: skip
    print(
        json.dumps(
            {"shape": arguments.shape, "lesions": len(rows), "repetitions": arguments.repetitions, **told}, indent=1
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
