"""The registration information document (RFC 3680 §5)."""

from __future__ import annotations

import msgspec

from . import reader, writer
from .contact import MAX_VERSION as MAX_VERSION
from .contact import ClaimElement as ClaimElement
from .contact import Contact as Contact
from .contact import ContactEvent as ContactEvent
from .contact import ContactState as ContactState
from .contact import Piece as Piece
from .contact import RecordKey as RecordKey
from .contact import Registration as Registration
from .contact import RegistrationState as RegistrationState
from .contact import TempGruu as TempGruu
from .contact import contact_id as contact_id
from .contact import quoted as quoted
from .contact import registration_id as registration_id
from .contact import shortest_q as shortest_q
from .contact import unquoted as unquoted


class Reginfo(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    eq=False,
    repr_omit_defaults=True,
):
    """A document: the body of one NOTIFY or PUBLISH."""

    version: int
    "0 in the first document of a subscription, then incremented by one."

    full: bool
    "Whether contacts that are not listed have ended; otherwise they are unchanged."

    registrations: tuple[Registration, ...] = ()

    warnings: tuple[str, ...] = ()
    """
    Errors that the reader tolerated. They are not part of the content: documents that
    differ only in them are equal.
    """

    piece: Piece = Piece.WHOLE
    "Whether this is one of several documents that report one full state."

    def __post_init__(self) -> None:
        if type(self.piece) is not Piece:
            raise TypeError(f"Reginfo.piece: Piece is needed, not {self.piece!r:.80}")
        if type(self.version) is not int:
            raise TypeError(f"Reginfo.version: int is needed, not {self.version!r:.80}")
        if not 0 <= self.version <= MAX_VERSION:
            raise ValueError(f"Reginfo.version: {self.version} is out of range")
        if type(self.full) is not bool:
            raise TypeError(f"Reginfo.full: bool is needed, not {self.full!r:.80}")
        registrations = self.registrations
        if type(registrations) is not tuple:
            _check_items("registrations", registrations, Registration)
        for registration in registrations:
            if type(registration) is not Registration:
                _check_items("registrations", registrations, Registration)
        if self.warnings != ():
            _check_items("warnings", self.warnings, str)

    @staticmethod
    def parse(body: bytes, *, strict: bool = False) -> Reginfo:
        """
        Parse the body of a NOTIFY or PUBLISH.

        Known errors of peers are tolerated, and listed in :attr:`warnings`. An invalid
        contact is left out. A document in which all contacts are invalid is refused,
        because it would look as if nobody were registered.

        Args:
            strict: refuse a document that would have warnings.

        Raises:
            RemoteProtocolError: the body is not a document of RFC 3680; the message has
                the element and the line.
        """
        content = reader.read(body, strict=strict)
        return Reginfo(
            version=content.version,
            full=content.full,
            registrations=content.registrations,
            warnings=content.warnings,
            piece=content.piece,
        )

    def serialize(self) -> bytes:
        """
        Write the document as ``application/reginfo+xml``.

        :meth:`parse` is the inverse. Characters that XML does not allow become U+FFFD.
        """
        registrations = map(writer.registration, self.registrations)
        return writer.reginfo_body(self.version, self.full, registrations, self.piece)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Reginfo):
            return NotImplemented
        return (
            self.version == other.version
            and self.full == other.full
            and self.registrations == other.registrations
            and self.piece is other.piece
        )

    def __ne__(self, other: object) -> bool:
        return not self == other  # that of Struct compares all fields

    def __hash__(self) -> int:
        return hash((self.version, self.full, self.registrations, self.piece))


def _check_items(name: str, values: object, kind: type[object]) -> None:
    if type(values) is tuple:
        for value in values:
            if not isinstance(value, kind):
                break
        else:
            return
    raise TypeError(f"Reginfo.{name}: a tuple of {kind.__name__} is needed")
