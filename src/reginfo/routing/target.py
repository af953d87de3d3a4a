"""The targets of a request: the URIs to send it to (RFC 3261 §16.5)."""

from __future__ import annotations

from ..sip.flow import Flow, Local
from ..sip.uri import Uri


class Target:
    """A URI to send to, with its preference and, if known, its route and flow."""

    __slots__ = ("flow", "local", "q", "route", "uri")

    def __init__(
        self,
        uri: Uri,
        q: float = 1.0,
        route: tuple[str, ...] = (),
        flow: Flow | None = None,
        local: Local | None = None,
    ) -> None:
        self.uri = uri
        self.q = q
        self.route = route
        "The route set to it, topmost first: the Path of a contact (RFC 3327)."

        self.flow = flow
        "The only flow that reaches it; None to resolve its URI (RFC 3263)."

        self.local = local
        "The local address to send from, if there is a choice."

    @property
    def is_secure_enough(self) -> bool:
        """Whether its flow may be used: to a `sips:` URI, only a secure one."""
        if self.flow is None or self.uri.scheme != "sips":
            return True
        return self.flow.local.transport.is_secure

    def downgrade(self) -> None:
        """
        Make a `sips:` URI a `sip:` URI, if its own flow reaches it, which is secure.

        A request must not become `sips:` on its way (RFC 5630 §5.3).
        """
        if self.flow is not None and self.uri.scheme == "sips":
            self.uri = Uri.parse(f"sip{self.uri.text[4:]}")

    def __repr__(self) -> str:
        return f"Target({self.uri.text!r}, q={self.q:g})"


def by_preference(targets: list[Target]) -> list[list[Target]]:
    """Group targets by `q`, the greatest first (RFC 3261 §16.6)."""
    groups: dict[float, list[Target]] = {}
    for target in targets:
        groups.setdefault(target.q, []).append(target)
    return [groups[q] for q in sorted(groups, reverse=True)]
