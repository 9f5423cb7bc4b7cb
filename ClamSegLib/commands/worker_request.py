"""What a request to the worker must hold."""

from __future__ import annotations

from typing import Any

from ClamSegLib.system.errors import InputError


def need(request: dict[str, Any], *names: str) -> None:
    """Raises InputError where one of these values of a request is no text, is empty, or has a NUL character."""
    missing = [name for name in names if not isinstance(request.get(name), str) or not request[name]]
    if missing:
        raise InputError(f"The request '{request['command']}' needs {', '.join(missing)} as text.")
    if any("\0" in request[name] for name in names):
        raise InputError(
            f"The request '{request['command']}' has a NUL character in {', '.join(names)}; none is allowed."
        )
