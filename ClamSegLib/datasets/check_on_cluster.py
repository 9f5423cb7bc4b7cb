"""The dataset check on a cluster: an image is a task that answers with what it showed; what is made of all is made here."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

from ClamSegLib.cluster.open_cluster import OpenCluster
from ClamSegLib.cluster.tasks import Piece, Work, spread
from ClamSegLib.cluster.worker import answer
from ClamSegLib.datasets.check_images import Looked, Seen, look_at_image
from ClamSegLib.datasets.check_masks import MaskNotes
from ClamSegLib.datasets.rows import LabelledFolder
from ClamSegLib.datasets.rows_json import first_input, folder_of, folder_to_json
from ClamSegLib.imaging.reader_process import reading_apart
from ClamSegLib.system.arrays_json import packed, unpacked
from ClamSegLib.system.outcome import DONE, Outcome
from ClamSegLib.system.progress import Reporter


def look_at(image_json: str, run_json: str) -> str:
    """Looks at an image on a worker.

    Args:
        image_json: of `rows_json.folder_to_json`: the rows of the image.
        run_json: as for `cluster.worker.answer`.

    Returns:
        JSON: `state`, `words` and `looked`.
    """
    image = folder_of(json.loads(image_json))

    def work(_run: dict[str, Any]) -> dict[str, Any]:
        with reading_apart():
            looked = look_at_image(image.rows)
        seen = looked.seen
        told = seen and {field.name: getattr(seen, field.name) for field in dataclasses.fields(Seen)}
        if told:
            told["thumbnail"] = packed(told["thumbnail"])
        said = {"seen": told, "said": looked.said, "notes": dataclasses.asdict(looked.notes)}
        return {"state": DONE, "words": "", "looked": said}

    return answer(run_json, image.rows[0].relative_path, work)


class OnCluster:
    """A `check_images.Way`: the images, each on a worker."""

    def __init__(self, opened: OpenCluster) -> None:
        self._opened = opened

    def __call__(self, images: Sequence[LabelledFolder], reporter: Reporter) -> Iterator[Looked]:
        """What each image showed, in their order; one that ended its worker again and again is told as unreadable."""
        pieces = [Piece(image.rows[0].relative_path, json.dumps(folder_to_json(image))) for image in images]
        work = Work(look_at, told={"inputs": first_input(images[0])}, kept="run again", pieces="images")
        found: dict[int, Looked] = {}

        def ended(place: int, outcome: Outcome, told: dict[str, Any]) -> None:
            is_done = outcome.state == DONE
            found[place] = _looked(told["looked"]) if is_done else Looked(None, [], MaskNotes([outcome.words]))

        spread(pieces, work, self._opened, reporter, ended)
        return iter([found[place] for place in range(len(images))])


def _looked(told: dict[str, Any]) -> Looked:
    seen = told["seen"]
    if seen is not None:
        spacing = None if seen["spacing_mm"] is None else tuple(seen["spacing_mm"])
        changed = {"thumbnail": unpacked(seen["thumbnail"]), "shape": tuple(seen["shape"]), "spacing_mm": spacing}
        seen = Seen(**(seen | changed))
    return Looked(seen, told["said"], MaskNotes(**told["notes"]))
