"""Bindings as a document lists them: what the notifier and the publisher share."""

from __future__ import annotations

from ..location.binding import Binding
from ..reg.document import Claim, Contact, contact_id


def contact_of(binding: Binding, aor: str, with_claim: bool) -> Contact:
    """
    A binding as a document lists it, without what changes with time.

    Args:
        with_claim: for a server of our kind, which wants to know whose it is, and
            since when. Nobody else is told.
    """
    return Contact(
        id=contact_id(aor, binding.key),
        uri=binding.contact,
        event=binding.event,
        q=binding.q,
        callid=binding.call_id,
        cseq=binding.cseq,
        display_name=binding.display_name or None,
        params=binding.params,
        retry_after=binding.retry_after,
        claim=Claim(
            owner=binding.owner,
            stamp=binding.stamp,
            path=binding.path,
            received=binding.received,
            user_agent=binding.user_agent,
        )
        if with_claim
        else None,
    )
