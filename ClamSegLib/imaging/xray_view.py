"""From which side an X-ray was taken, by its DICOM header: models learn frontal ones."""

from __future__ import annotations

from typing import Any

# Defined terms of ViewPosition (PS3.3 C.8.7.5.1.1, C.8.11.5) and words that exporters write there.
_FRONTAL = ("AP", "PA", "LLD", "RLD", "FRONTAL", "ANTERO-POSTERIOR", "POSTERO-ANTERIOR")
_LATERAL = ("LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT", "LEFT LATERAL", "RIGHT LATERAL")
_OBLIQUE = ("RLO", "LLO", "LPO", "RPO", "LAO", "RAO", "OBLIQUE")


def view_of(header: Any) -> str:
    """'frontal', 'lateral', 'oblique', or '' where the header does not tell."""
    position = str(header.get("ViewPosition", "") or "").strip().upper()
    for view, terms in (("frontal", _FRONTAL), ("lateral", _LATERAL), ("oblique", _OBLIQUE)):
        if position in terms:
            return view
    for code in header.get("ViewCodeSequence") or ():
        words = str(code.get("CodeMeaning", "")).lower()
        if "lateral" in words and "decubitus" not in words and "antero" not in words and "postero" not in words:
            return "lateral"
        if "oblique" in words:
            return "oblique"
        if words:
            return "frontal"
    # Rows that run from front to back, or back to front, are seen from the side.
    along: Any = header.get("PatientOrientation") or ()
    first = str(along[0])[:1].upper() if len(along) > 1 else ""
    return {"A": "lateral", "P": "lateral", "L": "frontal", "R": "frontal"}.get(first, "")
