"""The links of a server: those that it serves, and those that it holds."""

from __future__ import annotations

from collections.abc import Callable

from ..config.config import Config
from ..events.notify import SubscriptionPolicy
from ..events.wanted import FlowTo
from ..ledger.journal import Journal
from ..location.store import LocationStore
from ..routing.domains import Domains
from ..routing.in_dialog import InDialog
from ..routing.learned import OwnerPaths
from ..routing.nat import Nat
from ..sip.endpoint import Endpoint
from ..sip.flow import Flow
from ..sip.message import Draft, Request
from ..sip.token import Tokens
from ..sip.uri import Uri
from ..sip.user import User
from ..sync.group import Group
from ..sync.group_notifier import GroupNotifier
from ..sync.group_watch import GroupWatch
from ..sync.held_link import HeldLink, LinkSubscribe
from ..sync.sink import LinkSink
from ..sync.source import LinkSource
from .peers import Peers


class Linking:
    """
    The groups of the configuration, and the parts that serve and hold them.

    Args:
        policy: how long a subscription to a group lasts.
        is_open, hang_up: whether the stream of a flow is open, and how to end it.
        flow_to: finds the flow to a peer, by its name.
        believes: whether the From of a request is that of its sender; None: it is.
        foreign: is called with a link to a peer that turns out to be of another kind.
    """

    def __init__(
        self,
        config: Config,
        store: LocationStore,
        journal: Journal,
        *,
        endpoint: Endpoint,
        domains: Domains,
        peers: Peers,
        nat: Nat,
        tokens: Tokens,
        in_dialog: InDialog,
        policy: SubscriptionPolicy,
        is_open: Callable[[Flow], bool],
        hang_up: Callable[[Flow], None],
        foreign: Callable[[HeldLink, float], None],
        flow_to: FlowTo,
        believes: Callable[[Request], bool] | None,
        new_id: Callable[[], str],
        jitter: Callable[[], float],
    ) -> None:
        self._endpoint = endpoint
        self._in_dialog = in_dialog
        table = config.pua_reginfo.ul_domain
        named = [(domains.aor(Uri.parse(one.uri)), one) for one in config.groups]
        self.groups = {aor: Group(one, aor, table, believes) for aor, one in named}
        "The groups by URI, in the form of addresses-of-record."

        paths = OwnerPaths(config.server.id, nat, tokens, domains.is_ours)
        self.source = LinkSource(
            store,
            journal,
            server_id=config.server.id,
            groups=list(self.groups.values()),
            send=endpoint.send_request,
            new_id=new_id,
            jitter=jitter,
            policy=policy,
            recognise=peers.recognise,
            is_open=is_open,
            datagram_only=endpoint.is_datagram_only,
            path_of=paths.path_of,
            verify=config.sync.verify,
        )
        self.sink = LinkSink(
            store,
            journal,
            send=self._send,
            new_id=new_id,
            jitter=jitter,
            close=hang_up,
            foreign=foreign,
            flow_to=flow_to,
            own=paths.own,
        )

        self.watchers = GroupNotifier(
            store,
            journal,
            groups=list(self.groups.values()),
            send=self._send_notify,
            policy=policy,
            recognise=peers.recognise,
            jitter=jitter,
            datagram_only=endpoint.is_datagram_only,
        )

    def _send_notify(self, draft: Draft, flow: Flow, user: User) -> None:
        """Send a NOTIFY to where its dialog leads; ``flow`` was an estimate."""
        assert isinstance(user, GroupWatch)
        dialog = user.row.subscription.dialog
        self._in_dialog.send(draft, dialog.first_uri, dialog.flow, user)

    def _send(self, draft: Draft, flow: Flow, user: LinkSubscribe) -> None:
        """Send a SUBSCRIBE: the first one on ``flow``, later ones in the dialog."""
        dialog = user.link.subscription.dialog
        if dialog is None or not dialog.remote_tag or flow.local.is_reliable:
            self._endpoint.send_request(draft, flow, user)
        else:
            self._in_dialog.send(draft, dialog.first_uri, dialog.flow, user)
