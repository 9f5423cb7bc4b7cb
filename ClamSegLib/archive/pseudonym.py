"""Names of cases that tell nothing of the patient: an HMAC of a UID, with a secret that only the user can read.

Beside the secret lie the table that leads back and the indexes of DICOM trees: whatever holds paths and UIDs.
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from ClamSegLib.system.atomic_output import whole_file
from ClamSegLib.system.disk import output_error, private
from ClamSegLib.system.errors import InputError
from ClamSegLib.system.paths import settings_folder
from ClamSegLib.system.words import in_cell

LOOKUP = "lookup.csv"
LOOKUP_COLUMNS = ("case", "source", "study_uid", "series_uid")
_BYTES = 32
# 80 bits: of a million series two have the same name once in 2 x 10^12 archives.
_DIGITS = 20


def default_secret() -> Path:
    """Where the secret lies unless another place is named."""
    return settings_folder() / "archive" / "secret.key"


class Pseudonyms:
    """Makes names with the secret of a file, which is made where there is none.

    Args:
        path: of the secret, outside the output.

    Raises:
        InputError: the file holds no secret, or others may read it.
        OutputError: it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._secret = _read(self.path) if self.path.exists() else _made(self.path)

    @property
    def folder(self) -> Path:
        """Where secret, table and indexes lie."""
        return self.path.parent

    def of(self, kind: str, uid: str) -> str:
        """The name of a case, study, patient or file.

        Args:
            kind: of these words.
            uid: what identifies it, e.g. the UID of the series.
        """
        digest = hmac.new(self._secret, f"{kind}\0{uid}".encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()
        return f"{kind}-{digest[:_DIGITS]}"

    def write_lookup(self, rows: Iterable[dict[str, str]]) -> None:
        """Adds cases to the table that leads back; readable by this user only.

        Args:
            rows: with `LOOKUP_COLUMNS`.
        """
        path = self.folder / LOOKUP
        known: dict[str, dict[str, str]] = {}
        if path.exists():
            with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
                known = {row["case"]: row for row in csv.DictReader(file)}
        known |= {row["case"]: {name: in_cell(value) for name, value in row.items()} for row in rows}
        with whole_file(path) as part:
            private(part)
            with part.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
                writer = csv.DictWriter(file, LOOKUP_COLUMNS)
                writer.writeheader()
                writer.writerows(known.values())


def refuse_in_output(secret: Path, output: Path) -> None:
    """Refuses a secret that would lie in the output, from which it is to be kept.

    Raises:
        InputError: it would.
    """
    if secret.resolve().is_relative_to(output.resolve()):
        raise InputError(
            f"The secret {secret} would lie in the output, which is passed on; name a file elsewhere with --secret."
        )


def _made(path: Path) -> bytes:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        private(part)
        part.write_text(secrets.token_hex(_BYTES) + "\n", encoding="ascii")
        try:
            os.link(part, path)  # of two that make it at once, both take the one that came first
        except FileExistsError:
            pass
        except OSError:  # a disk without links
            part.replace(path)
        part.unlink(missing_ok=True)
    except OSError as error:
        raise output_error(path, error) from error
    return _read(path)


def _read(path: Path) -> bytes:
    try:
        if os.name != "nt" and path.stat().st_mode & 0o077:
            raise InputError(f"The secret {path} can be read by others; run: chmod 600 {path}")
        secret = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} holds no secret ({error}); name the file of another one, or a new file.") from error
    if len(secret) < _BYTES:
        raise InputError(
            f"{path} holds no secret of {_BYTES} bytes in hexadecimal; name the file of another one, or a new file."
        )
    return secret
