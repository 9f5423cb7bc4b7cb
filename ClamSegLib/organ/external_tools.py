"""Organ programs a user may have installed: TotalSegmentator, lungmask, HD-BET. Found at run time, never required.

Each runs as its own command on a NIfTI file in a folder of our own, so that a crash there ends in one line here.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from ClamSegLib.imaging.read_write import read_volume, write_volume
from ClamSegLib.imaging.volume import Array, Volume
from ClamSegLib.system.errors import ClamSegError, InputError

# The command, its package, and its arguments; lung lobes are TotalSegmentator's names for parts of the lungs.
_COMMANDS: dict[str, tuple[str, str, list[str]]] = {
    "totalsegmentator": (
        "TotalSegmentator",
        "TotalSegmentator",
        ["-i", "{input}", "-o", "{output}", "--ml", "--fast", "--roi_subset", "lung_upper_lobe_left", "lung_lower_lobe_left",
         "lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right"],
    ),
    "lungmask": ("lungmask", "lungmask", ["{input}", "{output}"]),
    "hd-bet": ("hd-bet", "hd-bet", ["-i", "{input}", "-o", "{output}", "-device", "cpu", "--disable_tta", "--save_bet_mask", "--no_bet_image"]),
}  # fmt: skip
_TIMEOUT_S = 3600


def run_plugin(name: str, volume: Volume) -> Array:
    """The organ mask (slice, row, column) of a canonical volume by an installed program.

    Raises:
        InputError: the program is not installed.
        ClamSegError: it failed, or gave no mask on the same grid.
    """
    command, package, pattern = _COMMANDS[name]
    program = shutil.which(command)
    if program is None:
        raise InputError(
            f"Organ method '{name}' needs the program {command}; install it with pip install {package}, or use --organ auto."
        )
    with tempfile.TemporaryDirectory(prefix="clamseg-organ-") as folder:
        source, target = Path(folder) / "image.nii.gz", Path(folder) / "organ.nii.gz"
        write_volume(np.ascontiguousarray(volume.array), volume, source)
        arguments = [part.format(input=source, output=target) for part in pattern]
        try:
            done = subprocess.run(
                [program, *arguments], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ClamSegError(f"{command} did not finish ({type(error).__name__}); use --organ auto.") from error
        # HD-BET writes its mask beside the output under a name of its own.
        written = next((p for p in (Path(folder) / "organ_bet.nii.gz", target) if p.is_file()), None)
        if done.returncode != 0 or written is None:
            words = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no message"]
            raise ClamSegError(f"{command} failed ({words[0][:160]}); use --organ auto.")
        found = read_volume(written)
    if found.array.shape != volume.array.shape:
        raise ClamSegError(
            f"{command} answered on another grid ({found.array.shape} instead of {volume.array.shape}); use --organ auto."
        )
    return np.asarray(found.array > 0)
