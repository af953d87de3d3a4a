"""One server: started, driven by its turns, and stopped."""

from __future__ import annotations

import gc
import logging
import random
from collections.abc import Callable, Sequence

from ..auth.directory import Changed
from ..config.config import Config
from ..config.stance import exposed, said_at_start
from ..events.notify import SubscriptionPolicy as SubscriptionPolicy
from ..io.certificates import Certificates
from ..io.clock import Clock
from ..io.commit import Writer
from ..io.ids import Ids
from ..io.inherited import Inherited
from ..io.network import Network, StartError
from ..io.rim import Rim
from ..io.udp import Trace
from ..ledger import shelf
from ..ledger.part import Here
from ..ledger.sqlite import SqliteStorage
from ..ledger.storage import Storage
from ..location.schema import SCHEMA
from ..routing.targets import Names
from ..sip.errors import ReginfoError
from ..sip.flow import Flow, Local
from ..sip.moment import Moment
from .admin import Admin
from .build import Assembly
from .policies import stream_limits
from .scripting import Scripting

logger = logging.getLogger("reginfo.server")


class App(Admin):
    """
    One server.

    Args:
        trace: called with each datagram: direction, bytes, our address, their address.
        clock, new_id, jitter: time and randomness; by default those of the machine.
    """

    def __init__(
        self,
        config: Config,
        *,
        trace: Trace | None = None,
        clock: Clock | None = None,
        new_id: Callable[[], str] | None = None,
        jitter: Callable[[], float] = random.random,
        inherited: Inherited | None = None,
    ) -> None:
        self._inherited = inherited
        assembly = Assembly(
            config, clock=clock or Clock(), new_id=new_id or Ids(), jitter=jitter
        )
        super().__init__(assembly)
        self._trace = trace
        self._changed = Changed([], [])
        self._database: Storage | None = None
        self.certificates: Certificates | None = None
        "Ours, and those that we trust, once the server has started."

        self._parts = assembly.parts
        self.handle = assembly.entrance.handle
        "Handles one event of the endpoint."

        self.endpoint = assembly.endpoint
        self.journal = assembly.journal
        self.turns = assembly.turns
        self.store = assembly.store
        self.notifier = assembly.notifier
        self.subscriber = assembly.subscriber
        self.publisher = assembly.publisher
        self.compositor = assembly.compositor
        self.relaying = assembly.relaying
        self.source = assembly.source
        self.sink = assembly.sink
        self.pua_reginfo = assembly.pua_reginfo

    # Life.

    async def start(self) -> None:
        """
        Load the stored state, bind the sockets, and serve.

        Raises:
            StartError: an address or the store is not available, the script or the
                file of users is wrong, or others reach a server without `[auth]`.
        """
        config = self._assembly.config
        if (problem := exposed(config)) is not None:
            raise StartError(problem)
        for said in said_at_start(config):
            logger.warning("= %s", said)
        writer = None
        try:
            if config.store.path is not None:
                self._database = SqliteStorage(
                    config.store.path, SCHEMA, synchronous=config.store.synchronous
                )
                self.load(self._database)
                writer = Writer(self._database)
            self.load_users()
            self.load_script()
            if any(one.transport.is_secure for one in config.server.listen):
                self.certificates = Certificates(config.tls)
            self._rim = Rim(self.turns, self, self._assembly.clock.now, writer=writer)
            self._network = Network(
                self._rim,
                self.endpoint,
                self._trace,
                max_message=config.server.max_message,
                max_head=config.limits.head,
                limits=stream_limits(config),
                inherited=self._inherited,
                certificates=self.certificates,
                web=config.websocket,
            )
            self._assembly.peers.identities = self._network.identities
            self._network.listen(config.server.listen, config.server.advertised)
            self._assembly.describers.append(self._network.crowd.describe)
            self._assembly.source_of = self._network.source_of
            self._names = self._network.resolver(
                config.dns, config.limits.dns_questions
            )
            self._assembly.is_open = self._network.is_open
            self._assembly.hang_up = self._network.hang_up
            self.listening = self._network.listening
            self.begin(self._rim.locals, self._names)
        except BaseException as exc:
            # The writer's thread would prevent the process from exiting.
            if writer is not None:
                writer.stop()
            if self._database is not None:
                self._database.close()
            if isinstance(exc, ReginfoError) and not isinstance(exc, StartError):
                raise StartError(str(exc)) from exc
            raise
        self._rim.start()
        self._network.start()

    def load(self, database: Storage) -> None:
        """Load the stored state; :meth:`begin` continues with it."""
        clock = self._assembly.clock
        last = database.last_commit
        if last is not None:
            clock.not_before(last)
        moment = clock.moment()
        # This creates many objects, and none of them is garbage.
        collects = gc.isenabled()
        gc.disable()
        try:
            shelf.load(
                database,
                self._parts.shelves,
                boot=moment.now,
                wall=moment.wall,
                boot_id=clock.boot_id,
            )
        finally:
            if collects:
                gc.enable()

    def load_users(self) -> None:
        """
        Read the users with passwords, if there are any.

        Raises:
            AccountError: they cannot be read; the previous ones stay in use.
        """
        self._changed = self._assembly.guarding.load()

    def reload_users(self) -> int:
        """
        Read the users again; registrations of those that are gone or locked end.

        Returns:
            How many users there are.

        Raises:
            AccountError: they cannot be read; the previous ones stay in use.
        """
        self.load_users()
        with self.turns.attempt():
            self._follow_users(self.turns.moment().now)
        self.turns.settle()
        return len(self._assembly.guarding.directory)

    def _follow_users(self, now: float) -> None:
        changed, self._changed = self._changed, Changed([], [])
        self._assembly.expulsion.carry_out(changed, now)

    def load_script(self) -> None:
        """
        Load the routing script, if one is configured.

        Raises:
            ScriptError: it is wrong.
        """
        path = self._assembly.config.server.script
        if path is not None:
            self._assembly.load_script(path)

    @property
    def script(self) -> Scripting | None:
        """The running script, if there is one."""
        return self._assembly.script

    def set_open(
        self, is_open: Callable[[Flow], bool], hang_up: Callable[[Flow], None]
    ) -> None:
        """Set how to find out whether a flow can still be used, and how to end one."""
        self._assembly.is_open = is_open
        self._assembly.hang_up = hang_up

    def begin(
        self,
        locals: Sequence[Local],
        names: Names,
    ) -> None:
        """
        Continue with the loaded state; subscribe and publish as configured.

        Args:
            locals: the addresses that we listen at.
            names: resolves other URIs.
        """
        moment = self.turns.moment()
        self._parts.begin(Here(tuple(locals), names), moment)
        self._follow_users(moment.now)
        self._assembly.outgoing.begin(locals, moment)

    def reload(self) -> None:
        """
        Read the users, the routing script and the certificates again.

        Connections keep the certificate that they began with.

        Raises:
            AccountError: the users cannot be read; all of before stays in use.
            ScriptError, CertificateError: one is wrong; the previous one stays in use.
        """
        self.reload_users()
        try:
            if self.script is not None:
                self.script.reload()
        finally:
            if self.certificates is not None:
                self.certificates.reload()

    def stop_script(self) -> None:
        """Cancel all handlers of the script."""
        if self.script is not None:
            self.script.stop()

    async def stop(self) -> None:
        """Commit all decisions, and close; nobody is notified, as for a restart."""
        self.stop_script()
        self._names.stop()
        self._network.stop()
        await self._rim.stop()
        if self._database is not None:
            self._database.close()

    # Driven by the turns, like :attr:`handle`.

    def flow_lost(self, flow: Flow, moment: Moment) -> None:
        """Receive the news that a stream was closed."""
        for lost in self._assembly.flow_lost:
            lost(flow, moment)

    @property
    def timer_at(self) -> float | None:
        """When to call :meth:`timer_due`; None for never."""
        return self._parts.timer_at

    def timer_due(self, moment: Moment) -> None:
        """Have each part do what is due, or some of it."""
        self._parts.timer_due(moment)

    def undone(self, moment: Moment) -> None:
        """Inform each part that a commit failed and was undone."""
        self._parts.undone(moment)
