"""Names that nobody has to find: all that a benchmark talks to is an address."""

from __future__ import annotations

from collections.abc import Callable

from reginfo.sip.destination import Destination
from reginfo.sip.errors import RemoteProtocolError
from reginfo.sip.uri import Uri


class Nowhere:
    """What a server is given to find names by."""

    def find(
        self,
        uri: Uri,
        found: Callable[[list[Destination] | RemoteProtocolError], None],
    ) -> None:
        found(RemoteProtocolError(f"{uri.host}: not looked for", status=404))
