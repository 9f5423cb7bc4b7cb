"""Where a reader's corrections are saved, and where the next fine-tuning looks for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SETTING = "correctionsFolder"


def corrections_folder(panel: Any) -> Path:
    """The folder of this computer's setting, `~/ClamSeg/corrections` unless chosen; it need not exist yet."""
    chosen = panel.setting(SETTING, "").strip()
    return Path(chosen) if chosen else Path.home() / "ClamSeg" / "corrections"
