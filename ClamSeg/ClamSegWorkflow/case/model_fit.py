"""Which model fits a volume, and what does not fit, in sentences that are shown before the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ClamSegLib.segmentation.finding import inside_sentence
from ClamSegWorkflow.case.display_names import shown_name
from ClamSegWorkflow.case.licence_words import licence_of
from ClamSegWorkflow.scene.volume_facts import VolumeFacts
from ClamSegWorkflow.words import tr as _

# Words of series and volume names that tell the body part, per part as the models' configurations name it.
_BODY_PARTS = {
    "chest": ("chest", "thorax", "lung", "cxr", "covid", "pneumo", "lidc"),
    "head": ("brain", "head", "flair", "cranial", "neuro", "kopf"),
    "abdomen": ("abdomen", "liver", "kidney", "pelvis"),
    "knee": ("knee",),
}
_SEQUENCES = ("flair", "t1", "t2", "dwi", "swi", "adc")
_POOR_ORGAN = 0.5
# Below this no reader sees that a scan is turned.
_OBLIQUE_DEG = 1.0
_MODALITY_NAMES = {"CT": "CT", "MR": "MRI", "XR": "X-ray"}


def body_part(facts: VolumeFacts) -> str:
    """Body part named by the words of a volume, '' where none is."""
    for part, words in _BODY_PARTS.items():
        if any(word in facts.words for word in words):
            return part
    return ""


def sequence(facts: VolumeFacts) -> str:
    """MR sequence named by the words of a volume, '' where none is."""
    return next((name for name in _SEQUENCES if name in facts.words), "")


def describe(facts: VolumeFacts) -> str:
    """What the panel says of a volume, e.g. 'MRI (guessed), head, FLAIR, 24 slices, oblique by 17°'."""
    kind = _MODALITY_NAMES.get(facts.modality, _("unknown"))
    parts = [kind if facts.certain else _("{kind} (guessed)").format(kind=kind)]
    if body_part(facts):
        parts.append(body_part(facts))
    if facts.modality == "MR" and sequence(facts):
        parts.append(sequence(facts).upper())
    # A model counts the slices of its own plane; where the file stacks others, their number needs its name.
    words = _("{n} slices") if facts.plane == "axial" else _("{n} {plane} slices")
    parts.append(_("1 slice") if facts.n_slices == 1 else words.format(n=facts.n_slices, plane=facts.plane))
    if facts.oblique_deg >= _OBLIQUE_DEG:
        parts.append(_("oblique by {angle}°").format(angle=round(facts.oblique_deg)))
    return ", ".join(parts)


def choosable_models(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Models to segment with: lesion models that are whole, and organ models of a modality that has none.

    Args:
        entries: as the library lists them.
    """
    whole = [entry for entry in entries if not entry["problem"]]
    with_lesions = {entry["modality"] for entry in whole if entry["task"] == "lesion"}
    return [entry for entry in whole if entry["task"] == "lesion" or entry["modality"] not in with_lesions]


def model_words(entry: dict[str, Any]) -> str:
    """What a model finds, and its licence."""
    what = ", ".join(map(inside_sentence, entry["condition_names"]))
    if entry["task"] == "lesion":
        return _("Finds {what} and nothing else. {licence}").format(what=what, licence=licence_of(entry))
    words = _("Outlines {what} only: it looks for no lesions. {licence}")
    return words.format(what=what, licence=licence_of(entry))


def suggest_model(models: Sequence[dict[str, Any]], facts: VolumeFacts) -> str:
    """Name of the model that fits best, one that finds lesions first; a shipped one before an own of equal fit; '' for none.

    A model of one's own may have learned from a few slices for a minute: it is there to be chosen, not suggested.
    """
    scored = []
    for model in models:
        if model.get("problem") or model.get("modality") != facts.modality:
            continue
        part, series = model.get("body_part", ""), str(model.get("sequence", "")).lower()
        score = 4 * (bool(part) and part == body_part(facts)) + 2 * (bool(series) and series in facts.words)
        finds_lesions = model.get("task") == "lesion"
        scored.append((finds_lesions, score, model.get("origin") == "shipped", model["name"]))
    return max(scored)[-1] if scored else ""


def mismatches(config: dict[str, Any], facts: VolumeFacts, ijk_to_ras: np.ndarray) -> list[str]:
    """What does not fit between a volume and a model; each needs the user's yes and stays in the result.

    Args:
        config: the model's config.json.
        facts: of the volume.
        ijk_to_ras: 4 x 4 of the volume.
    """
    name = shown_name(config)
    found = []
    modality = config.get("modality", "")
    if facts.modality and modality and facts.modality != modality:
        words = (
            _("The volume is {seen}, model '{name}' was made for {wanted}; the result means little.")
            if facts.certain
            else _("The volume looks like {seen}, model '{name}' was made for {wanted}; the result means little.")
        )
        seen, made_for = (_MODALITY_NAMES.get(each, each) for each in (facts.modality, modality))
        found.append(words.format(seen=seen, name=name, wanted=made_for))
    wanted, there = str(config.get("sequence", "")).lower(), sequence(facts)
    if facts.modality == "MR" and wanted and there and wanted not in facts.words:
        found.append(
            _("Model '{name}' was made for {wanted}, the series is named {there}.").format(
                name=name, wanted=wanted.upper(), there=there.upper()
            )
        )
    part = config.get("body_part", "")
    if part and body_part(facts) and part != body_part(facts):
        found.append(
            _("Model '{name}' was made for the {part}, the volume is named like {body_part}.").format(
                name=name, part=part, body_part=body_part(facts)
            )
        )
    if facts.view in ("lateral", "oblique"):
        found.append(
            _(
                "The header calls this X-ray {view}; the model '{name}' learned frontal ones, and the result means nothing."
            ).format(view=facts.view, name=name)
        )
    acquired = acquisition_plane(ijk_to_ras)
    if facts.n_slices > 1 and acquired and acquired != config.get("plane", "axial"):
        found.append(
            _("The volume was acquired in {acquired} slices, model '{name}' works on {plane} ones.").format(
                acquired=acquired, name=name, plane=config["plane"]
            )
        )
    return found


def acquisition_plane(ijk_to_ras: np.ndarray) -> str:
    """Plane of the thickest slices; '' for voxels that are about as long in all directions."""
    lengths = np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    thickest = int(np.argmax(lengths))
    if lengths[thickest] < 1.5 * sorted(lengths)[1]:
        return ""
    axis = int(np.argmax(np.abs(ijk_to_ras[:3, thickest])))
    return ("sagittal", "coronal", "axial")[axis]


def organ_doubts(organ: dict[str, Any]) -> list[str]:
    """What the worker's look at the organ gives to think of."""
    problem = organ.get("problem")
    if organ.get("fell_back"):
        return [
            _("The organ was not found ({problem}); {method} is used.").format(
                problem=problem or _("no plausible shape"), method=organ["method"]
            )
        ]
    if float(organ.get("quality", 1.0)) < _POOR_ORGAN or problem:
        why = problem or _("quality {quality:.2f}").format(quality=organ["quality"])
        return [_("The organ mask is poor ({why}).").format(why=why)]
    return []
