"""The index of a tree of DICOM files: read once, kept in SQLite, brought up to date by what changed on the disk.

It holds paths and UIDs, so it lies beside the secret and is readable by the user only. Names of patients are not in it;
who belongs together is told by an HMAC of the patient's identifier.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ClamSegLib.archive.case_input import fingerprint, header_sha256
from ClamSegLib.archive.pseudonym import Pseudonyms
from ClamSegLib.imaging.dicom_series import frame_count, image_type, is_damaged, make_series, read_header
from ClamSegLib.imaging.dicom_signature import is_dicom_file
from ClamSegLib.imaging.read_write import DICOM_ENDINGS, ending_of
from ClamSegLib.system.disk import output_error, private
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.progress import Reporter

# What a series can be chosen by; none of them names a patient.
TAGS = (
    "Modality", "BodyPartExamined", "SliceThickness", "SpacingBetweenSlices", "SeriesDescription", "ProtocolName", "SeriesNumber",
    "StudyDate", "StudyDescription", "Manufacturer", "ManufacturerModelName", "ConvolutionKernel", "Rows", "Columns",
    "ImageType", "ContrastBolusAgent", "StudyInstanceUID", "SeriesInstanceUID",
)  # fmt: skip
_MORE = (
    "StudyInstanceUID", "PatientID", "StudyDate", "StudyDescription", "Manufacturer", "ManufacturerModelName", "ConvolutionKernel",
    "ContrastBolusAgent",
)  # fmt: skip
_COMMIT_EVERY = 500
_WAIT_S = 60.0
IMAGE, DAMAGED, OTHER = "image", "damaged", "other"
# A number of a series is never given again: a run that has begun may still ask for it.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS tree (root TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS series (
    id INTEGER PRIMARY KEY AUTOINCREMENT, study_uid TEXT NOT NULL, series_uid TEXT NOT NULL, patient TEXT NOT NULL, tags TEXT NOT NULL,
    UNIQUE (study_uid, series_uid, patient));
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY, folder TEXT NOT NULL, bytes INTEGER NOT NULL, changed_ns INTEGER NOT NULL, kind TEXT NOT NULL,
    header_sha256 TEXT NOT NULL, frames INTEGER NOT NULL, odd_kind TEXT NOT NULL, series INTEGER REFERENCES series (id));
CREATE INDEX IF NOT EXISTS files_of_series ON files (series);
CREATE INDEX IF NOT EXISTS kinds ON files (kind, folder);
"""

_TABLES = ("files", "series", "tree")
# Told by what an index holds; SQLite keeps 31 bits.
_VERSION = zlib.crc32(repr((_SCHEMA, TAGS, _MORE)).encode()) & 0x7FFFFFFF


@dataclass(frozen=True)
class SeriesEntry:
    """A series of an index.

    Attributes:
        number: of the series in the index.
        tags: values of `TAGS`, as text or numbers; those that it lacks are left out.
        n_slices: files, or frames in them.
        odd_kind: what makes it no scan although it is a picture; '' where nothing does.
        beside_damaged: files that cannot be read in the folders of its own files.
        patient: HMAC of the patient's identifier.
    """

    number: int
    tags: dict[str, Any]
    n_slices: int
    odd_kind: str
    beside_damaged: int
    patient: str

    @property
    def series_uid(self) -> str:
        """UID of the series."""
        return str(self.tags.get("SeriesInstanceUID", ""))

    @property
    def study_uid(self) -> str:
        """UID of its study."""
        return str(self.tags.get("StudyInstanceUID", ""))


@dataclass(frozen=True)
class IndexedSeries:
    """The source of a case that is a series of an index."""

    index: Path
    series: int
    is_private: bool = True

    def fingerprint(self) -> dict[str, Any]:
        return fingerprint((path, size, changed, header) for path, size, changed, header in self._files())

    def bring(self, folder: Path) -> Path:
        """Links to the files of the series under numbers, so that no path with a patient's name is read or told."""
        folder.mkdir(parents=True, mode=0o700)
        for number, path in enumerate(self.paths(), 1):
            if not path.is_file():
                raise InputError(
                    "A file of the series is gone since the tree was indexed; run again, which indexes it anew."
                )
            _link(path, folder / f"{number:06d}.dcm")
        return folder

    def paths(self) -> list[Path]:
        """The files of the series in its tree."""
        with _reading(self.index) as index:
            (root,) = index.execute("SELECT root FROM tree").fetchone()
        return [Path(root) / path for path, *_ in self._files()]

    def to_json(self) -> dict[str, Any]:
        return {"kind": "indexed", "index": str(self.index), "series": self.series}

    def _files(self) -> list[tuple[str, int, int, str]]:
        with _reading(self.index) as index:
            query = "SELECT path, bytes, changed_ns, header_sha256 FROM files WHERE series = ? ORDER BY path"
            return index.execute(query, (self.series,)).fetchall()


class DicomIndex:
    """The index of one tree.

    Args:
        root: the tree, or the DICOMDIR of a disc.
        names: pseudonyms; the index lies in their folder.
    """

    def __init__(self, root: Path, names: Pseudonyms) -> None:
        self._disc = root if root.is_file() else None
        self.root = (root.parent if root.is_file() else root).resolve()
        self._names = names
        self.path = names.folder / f"{names.of('index', str(root.resolve()))}.sqlite"

    def update(self, reporter: Reporter) -> None:
        """Reads what is new or changed in the tree, and forgets what is gone; what was read stays when it is stopped.

        Raises:
            InputError: the tree cannot be read.
            OutputError: the index cannot be written.
        """
        if not os.access(self.root, os.R_OK | os.X_OK):
            raise InputError(
                f"{self.root} is no folder that can be read; name a folder with DICOM files, or a DICOMDIR."
            )
        try:
            private(self.path)
        except OSError as error:
            raise output_error(self.path, error) from error
        with closing(sqlite3.connect(self.path, timeout=_WAIT_S)) as index:
            try:
                _open(index, reporter)
                self._update(index, reporter)
            except sqlite3.Error as error:
                raise InputError(
                    f"The index {self.path} cannot be used ({error}); remove it, and it is made anew."
                ) from error

    def _update(self, index: sqlite3.Connection, reporter: Reporter) -> None:
        if index.execute("SELECT count(*) FROM tree").fetchone() == (0,):
            index.execute("INSERT INTO tree VALUES (?)", (str(self.root),))
        known = {
            path: (size, changed) for path, size, changed in index.execute("SELECT path, bytes, changed_ns FROM files")
        }
        files = list(self._files())
        for number, (path, size, changed) in enumerate(files, 1):
            if known.pop(path, None) != (size, changed):
                self._read(index, path, size, changed)
            if number % _COMMIT_EVERY == 0 or number == len(files):
                index.commit()
                reporter.progress(number, len(files), "indexing DICOM files")
        index.executemany("DELETE FROM files WHERE path = ?", [(path,) for path in known])
        index.execute("DELETE FROM series WHERE id NOT IN (SELECT series FROM files WHERE series IS NOT NULL)")
        index.commit()

    def _files(self) -> Iterator[tuple[str, int, int]]:
        """Path below the root, bytes and time of each file, of the whole tree or those that a DICOMDIR names."""
        for path in _of_disc(self._disc) if self._disc else _below(self.root):
            try:
                state = path.stat()
            except OSError:  # a link that leads nowhere
                continue
            yield str(path.relative_to(self.root)), state.st_size, state.st_mtime_ns

    def _read(self, index: sqlite3.Connection, name: str, size: int, changed: int) -> None:
        path = self.root / name
        digest, frames, odd, series = "", 0, "", None
        try:
            kind, digest, frames, odd, series = self._looked_at(index, path)
        except OSError:  # the disk gave out: nobody knows what it holds
            kind = DAMAGED
        index.execute(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (name, str(Path(name).parent), size, changed, kind, digest, frames, odd, series),
        )

    def _looked_at(self, index: sqlite3.Connection, path: Path) -> tuple[str, str, int, str, int | None]:
        """Kind, header hash, frames, what makes it no scan, and the series of a file or of a folder that cannot be entered."""
        if path.is_dir():
            return DAMAGED, "", 0, "", None
        looks_so = ending_of(path) in DICOM_ENDINGS or is_dicom_file(path) or not os.access(path, os.R_OK)
        header = read_header(path, _MORE) if looks_so else None
        if header is None:
            return DAMAGED if is_damaged(path) else OTHER, "", 0, "", None
        odd = make_series("", [(path, header)]).odd_kind
        return IMAGE, header_sha256(path), frame_count(header), odd, self._series(index, header)

    def _series(self, index: sqlite3.Connection, header: Any) -> int:
        study, series = str(header.get("StudyInstanceUID", "")), str(header.get("SeriesInstanceUID", ""))
        patient = self._names.of("patient", str(header.get("PatientID", "")))
        key = (study, series, patient)
        found = index.execute(
            "SELECT id FROM series WHERE (study_uid, series_uid, patient) = (?, ?, ?)", key
        ).fetchone()
        if found:
            return int(found[0])
        tags = {name: value for name in TAGS if (value := plain_value(header, name)) not in (None, "")}
        row = index.execute(
            "INSERT INTO series (study_uid, series_uid, patient, tags) VALUES (?, ?, ?, ?)", (*key, json.dumps(tags))
        )
        return int(row.lastrowid or 0)

    def series(self) -> list[SeriesEntry]:
        """All series, by number."""
        query = """
            SELECT s.id, s.tags, s.patient,
                -- localisers among slices are left out where the series is read: it is odd where all of it is
                (SELECT min(odd_kind) FROM files f WHERE f.series = s.id),
                (SELECT sum(frames) FROM files f WHERE f.series = s.id),
                (SELECT count(*) FROM files d WHERE d.kind = 'damaged'
                    AND d.folder IN (SELECT folder FROM files f WHERE f.series = s.id))
            FROM series s ORDER BY s.id"""
        with _reading(self.path) as index:
            rows = index.execute(query).fetchall()
        return [
            SeriesEntry(number, json.loads(tags), int(slices), odd, int(damaged), patient)
            for number, tags, patient, odd, slices, damaged in rows
        ]

    def damaged(self) -> list[Path]:
        """The files that should be DICOM images and cannot be read."""
        with _reading(self.path) as index:
            rows = index.execute("SELECT path FROM files WHERE kind = 'damaged' ORDER BY path").fetchall()
        return [self.root / path for (path,) in rows]


def _open(index: sqlite3.Connection, reporter: Reporter) -> None:
    """Makes the tables; those of another version hold other elements and are made anew. A damaged index might lack slices.

    Raises:
        sqlite3.Error: it is damaged, or no index.
    """
    (found,) = index.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(" ".join(str(found).split())[:120])
    tables = {name for (name,) in index.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables & set(_TABLES) and index.execute("PRAGMA user_version").fetchone() != (_VERSION,):
        reporter.note("the index was made by another version; the tree is indexed anew")
        # As one change: a kill in between would lose the last number, which some run may have asked for.
        drop = "".join(f"DROP TABLE IF EXISTS {name};" for name in _TABLES)
        number = f"INSERT INTO sqlite_sequence VALUES ('series', {_last_number(index, tables)});"
        index.executescript(f"BEGIN IMMEDIATE;{drop}{_SCHEMA}{number}PRAGMA user_version = {_VERSION};COMMIT;")
    index.executescript(f"{_SCHEMA}PRAGMA user_version = {_VERSION};")


def _last_number(index: sqlite3.Connection, tables: set[str]) -> int:
    """The highest number that a series of the index has, or had before its files were gone."""
    asked = {
        "series": "SELECT max(id) FROM series",
        "sqlite_sequence": "SELECT seq FROM sqlite_sequence WHERE name = 'series'",
    }
    found = (index.execute(query).fetchone() for table, query in asked.items() if table in tables)
    return max((int(row[0]) for row in found if row is not None and row[0] is not None), default=0)


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=_WAIT_S)) as index:
            yield index
    except sqlite3.Error as error:
        raise InputError(
            f"The index {path} cannot be read here ({error}); it lies beside the secret, which every worker has to see: name one on "
            "the shared disk with --secret."
        ) from error


def _below(root: Path) -> Iterator[Path]:
    closed: list[Path] = []
    for here, folders, names in os.walk(root, onerror=lambda error: closed.append(Path(error.filename))):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(here) / name
            if not name.startswith(".") and name.upper() != "DICOMDIR" and path.is_file():
                yield path
    yield from closed  # folders that may hold slices and cannot be entered


def _of_disc(disc: Path) -> Iterator[Path]:
    """The files that a DICOMDIR names; those that are not there are damaged slices of their series, which nobody may miss."""
    import pydicom

    try:
        records = pydicom.dcmread(disc, specific_tags=["DirectoryRecordSequence"]).DirectoryRecordSequence
        named = [record.ReferencedFileID for record in records if "ReferencedFileID" in record]
    except Exception as error:  # pydicom raises many kinds for damaged files
        raise InputError(f"{disc} is no DICOMDIR that can be read; name the folder instead.") from error
    root = disc.parent.resolve()
    for parts in named:
        path = root.joinpath(*([parts] if isinstance(parts, str) else parts))
        if not path.resolve().is_relative_to(root):
            raise InputError(f"{disc} names a file outside its own folder; name the folder instead.")
        if not path.is_file():
            raise InputError(f"{disc} names a file that is not there; copy the whole disc, or name the folder instead.")
        yield path


def plain_value(header: Any, name: str) -> str | float | None:
    """The value of an element as a number where it is one, else as text."""
    if name == "ImageType":
        return "\\".join(image_type(header))
    value = header.get(name)
    if value in (None, ""):
        return None
    if name in ("SliceThickness", "SpacingBetweenSlices", "SeriesNumber", "Rows", "Columns"):
        try:
            return float(value)
        except (TypeError, ValueError):
            return None
    return str(value)


def _link(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source.resolve())
    except OSError:  # Windows without the right to make links
        shutil.copyfile(source, target)
