"""Linked servers behind relays that lose, double, delay and cut."""

from __future__ import annotations

import os
import time
from pathlib import Path
from random import Random

from .phone import DOMAIN, Phone, becomes, eventually
from .relay import Relay
from .server import Server
from .test_links import GROUP

SECONDS = float(os.environ.get("REGINFO_RELAY_SECONDS", "12"))
"""Seconds of faults; `make soak` plays 300."""

SEED = int(os.environ.get("REGINFO_RELAY_SEED", "1"))
LOSS = 0.3
USERS = 20


class Behind(Server):
    """A server that others reach by a relay only."""

    relay: Relay

    def configuration(self) -> str:
        told = f'advertise = "127.0.0.1:{self.relay.port}"\nadmin ='
        return super().configuration().replace("admin =", told, 1)


def link(to: Behind, transport: str) -> str:
    by = f";transport={transport}"
    return (
        f'name = "{to.name}"\nuri = "sip:127.0.0.1:{to.relay.port}{by}"\n'
        f'watch = "sip:allusers@{DOMAIN}"'
    )


def table(server: Server) -> set[tuple[str, str]]:
    return {(one["aor"], one["uri"]) for one in server.all_bindings()}


def test_servers_are_equal_35_s_after_whatever_the_network_has_done(
    tmp_path: Path,
) -> None:
    """3680-163: 30 % are lost, doubled and late, streams are cut, and one is killed."""
    random = Random(SEED)
    group = f'{GROUP}\nallow = ["all"]'
    a = Behind(tmp_path / "a", name="a", tcp=True, sections=[group])
    b = Behind(tmp_path / "b", name="b", tcp=True, sections=[group])
    with (
        Relay(a.address, loss=0.0, random=random) as to_a,
        Relay(b.address, loss=0.0, random=random) as to_b,
    ):
        a.relay, b.relay = to_a, to_b
        a.peers, b.peers = (link(b, "tcp"),), (link(a, "udp"),)
        with a, b, Phone(a.address) as at_a, Phone(b.address) as at_b:
            phones = {"a": at_a, "b": at_b}
            for phone in phones.values():
                eventually(lambda phone=phone: phone.register("u0", expires=600))  # type: ignore[misc]
            becomes(lambda: len(table(a)), 2)
            becomes(lambda: table(b), table(a))
            bound = {("u0", "a"), ("u0", "b")}
            to_a.loss = to_b.loss = LOSS
            begin = time.monotonic()
            plan = [0.2, 0.4, 0.6, 0.75]  # a cut, a kill, its restart, another cut
            is_down = False
            while (passed := time.monotonic() - begin) < SECONDS:
                if plan and passed > plan[0] * SECONDS:
                    plan.pop(0)
                    match len(plan):
                        case 3:
                            to_a.cut(time.monotonic() + 0.15 * SECONDS)
                        case 2:
                            b.kill()
                            is_down = True
                        case 1:
                            b.start()
                            is_down = False
                        case _:
                            to_b.cut(time.monotonic() + 0.1 * SECONDS)
                at = "a" if is_down else random.choice("ab")
                user = f"u{random.randrange(USERS)}"
                if random.random() < 0.3:
                    phones[at].register(user, expires=0)
                    bound.discard((user, at))
                else:
                    phones[at].register(user, expires=600)
                    bound.add((user, at))
                time.sleep(0.02)
            to_a.loss = to_b.loss = 0.0
            expected = {
                (f"sip:{user}@{DOMAIN}", phones[at].contact(user)) for user, at in bound
            }
            begin = time.monotonic()
            becomes(lambda: table(a) == table(b), True, within=35.0)
            assert table(a) == expected
            assert time.monotonic() - begin < 35.0
