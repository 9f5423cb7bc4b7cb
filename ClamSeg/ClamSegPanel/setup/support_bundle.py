"""A file for a bug report: versions, installation, log; no pixel, no path, no file's and no patient's name; without Qt."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_HIDDEN_NAME, _HIDDEN_FILE, _HIDDEN_UID = "<name>", "<file>", "<uid>"
# A path ends with its quote, or where a sentence goes on; it may hold spaces, so too much is taken rather than too little.
_QUOTED_PATH = re.compile(r"""(["'])(?:~?[\\/]|[A-Za-z]:[\\/]|file:)[^"'\n]*\1""")
_PATH = re.compile(
    r"""(?:(?<=^)|(?<=[\s(\[="',:]))(?:~?[\\/]{1,2}(?=\S)|[A-Za-z]:[\\/]|file:/)[^\n"']*?(?=[:;,)\]](?:\s|$)|\.(?:\s|$)|["'\n]|$)""",
    re.MULTILINE,
)
_FILE = re.compile(
    r"""[^\s"'/\\<>]+\.(?:nii(?:\.gz)?|seg\.nrrd|nrrd|nhdr|mha|mhd|dcm|ima|png|jpe?g|tiff?|bmp|npy|csv|zip|mrb|mrml)\b""",
    re.IGNORECASE,
)
_UID = re.compile(r"\b\d+(?:\.\d+){5,}\b")
_DICOM_NAME = re.compile(r"[^\s\"'^]+\^[^\s\"']*")
_SHORTEST_NAME = 3


def without_names(text: str, names: Iterable[str] = (), home: Path | None = None) -> str:
    """A text in which nobody is named: known names, paths, files of images, UIDs and DICOM names are replaced.

    Args:
        names: of the scene's volumes, patients and studies, of folders in use; the longest is looked for first.
        home: of the user; its name is a name, too.
    """
    folders = [str(home), home.name] if home is not None else []
    for name in sorted({*names, *folders}, key=len, reverse=True):
        if len(name.strip()) >= _SHORTEST_NAME:
            shown = "~" if name == str(home) else _HIDDEN_NAME
            text = re.sub(re.escape(name.strip()), shown, text, flags=re.IGNORECASE)
    text = _QUOTED_PATH.sub(r"\1~\1", text)
    text = _PATH.sub("~", text)
    text = _FILE.sub(_HIDDEN_FILE, text)
    text = _DICOM_NAME.sub(_HIDDEN_NAME, text)
    return _UID.sub(_HIDDEN_UID, text)


def support_files(
    versions: dict[str, str], installation: dict[str, Any], models: list[dict[str, Any]], log: str, names: Iterable[str]
) -> dict[str, str]:
    """The texts of the bundle by file name, cleaned.

    Args:
        versions: of application, system and extension.
        installation: the worker's report.
        models: entries of the registry; of a user's own only how many there are is told.
        log: of the panel and the worker.
        names: what may stand in no file.
    """
    names, home = list(names), Path.home()
    report = {key: installation.get(key) for key in ("python", "torch", "packages", "engines", "problems", "devices")}
    own = [entry for entry in models if entry.get("origin") == "user"]
    told = {
        "shipped": [entry["name"] for entry in models if entry.get("origin") == "shipped"],
        "own": len(own),
        "damaged": sum(bool(entry.get("problem")) for entry in models),
    }
    names += [str(entry["name"]) for entry in own]
    texts = {
        "versions.json": json.dumps(versions, indent=1),
        "installation.json": json.dumps(_cleaned(report, names, home), indent=1),
        "models.json": json.dumps(told, indent=1),
        "log.txt": without_names(log, names, home),
    }
    return dict(texts)


def _cleaned(value: Any, names: list[str], home: Path) -> Any:
    """The same JSON value with cleaned texts; versions and numbers stay."""
    if isinstance(value, str):
        return without_names(value, names, home)
    if isinstance(value, dict):
        return {key: _cleaned(each, names, home) for key, each in value.items()}
    return [_cleaned(each, names, home) for each in value] if isinstance(value, list) else value


def write_support_bundle(target: Path, files: dict[str, str]) -> None:
    """Writes the texts as one zip, whole.

    Raises:
        InputError: something other than a file is there.
        OutputError: not writable, disk full.
    """
    from ClamSegLib.system.atomic_output import whole_file

    with whole_file(target) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, text in files.items():
            bundle.writestr(name, text)
