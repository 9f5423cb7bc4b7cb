"""What was judged on a worker from and to JSON, to the last bit."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ClamSegLib.evaluation.judge import Judged
from ClamSegLib.evaluation.montage import Example, Picture
from ClamSegLib.evaluation.reliability import Reliability
from ClamSegLib.evaluation.scoreboard import Scoreboard, SliceFigures
from ClamSegLib.system.arrays_json import packed, unpacked


def judged_to_json(judged: Judged, pictures: set[int]) -> dict[str, Any]:
    """As JSON values, with the pictures of these examples only; `fill` reads them."""
    return {
        "boards": [_board_to_json(board) for board in judged.boards],
        "reliabilities": [None if r is None else _reliability_to_json(r) for r in judged.reliabilities],
        "examples": [
            [e.measure, e.figure, e.name, _picture_to_json(e.picture) if k in pictures else None]
            for k, e in enumerate(judged.examples)
        ],
        "cases": judged.cases,
    }


def fill(judged: Judged, told: dict[str, Any]) -> Judged:
    """Puts what `judged_to_json` told of into a `Judge.nothing` of the same models."""
    for board, figures in zip(judged.boards, told["boards"], strict=True):
        _fill_board(board, figures)
    for reliability, counts in zip(judged.reliabilities, told["reliabilities"], strict=True):
        if reliability is not None:
            _fill_reliability(reliability, counts)
    judged.examples = examples_of(told)
    judged.cases = told["cases"]
    return judged


def examples_of(told: dict[str, Any]) -> list[Example]:
    """The examples that `judged_to_json` told of."""
    return [
        Example(measure, figure, name, None if picture is None else _picture_of(picture))
        for measure, figure, name, picture in told["examples"]
    ]


def _board_to_json(board: Scoreboard) -> dict[str, Any]:
    slices = [
        {f.name: _plain(getattr(figures, f.name)) for f in dataclasses.fields(SliceFigures)} for figures in board.slices
    ]
    return {
        "slices": slices, "volume_dice": board.volume_dice, "lesions": [board.lesions_found, board.lesions_all],
        "spacing_known": board.spacing_known, "unknown_slices": board.unknown_slices,
        "positives": packed(board.positives), "negatives": packed(board.negatives),
    }  # fmt: skip


def _plain(value: Any) -> Any:
    return packed(value) if isinstance(value, np.ndarray) else value


def _back(value: Any) -> Any:
    return unpacked(value) if isinstance(value, dict) else value


def _fill_board(board: Scoreboard, told: dict[str, Any]) -> None:
    board.slices = [
        SliceFigures(**{name: _back(value) for name, value in told_of.items()}) for told_of in told["slices"]
    ]
    board.volume_dice = [(patient, value) for patient, value in told["volume_dice"]]
    board.lesions_found, board.lesions_all = told["lesions"]
    board.spacing_known, board.unknown_slices = told["spacing_known"], told["unknown_slices"]
    board.positives, board.negatives = unpacked(told["positives"]), unpacked(told["negatives"])


def _reliability_to_json(reliability: Reliability) -> dict[str, Any]:
    return {
        "counts": packed(reliability.counts),
        "by_label": {patient: packed(counts) for patient, counts in reliability.by_label.items()},
        "by_outline": {patient: packed(counts) for patient, counts in reliability.by_outline.items()},
        "predicted": reliability.predicted,
    }


def _fill_reliability(reliability: Reliability, told: dict[str, Any]) -> None:
    reliability.counts = unpacked(told["counts"])
    reliability.by_label = {patient: unpacked(counts) for patient, counts in told["by_label"].items()}
    reliability.by_outline = {patient: unpacked(counts) for patient, counts in told["by_outline"].items()}
    reliability.predicted = [(dice, apart, doubt) for dice, apart, doubt in told["predicted"]]


def _picture_to_json(picture: Picture | None) -> dict[str, Any] | None:
    if picture is None:
        return None
    arrays = {name: packed(getattr(picture, name)) for name in ("grey", "found", "reference")}
    return arrays | {"highest": picture.highest}


def _picture_of(told: dict[str, Any]) -> Picture:
    highest = None if told["highest"] is None else (told["highest"][0], told["highest"][1])
    return Picture(unpacked(told["grey"]), unpacked(told["found"]), highest, unpacked(told["reference"]))
