"""Where a request is sent: one of its target set (RFC 3261 §16.5)."""

from __future__ import annotations

from ..sip.flow import Flow
from ..sip.uri import Uri


class Target:
    """A URI, how much it is preferred, and how it is reached."""

    __slots__ = ("flow", "q", "route", "uri")

    def __init__(
        self,
        uri: Uri,
        q: float = 1.0,
        route: tuple[str, ...] = (),
        flow: Flow | None = None,
    ) -> None:
        self.uri = uri
        self.q = q
        self.route = route
        "Route set to it, topmost first: the Path of a contact (RFC 3327)."

        self.flow = flow
        "The only way to reach it; None if that is found by its URI."

    def __repr__(self) -> str:
        return f"Target({self.uri.text!r}, q={self.q:g})"


def by_preference(targets: list[Target]) -> list[list[Target]]:
    """Targets in groups of one `q`, the greatest first (RFC 3261 §16.6)."""
    groups: dict[float, list[Target]] = {}
    for target in targets:
        groups.setdefault(target.q, []).append(target)
    return [groups[q] for q in sorted(groups, reverse=True)]
