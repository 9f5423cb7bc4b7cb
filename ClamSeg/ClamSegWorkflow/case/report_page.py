"""The report of a review: one page of HTML with key slices, table and facts of the run."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ClamSegWorkflow.case.lesion_row import LesionRow
from ClamSegWorkflow.case.report_picture import KeyPicture, pictures_of
from ClamSegWorkflow.case.review_text import decision_words, diameters_words, size_words, sizes_words, slices_words
from ClamSegWorkflow.scene.geometry import matrix_of
from ClamSegWorkflow.scene.segments import segment_counter, segment_looks
from ClamSegWorkflow.words import tr as _

_REPORT_FACTS = (
    "model", "weights_sha256", "level", "threshold", "version", "device", "engine", "organ", "warnings", "accepted_warnings",
)  # fmt: skip


@dataclass(frozen=True)
class _Contents:
    """What stood when the report was asked for."""

    name: str
    summary: str
    certificate: str
    facts: dict[str, str]
    pictures: Callable[[], list[KeyPicture]]
    rows: Sequence[LesionRow]
    condition_names: dict[str, str]
    sizes: str
    marks: dict[int, str]
    searched: Callable[[], str]


def report_of(result: Any) -> Callable[[Path], None]:
    """Takes what the report tells out of the scene, now; what it returns draws its pictures and writes it, in any thread."""
    lesions = result.lesions
    contents = _Contents(
        result.volume.GetName() or "", result.summary(), str(result.certificate()), result.provenance,
        pictures_of(result), lesions.rows() if lesions is not None else [],
        result.condition_names() if lesions is not None else {}, sizes_words(result.volume), result.marks, _searched(result),
    )  # fmt: skip
    return lambda path: _write(contents, path)


def _searched(result: Any) -> Callable[[], str]:
    """Tells name and volume of the organ that was searched, '' where none was outlined or no millimetres are known."""
    looks = {look.id: look.name for look in segment_looks(result.segmentation)}
    if result.lesions is None or "organ" not in looks or not result.lesions.spacing_known:
        return lambda: ""
    count, name = segment_counter(result.segmentation, "organ"), looks["organ"]
    voxel_ml = abs(float(np.linalg.det(matrix_of(result.volume)[:3, :3]))) / 1000
    return lambda: _("Searched: {organ}, {ml} ml.").format(organ=name, ml=f"{count() * voxel_ml:.0f}")


def _write(contents: _Contents, path: Path) -> None:
    facts, name = contents.facts, html.escape(contents.name)
    lines = [
        "<!DOCTYPE html><html><head><meta charset='utf-8'><title>ClamSeg report</title><style>",
        "body{font:15px/1.45 sans-serif;max-width:52em;margin:2em auto;padding:0 1em}",
        "table{border-collapse:collapse;margin:1em 0}td,th{border:1px solid #bbb;padding:.25em .6em;text-align:left}",
        ".notice{font-weight:bold}figure{display:inline-block;margin:0 .5em 0 0;max-width:32%}img{width:100%}figcaption{font-size:12px}</style></head><body>",
        f"<h1>ClamSeg: {name}</h1>",
        f"<p class='notice'>{html.escape(facts.get('notice', _('For research, not for diagnosis.')))}</p>",
        f"<p>{html.escape(contents.summary)}. Geometry: {html.escape(contents.certificate)}.</p>",
    ]
    for picture in contents.pictures():
        shown = base64.b64encode(picture.png).decode("ascii")
        sides = f" ({picture.left} | {picture.right})" if picture.left else ""
        words = html.escape(picture.words + sides)
        lines.append(
            f"<figure><img alt='{words}' src='data:image/png;base64,{shown}'><figcaption>{words}</figcaption></figure>"
        )
    if contents.rows:
        heads = (
            _("No."), _("condition"), _("slices"), _("size"), _("diameters"), _("probability"), _("doubt"), _("decision"),
        )  # fmt: skip
        lines.append("<table><tr>" + "".join(f"<th>{head}</th>" for head in heads) + "</tr>")
        names = contents.condition_names
        for row in contents.rows:
            cells = (
                str(row.number), names[row.condition], slices_words(row), size_words(row), diameters_words(row),
                f"{row.mean_probability:.2f}", f"{row.mean_doubt:.2f}", decision_words(row.decision),
            )  # fmt: skip
            lines.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>")
        lines.append("</table>")
        if contents.sizes:
            lines.append(f"<p>{html.escape(contents.sizes)}</p>")
    if contents.marks:
        marks = ", ".join(f"{index + 1} {word}" for index, word in sorted(contents.marks.items()))
        lines.append("<p>" + _("Slices labelled by the reader: {marks}.").format(marks=html.escape(marks)) + "</p>")
    if searched := contents.searched():
        lines.append(f"<p>{html.escape(searched)}</p>")
    lines.append("<table>")
    named = facts.get("model_name", "")
    if named and named != facts.get("model"):
        facts = {**facts, "model": f"{named} ({facts['model']})"}
    for fact in _REPORT_FACTS:
        if facts.get(fact):
            words = fact.replace("_", " ")
            lines.append(f"<tr><th>{words}</th><td>{html.escape(facts[fact])}</td></tr>")
    lines.append("</table></body></html>")
    path.write_text("\n".join(lines), encoding="utf-8")
