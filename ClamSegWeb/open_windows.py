"""How many windows show the page: all of them show and change the same scene, and each says so."""

from __future__ import annotations

from typing import Any

from wslink.websocket import LinkProtocol


class OpenWindows(LinkProtocol):  # type: ignore[misc]  # wslink has no types
    """Counts the browsers' connections in the page's state.

    Args:
        server: trame's.
    """

    def __init__(self, server: Any) -> None:
        super().__init__()
        self._state = server.state
        self._clients: set[str] = set()
        self._state.windows_open = 0
        server.add_protocol_to_configure(lambda protocol: protocol.registerLinkProtocol(self))

    # Names of wslink.
    def onConnect(self, _request: Any, client_id: str) -> None:  # noqa: N802
        """A window came."""
        self._clients.add(client_id)
        self._tell()

    def onClose(self, client_id: str) -> None:  # noqa: N802
        """A window went."""
        self._clients.discard(client_id)
        self._tell()

    def _tell(self) -> None:
        self._state.windows_open = len(self._clients)
        self._state.flush()
