"""Checks Require and the body of a request (RFC 3261 §8.2.2.3, §8.2.3)."""

from __future__ import annotations

from collections.abc import Collection

from .errors import Refusal, RemoteProtocolError
from .headers import parse_params
from .message import Request


def check_extensions(request: Request, supported: Collection[str] = ()) -> None:
    """
    Refuse a request that requires an extension which is not in ``supported``.

    Do not call it for ACK and CANCEL, in which Require is ignored (§8.2.2.3).

    Args:
        supported: option tags in lower case.

    Raises:
        Refusal: 420, with the unsupported extensions.
    """
    if "Require" not in request.headers:
        return
    required = request.values("Require")
    unknown = [option for option in required if option.lower() not in supported]
    if unknown:
        unsupported = [("Unsupported", ", ".join(unknown))]
        raise Refusal(420, "Bad Extension", headers=unsupported)


def understands_body(request: Request, media_type: str | None) -> bool:
    """
    Check whether a request has a body that can be processed.

    §8.2.3: a body that is not understood is refused, unless it is marked as optional
    (§20.11, ``handling=optional``); then it is ignored.

    Args:
        media_type: the supported type, in lower case; None if bodies have no meaning.

    Returns:
        Whether there is a body of ``media_type``.

    Raises:
        Refusal: 415 with Accept, for another type, or for a content encoding other than
            ``identity``.
    """
    if not request.body:
        return False
    if "Content-Encoding" in request.headers and any(
        encoding.lower() != "identity"
        for encoding in request.values("Content-Encoding")
    ):
        header = ("Accept-Encoding", "identity")
    elif media_type is None or _media_type(request) != media_type:
        # §20.1: an empty Accept means that no body is accepted.
        header = ("Accept", media_type or "")
    else:
        return True
    if _is_optional(request):
        return False
    raise Refusal(415, "Unsupported Media Type", headers=[header])


def _media_type(request: Request) -> str:
    content_type = request.header("Content-Type") or ""
    return content_type.partition(";")[0].strip().lower()


def _is_optional(request: Request) -> bool:
    disposition = request.header("Content-Disposition")
    if disposition is None:
        return False
    _, semicolon, rest = disposition.partition(";")
    try:
        handling = parse_params(semicolon + rest).get("handling")
    except RemoteProtocolError:
        return False  # unreadable: the default, which is "required"
    return handling is not None and handling.lower() == "optional"
