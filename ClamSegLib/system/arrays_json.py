"""Arrays in JSON, to the last bit: for answers between processes that unpickle nothing."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Counts are mostly zeros: more effort gains nothing.
_EFFORT = 1


def packed(array: NDArray[Any]) -> dict[str, Any]:
    """The array as JSON values."""
    content = zlib.compress(np.ascontiguousarray(array).tobytes(), _EFFORT)
    return {"kind": array.dtype.str, "shape": list(array.shape), "zlib": base64.b64encode(content).decode("ascii")}


def unpacked(told: dict[str, Any]) -> NDArray[Any]:
    """The array that `packed` told of."""
    content = zlib.decompress(base64.b64decode(told["zlib"]))
    return np.frombuffer(content, np.dtype(told["kind"])).reshape(told["shape"]).copy()
