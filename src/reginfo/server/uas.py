"""The user agent server: answers the requests that are for us (RFC 3261 §8.2)."""

from __future__ import annotations

import email.utils
import logging
from collections.abc import Callable

from ..location.place import Place
from ..location.store import LocationStore
from ..pua_reginfo import PuaReginfo
from ..reg import xml
from ..roles import registrar
from ..roles.compositor import Compositor
from ..roles.notifier import Notifier
from ..roles.subscriber import Subscriber
from ..routing.domains import Domains
from ..sip.demands import check_extensions, understands_body
from ..sip.errors import Refusal
from ..sip.event import RequestReceived
from ..sip.flow import Flow
from ..sip.message import Request, Response, request_uri
from ..sip.moment import Moment
from ..sync.group_notifier import GroupNotifier
from ..sync.sink import LinkSink
from ..sync.source import LinkSource
from .peers import Peers

logger = logging.getLogger("reginfo.server")

METHODS = ("REGISTER", "SUBSCRIBE", "NOTIFY", "PUBLISH", "OPTIONS")
"""The methods that this server answers; any other is for somebody else."""


class Uas:
    """
    Answers requests with the roles of this server.

    Each method returns the response, or raises a `Refusal` or `RemoteProtocolError`;
    then the caller must undo its changes.
    """

    def __init__(
        self,
        store: LocationStore,
        *,
        server_id: str,
        policy: registrar.RegistrarPolicy,
        domains: Domains,
        peers: Peers,
        notifier: Notifier,
        subscriber: Subscriber,
        compositor: Compositor,
        pua_reginfo: PuaReginfo,
        table: str,
    ) -> None:
        self._store = store
        self._server_id = server_id
        self._policy = policy
        self._domains = domains
        self._peers = peers
        self._notifier = notifier
        self._subscriber = subscriber
        self._compositor = compositor
        self._pua_reginfo = pua_reginfo
        self._table = table
        self._date = (0, "")
        self._source: LinkSource | None = None
        self._sink: LinkSink | None = None
        self._groups: GroupNotifier | None = None
        self.handlers: dict[str, Callable[[RequestReceived, Moment], Response]] = {
            "REGISTER": self._register,
            "SUBSCRIBE": self._subscribe,
            "NOTIFY": self._notify,
            "PUBLISH": self._publish,
            "OPTIONS": self._options,
        }
        "The handlers without a script, by method."

    def connect(
        self, source: LinkSource, sink: LinkSink, groups: GroupNotifier
    ) -> None:
        """Set what serves and holds links, and serves groups, where there are any."""
        self._source = source
        self._sink = sink
        self._groups = groups

    def register(
        self,
        request: Request,
        flow: Flow,
        table: str,
        moment: Moment,
        is_published: bool = True,
    ) -> registrar.Decision:
        """
        Process a REGISTER.

        Args:
            is_published: whether to publish the changes.
        """
        if self._sink is not None:
            self._sink.check_ready(moment.now)
        if request_uri(request).host not in self._domains:
            raise Refusal(404, "Not Found")  # §10.3 step 1
        aor = self._domains.served(request.to.parsed)
        if aor is None:
            raise Refusal(404, "Not Found")  # §10.3 step 5
        place, wall = Place(table, aor), moment.wall
        decision = registrar.decide(
            request,
            self._store.contacts(place, moment.now, wall),
            policy=self._policy,
            server_id=self._server_id,
            flow=flow,
            date=self._date_at(wall),
        )
        if decision.claims or decision.records:
            self._store.apply(
                place,
                decision.claims,
                moment.now,
                records=decision.records,
                is_published=is_published,
            )
        return decision

    def subscribe(
        self, request: Request, flow: Flow, tag: str, moment: Moment
    ) -> Response:
        """
        Process a SUBSCRIBE.

        Args:
            tag: the To tag of the response.
        """
        aor, source = self._domains.aor(request_uri(request)), self._source
        if source is not None and source.takes(request, aor):
            return source.receive_subscribe(
                request, flow, tag=tag, resource=aor, now=moment.now
            )
        groups = self._groups
        if groups is not None and groups.takes(request, aor):
            return groups.receive_subscribe(
                request, flow, tag=tag, resource=aor, now=moment.now
            )
        return self._notifier.receive_subscribe(
            request, flow, tag=tag, aor=aor, now=moment.now
        )

    def publish(self, request: Request, flow: Flow, moment: Moment) -> Response:
        """Process a PUBLISH."""
        aor = self._domains.aor(request_uri(request))
        if not self._domains.serve(aor):
            raise Refusal(404, "Not Found")
        peer = self._peers.sender(request, flow)
        if peer is None:
            # Only configured peers may publish for users.
            raise Refusal(403, "Forbidden")
        if not self._peers.may_tell(peer.name, aor):
            raise Refusal(403, "Not Your User")
        return self._compositor.receive_publish(
            request, peer=peer.name, aor=aor, now=moment.now, wall=moment.wall
        )

    def unsolicited(self, request: Request, flow: Flow) -> str | None:
        """Return the peer that may send this NOTIFY without a subscription, if any."""
        if self._subscriber.knows(request) or self._is_of_a_link(request):
            return None
        peer = self._peers.sender(request, flow)
        return peer.name if peer is not None and peer.unsolicited else None

    def expects(self, request: Request, flow: Flow) -> bool:
        """Whether a NOTIFY matches a subscription, or is from an `unsolicited` peer."""
        return (
            self._is_of_a_link(request)
            or self._subscriber.expects(request)
            or self.unsolicited(request, flow) is not None
        )

    def notify(self, request: Request, flow: Flow, table: str, moment: Moment) -> int:
        """Process a NOTIFY; return 1 or 2, as :meth:`PuaReginfo.handle_notify` does."""
        if self._sink is not None and self._sink.knows(request):
            self._sink.receive_notify(request, flow, moment.now, moment.wall)
            return 1
        return self._pua_reginfo.handle_notify(
            request,
            flow,
            table,
            unsolicited=self.unsolicited(request, flow),
            now=moment.now,
            wall=moment.wall,
        )

    def _is_of_a_link(self, request: Request) -> bool:
        return self._sink is not None and self._sink.knows(request)

    def _register(self, event: RequestReceived, moment: Moment) -> Response:
        request = event.transaction.request
        return self.register(request, event.flow, self._table, moment).response

    def _subscribe(self, event: RequestReceived, moment: Moment) -> Response:
        transaction = event.transaction
        return self.subscribe(event.request, event.flow, transaction.to_tag, moment)

    def _notify(self, event: RequestReceived, moment: Moment) -> Response:
        self.notify(event.request, event.flow, self._table, moment)
        return Response(200, "OK")

    def _publish(self, event: RequestReceived, moment: Moment) -> Response:
        return self.publish(event.request, event.flow, moment)

    def _options(self, event: RequestReceived, moment: Moment) -> Response:
        check_extensions(event.request, registrar.EXTENSIONS)
        understands_body(event.request, None)
        headers = {
            "Allow": [", ".join(METHODS)],
            "Accept": [xml.MEDIA_TYPE],
            "Supported": [", ".join(sorted(registrar.EXTENSIONS))],
            "Allow-Events": [xml.PACKAGE],
        }
        return Response(200, "OK", headers)

    def _date_at(self, wall: float) -> str:
        second = int(wall)
        if self._date[0] != second:
            self._date = (second, email.utils.formatdate(second, usegmt=True))
        return self._date[1]
