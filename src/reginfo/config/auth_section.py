"""``[auth]``: who may use this server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Struct

from .values import duration, flag, one_of, realm, several, sip_uri, users_place


class AuthSection(Struct, frozen=True, kw_only=True):
    """``[auth]``: who may use this server; digest authentication (RFC 8760)."""

    users: Annotated[Path | str | None, users_place] = None
    """
    Where the users and the hashes of their passwords are: the path of a file that
    `reginfo user` writes; or `script`, for a function of the routing script.
    """

    required: Annotated[bool, flag] = True
    """
    Whether requests in the name of our users need their passwords. `false` lets
    everybody be anybody: for closed networks. A script can ask for passwords itself.
    """

    algorithms: Annotated[
        tuple[str, ...],
        several(one_of("SHA-256", "SHA-512-256", "MD5"), at_least=1),
    ] = ("SHA-256",)
    """
    The algorithms that are offered, the strongest first. `MD5` is weak, and the only
    one that many phones know.
    """

    realm: Annotated[str | None, realm] = None
    "The realm of all challenges; by default the domain of the user."

    nonce_lifetime: Annotated[float, duration] = 3_600.0
    "How long a client may use a nonce before it is given another one."

    administrators: Annotated[tuple[str, ...], several(sip_uri)] = ()
    "Users that may register others, and watch anybody."
