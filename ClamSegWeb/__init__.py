"""ClamSeg in a browser: a small front on the parts that the Slicer panel uses, on Slicer's own core.

    clamseg web [FILES]

The page shows one scene, like Slicer does: a reload and a second tab show the same. For research, not for diagnosis.
"""

from __future__ import annotations

import sys
from pathlib import Path

# In a source tree the shared rooms lie in the extension's folder; installed, they stand beside this package.
_ROOMS = Path(__file__).resolve().parent.parent / "ClamSeg"
if _ROOMS.is_dir() and str(_ROOMS) not in sys.path:
    sys.path.append(str(_ROOMS))
