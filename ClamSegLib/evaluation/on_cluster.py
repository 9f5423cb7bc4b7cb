"""An evaluation on a cluster: a case is a task that answers with its figures; what is made of all of them is made here."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ClamSegLib.cluster.open_cluster import OpenCluster
from ClamSegLib.cluster.tasks import Ended, Piece, Work, spread
from ClamSegLib.cluster.worker import answer, kept_device, kept_model
from ClamSegLib.datasets.case_warnings import CaseWarnings
from ClamSegLib.datasets.labelled_folder import LabelledFolder
from ClamSegLib.datasets.rows_json import first_input, folder_of, folder_to_json
from ClamSegLib.evaluation.judge import EvaluationOptions, Found, Judge
from ClamSegLib.evaluation.judged_json import examples_of, fill, judged_to_json
from ClamSegLib.evaluation.montage import Example, Picture
from ClamSegLib.model.checkpoint import LoadedModel
from ClamSegLib.model.config_json import from_json
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.outcome import BAD, DONE, Outcome
from ClamSegLib.system.progress import Reporter

_KEPT = "nothing was written, run again"


class _Collected(CaseWarnings):
    """Warnings of a task, for the process that asked."""

    def __init__(self) -> None:
        super().__init__(Reporter())
        self.said: list[tuple[str, str]] = []

    def warning(self, message: str) -> None:
        self.said.append((self._case, message))


def judge_case(case_json: str, run_json: str) -> str:
    """Judges a part of a labelled folder on a worker.

    Args:
        case_json: `part` (of `rows_json.folder_to_json`), and which of its examples are wanted with `pictures`.
        run_json: as for `cluster.worker.answer`, with `folders` of the models, `options` and `grad_cam_scale`.

    Returns:
        JSON: `state`, `words`, `found` (of `judged_json`) and `warnings`.
    """
    told = json.loads(case_json)
    part = folder_of(told["part"])

    def work(run: dict[str, Any]) -> dict[str, Any]:
        options = from_json(EvaluationOptions, run["options"], "options")
        options = replace(options, device=kept_device(options.device))
        models = [kept_model(Path(folder), run["licences"]) for folder in run["folders"]]
        warnings = _Collected()
        found = Judge(models, options, run["grad_cam_scale"]).judge(part, warnings)
        return {
            "state": DONE, "words": "", "warnings": warnings.said,
            "found": judged_to_json(found, set(told["pictures"])),
        }  # fmt: skip

    return answer(run_json, _name(part), work)


class OnCluster:
    """A `Way` of an evaluation.

    Args:
        opened: the cluster.
        models: of the evaluation; workers load their own.
        options: of the evaluation.
        gpu: whether a worker takes a GPU where its machine has any.
        reporter: progress and errors of cases.
    """

    def __init__(
        self,
        opened: OpenCluster,
        models: Sequence[LoadedModel],
        options: EvaluationOptions,
        gpu: bool,
        reporter: Reporter,
    ) -> None:
        self._opened, self._options, self._gpu, self._reporter = opened, options, gpu, reporter
        self._folders = [model.folder.absolute() for model in models]
        self._licences = [model.config.licence for model in models if model.config.is_non_commercial]
        self._parts: Sequence[LabelledFolder] = ()
        self._scale: float | None = None

    def judged(self, parts: Sequence[LabelledFolder], judge: Judge, warnings: CaseWarnings, found: Found) -> None:
        """As `Way` says."""
        self._parts = parts
        self._scale = judge.scale_of(parts[0], CaseWarnings(Reporter()))
        early: dict[int, tuple[Outcome, dict[str, Any]]] = {}
        waits_for = 0

        def ended(number: int, outcome: Outcome, told: dict[str, Any]) -> None:
            nonlocal waits_for
            if outcome.state == BAD:
                raise InputError(outcome.words)
            if outcome.state != DONE:
                self._reporter.error(outcome.words, case=outcome.case)
            early[number] = outcome, told
            while waits_for in early:  # sums of broken numbers depend on their order
                came, answered = early.pop(waits_for)
                for case, words in answered.get("warnings", ()):
                    warnings.about(case)
                    warnings.warning(words)
                found(waits_for, fill(judge.nothing(), answered["found"]) if came.state == DONE else came)
                waits_for += 1

        self._ask(dict.fromkeys(range(len(parts)), ()), ended)

    def pictured(self, rows: list[tuple[str, list[Example]]]) -> list[tuple[str, list[Example]]]:
        """The chosen examples with their pictures: their cases are judged once more, because no picture of others travels."""
        wanted: dict[int, tuple[int, ...]] = {}
        for _, examples in rows:
            for part, k in dict.fromkeys(example.place for example in examples):
                wanted[part] = (*wanted.get(part, ()), k)
        pictures: dict[tuple[int, int], Picture | None] = {}

        def ended(number: int, outcome: Outcome, told: dict[str, Any]) -> None:
            if outcome.state == DONE:
                examples = examples_of(told["found"])
                pictures.update({(number, k): example.picture for k, example in enumerate(examples)})
            else:
                self._reporter.warning(f"{outcome.case} has no picture in montage.png: {outcome.words}")

        if wanted:
            self._ask(wanted, ended)
        return [(word, [replace(e, picture=pictures.get(e.place)) for e in examples]) for word, examples in rows]

    def _ask(self, wanted: Mapping[int, tuple[int, ...]], ended: Ended) -> None:
        """Has parts judged, by their numbers, with the pictures of these examples."""
        numbers = list(wanted)
        pieces = [
            Piece(
                _name(self._parts[number]),
                json.dumps({"part": folder_to_json(self._parts[number]), "pictures": wanted[number]}),
            )
            for number in numbers
        ]
        told = {
            "folders": list(map(str, self._folders)), "options": dataclasses.asdict(self._options),
            "grad_cam_scale": self._scale, "licences": self._licences, "inputs": first_input(self._parts[0]),
        }  # fmt: skip
        work = Work(judge_case, self._folders, self._gpu, told, _KEPT)
        spread(pieces, work, self._opened, self._reporter, lambda place, *told: ended(numbers[place], *told))


def _name(part: LabelledFolder) -> str:
    return part.rows[0].relative_path
