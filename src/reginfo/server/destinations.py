"""Where peers and presence servers are: their names are resolved again and again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..ledger.part import Description, Here, Moment, Names
from ..ledger.shelf import Rows
from ..sip.destination import Destination
from ..sip.errors import RemoteProtocolError
from ..sip.flow import Flow, is_numeric
from ..sip.uri import Uri

logger = logging.getLogger("reginfo.server")

AGAIN = 2.0
"""
Seconds after which a name is looked at again. The resolver answers from its cache until
the TTL of the record is over, so that a name server is not asked more often than that.
"""

NO_FLOW = "no listener can send to an address of its kind"


class FollowedUri:
    """One URI of the configuration, and where it leads at present."""

    __slots__ = (
        "asking", "failed", "flows", "is_numeric", "label", "problem", "text", "uri",
    )  # fmt: skip

    def __init__(self, label: str, text: str) -> None:
        self.label = label
        "What it is the URI of, for people: `peer b`."

        self.text = text
        "As the configuration has it."

        self.uri = uri = Uri.parse(text)
        host = (uri.param("maddr") or uri.host).strip("[]")
        self.is_numeric = is_numeric(host)
        self.flows: list[Flow] = []
        "Best first. If the name is not found any more, those of before."

        self.failed: set[Flow] = set()
        "Those of them that have failed since the last time that all had."

        self.problem: str | None = None
        self.asking = False


Changed = Callable[[str, list[Flow], Moment], None]
"""Is called with a URI and its flows when other addresses are known than before."""


class Destinations:
    """
    The URIs of the configuration that are servers, and the flows to them.

    A name that is not found is a problem that is shown, and looked at again. A server
    with several addresses is reached at the next one when one fails.

    Args:
        by: the flow to a destination; None if no listener can send there.
        changed: is called when other addresses are known than before.
        moment: reads both clocks.
    """

    def __init__(
        self,
        *,
        by: Callable[[Destination], Flow | None],
        changed: Changed,
        moment: Callable[[], Moment],
    ) -> None:
        self._by = by
        self._changed = changed
        self._moment = moment
        self._followed: dict[str, FollowedUri] = {}
        self._names: Names | None = None
        self._timer_at: float | None = None

    def begin(self, here: Here, moment: Moment) -> None:
        """Set what resolves names."""
        self._names = here.names

    def follow(self, labels: Iterable[tuple[str, str]], moment: Moment) -> None:
        """
        Find where URIs lead, and take note of it from now on.

        Args:
            labels: each URI, with a label for messages, such as ``peer b``.
        """
        for uri, label in labels:
            if uri not in self._followed:
                self._followed[uri] = FollowedUri(label, uri)
        for followed in self._followed.values():
            self._look(followed)
        self._plan(moment)

    def flow(self, uri: str) -> Flow | None:
        """The flow to a URI that is followed; None if its name was never found."""
        followed = self._followed.get(uri)
        return followed.flows[0] if followed is not None and followed.flows else None

    def flows(self, uri: str) -> list[Flow]:
        """All flows to a URI that is followed, best first."""
        followed = self._followed.get(uri)
        return [] if followed is None else list(followed.flows)

    def failed(self, uri: str, flow: Flow) -> Flow | None:
        """
        Note that a server did not answer at one of its addresses.

        Returns:
            another flow to be tried at once; None if all of them have failed.
        """
        followed = self._followed.get(uri)
        if followed is None or flow not in followed.flows:
            return self.flow(uri)  # it was an address of before
        flows, failed = followed.flows, followed.failed
        failed.add(flow)
        flows.remove(flow)
        flows.append(flow)
        left = [one for one in flows if one not in failed]
        if not left:
            failed.clear()
            return None
        return left[0]

    def problem(self, uri: str) -> str | None:
        """Why a URI cannot be reached at all; None if it can, or is not followed."""
        followed = self._followed.get(uri)
        return None if followed is None else followed.problem

    def problems(self) -> list[str]:
        """What is wrong, for the health of the server."""
        return [
            f"{one.label}: {one.problem}"
            for one in self._followed.values()
            if one.problem is not None
        ]

    # A part of a server.

    @property
    def shelves(self) -> Sequence[Rows[Any]]:
        """Nothing: after a restart, all names are looked at."""
        return ()

    @property
    def timer_at(self) -> float | None:
        return self._timer_at

    def timer_due(self, moment: Moment) -> None:
        """Look at all names again."""
        if self._timer_at is None or moment.now < self._timer_at:
            return
        for followed in self._followed.values():
            if not followed.is_numeric:
                self._look(followed)
        self._plan(moment)

    def undone(self, moment: Moment) -> None:
        """Do nothing: names are looked at again anyway."""

    def describe(self) -> Description:
        """Describe how many servers are named, and how many are not found."""
        unknown = len(self.problems())
        line = f"servers: {len(self._followed)}"
        if unknown:
            line += f", not found: {unknown}"
        figures = {"servers": len(self._followed), "unknown": unknown}
        return Description("destinations", line, figures)

    # How.

    def _plan(self, moment: Moment) -> None:
        names = sum(not one.is_numeric for one in self._followed.values())
        # Of very many names not all are looked at together that often.
        pause = max(AGAIN, names / 100)
        self._timer_at = moment.now + pause if names else None

    def _look(self, followed: FollowedUri) -> None:
        assert self._names is not None
        if followed.asking:
            return
        followed.asking = True

        def found(destinations: list[Destination] | RemoteProtocolError) -> None:
            followed.asking = False
            self._found(followed, destinations)

        self._names.find(followed.uri, found)

    def _found(
        self,
        followed: FollowedUri,
        destinations: list[Destination] | RemoteProtocolError,
    ) -> None:
        problem = None
        flows: list[Flow] = []
        if isinstance(destinations, RemoteProtocolError):
            problem = str(destinations)
        else:
            for destination in destinations:
                flow = self._by(destination)
                if flow is not None and flow not in flows:
                    flows.append(flow)
            if not flows:
                problem = f"{followed.uri.host}: {NO_FLOW}"
        self._note(followed, problem)
        if not flows or set(flows) == set(followed.flows):
            # Servers of equal weight come in another order each time.
            return
        first = followed.flows[:1]
        if first and first[0] in flows:
            # The address that is in use stays in use.
            flows.remove(first[0])
            flows.insert(0, first[0])
        if followed.flows:
            where = ", ".join(str(flow.remote[0]) for flow in flows)
            logger.warning("= %s is at %s now", followed.label, where)
        followed.flows, followed.failed = flows, set()
        self._changed(followed.text, list(flows), self._moment())

    def _note(self, followed: FollowedUri, problem: str | None) -> None:
        """Take note of a problem, or that there is none any more; log it once."""
        before, followed.problem = followed.problem, problem
        if problem == before:
            return
        if problem is None:
            logger.warning("= %s: %s is found", followed.label, followed.uri.host)
        else:
            logger.warning("! %s: %s", followed.label, problem)
