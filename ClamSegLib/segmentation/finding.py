"""What was looked for, where, and what that allows to say: one sentence for every front, report and picture.

A model finds what it was trained for and nothing else, and only where it looked: "no lesion" would promise more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ClamSegLib.model.config import ModelConfig
from ClamSegLib.organ.find_organ import OrganResult


@dataclass(frozen=True)
class Search:
    """What a run looked for, and where.

    Attributes:
        targets: what the model finds, as people read it.
        n_slices: slices of the volume.
        analysed: how many of them went through the network.
        share: of a single picture that was searched, 0..1; None for a volume.
        smallest_ml: lesions below were dropped; 0 where all were kept, or no ml are known.
        doubt: what is doubtful about the organ, e.g. 'the outline of the lungs is doubtful'; '' when nothing is.
        is_organ: the model outlines an organ, not lesions.
        lacking: slices that the series lacks, or places that are doubtful; '' when nothing is.
        smallest_px: lesions of fewer pixels were dropped; 0 where all were kept, or ml are known.
    """

    targets: tuple[str, ...]
    n_slices: int
    analysed: int
    share: float | None = None
    smallest_ml: float = 0.0
    doubt: str = ""
    is_organ: bool = False
    lacking: str = ""
    smallest_px: int = 0

    def to_json(self) -> dict[str, Any]:
        """For report.json."""
        return {**asdict(self), "targets": list(self.targets)}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Search:
        """From report.json.

        Raises:
            TypeError, KeyError: it holds something else.
        """
        return cls(**{**told, "targets": tuple(told["targets"])})


def organ_doubt(organ: OrganResult, config: ModelConfig, outlined_doubt: str = "") -> str:
    """What is doubtful about the organ a run looked in, in words for `Search`.

    Args:
        organ: where lesions were looked for.
        config: of the model.
        outlined_doubt: what is wrong with the outline that an organ model gave.
    """
    if config.task == "organ":
        return f"the outline of the {config.organ.name} is doubtful" if outlined_doubt else ""
    if organ.fell_back:
        return f"the {config.organ.name} could not be outlined"
    return f"the outline of the {config.organ.name} is doubtful" if organ.problem or organ.quality < 0.5 else ""


def finding_words(search: Search, count: int, *, decided: int | None = None, rejected: int = 0) -> str:
    """What stands, in one sentence.

    Args:
        search: what was looked for, and where.
        count: of lesions, rejected ones too.
        decided: of them, how many a reader decided on; None before a review.
        rejected: of these, how many a reader rejected.
    """
    place = f"{search.analysed} of {search.n_slices} slices analysed"
    place += f" ({search.lacking})" if search.lacking else ""
    if search.is_organ:
        found = (
            f"{', '.join(map(inside_sentence, search.targets))} outlined"
            if count
            else f"no {_joined(search.targets)} found"
        )
        doubt = f"; {search.doubt}" if search.doubt else ""
        return f"{found[0].upper()}{found[1:]}, {place}; this model looks for no lesions{doubt}"
    if search.share is not None:
        place += f" ({search.share:.0%} of the picture)"
    names = _joined(search.targets)
    if count > rejected:
        words = f"{count} lesion{'s' if count > 1 else ''} ({names})"
        words += "" if decided is None else f", {decided} decided"
        words += f" ({rejected} rejected)" if rejected else ""
        words += f", {place}" + (f"; {search.doubt}" if search.doubt else "")
        return words + (f"; marks below {search.smallest_px} pixels are not listed" if search.smallest_px else "")
    if search.doubt:
        doubt = search.doubt[0].upper() + search.doubt[1:]
        return f"{doubt}, so that nothing stands marked does not mean that there is no {names}; {place}"
    if rejected:
        return f"No {names} is left, all that was marked is rejected, {place}"
    smallest = f" of {search.smallest_ml:g} ml or more" if search.smallest_ml > 0 else ""
    smallest = f" of {search.smallest_px} pixels or more" if search.smallest_px else smallest
    return f"No {names}{smallest} found, nothing else was looked for, {place}"


def _joined(names: Sequence[str]) -> str:
    """'a', 'a or b', 'a, b or c', as they stand inside a sentence."""
    *first, last = map(inside_sentence, names)
    return f"{', '.join(first)} or {last}" if first else last


def inside_sentence(name: str) -> str:
    """A name as it stands inside a sentence: 'Glioma' as 'glioma', 'MS lesion' as it is."""
    word = name.partition(" ")[0]
    return name[0].lower() + name[1:] if word[1:2].isalpha() and word[1:].islower() else name
