"""The boot-time clocks that stored times refer to, one for each boot."""

from __future__ import annotations

from typing import NamedTuple


class BootClock(NamedTuple):
    """One boot, and the relation of its clock to the previous one."""

    number: int
    "Counts from 1. Rows with number 0 were written before boots were distinguished."

    boot_id: str
    "The boot id of the kernel; empty if it is unknown."

    shift: float
    """
    Seconds to add to a time on the previous clock, to convert it to this one. The first
    clock is preceded by the wall clock.
    """

    boot: float
    wall: float
    "Both clocks at the last commit; before the first commit, at the first load."


class Clocks:
    """
    All boot-time clocks that rows were written with, and the current one.

    The wall clock is needed once, after a reboot: it relates the last commit on the old
    clock to the current time on the new one. From then on the relation of the two
    clocks is fixed, so that later steps of the wall clock have no effect.
    """

    def __init__(self) -> None:
        self._known: list[BootClock] = []

    @property
    def number(self) -> int:
        """The number of the current clock; 0 before :meth:`begin`."""
        return self._known[-1].number if self._known else 0

    @property
    def present(self) -> BootClock | None:
        return self._known[-1] if self._known else None

    def begin(self, boot_id: str, boot: float, wall: float) -> bool:
        """
        Set the current clock; return whether it is a new one.

        The clock is a known one if ``boot_id`` is the same and the clock has not gone
        back, as it does in a virtual machine that is restored from a snapshot.
        """
        last = self.present
        if last is None:
            self._known.append(BootClock(1, boot_id, boot - wall, boot, wall))
            return True
        if boot_id and boot_id == last.boot_id and boot >= last.boot:
            return False
        shift = (boot - wall) - (last.boot - last.wall)
        self._known.append(BootClock(last.number + 1, boot_id, shift, boot, wall))
        return True

    def note(self, boot: float, wall: float) -> None:
        """Note the time of the last commit."""
        if self._known:
            self._known[-1] = self._known[-1]._replace(boot=boot, wall=wall)

    def shift(self, number: int, boot: float, wall: float) -> float:
        """
        Return the seconds to add to a time in a row.

        Args:
            number: the number of the clock that the row was written with.
            boot, wall: both clocks when it was written; used only for number 0.
        """
        total = 0.0 if number else wall - boot
        for clock in self._known:
            if clock.number > number:
                total += clock.shift
        return total

    def dump(self) -> list[tuple[int, str, float, float, float]]:
        """Return plain values for a database; :meth:`load` reads them."""
        return [(*clock,) for clock in self._known]

    @classmethod
    def load(cls, rows: list[tuple[int, str, float, float, float]]) -> Clocks:
        clocks = cls()
        clocks._known = [BootClock(*row) for row in rows]
        return clocks
