"""The boot-time clocks that stored moments are on, one for each run of the kernel."""

from __future__ import annotations

from typing import NamedTuple


class BootClock(NamedTuple):
    """One run of the kernel, and how its clock relates to the one before."""

    number: int
    "Counts up from 1. Rows of number 0 were written before runs were told apart."

    boot_id: str
    "Of the kernel; empty if it was not known."

    shift: float
    """
    Seconds to add to a moment on the clock before, to have it on this one. For the
    first clock, what stands before it is the calendar.
    """

    boot: float
    wall: float
    "Both clocks at the last commit; at the first load until there is one."


class Clocks:
    """
    All boot-time clocks that rows were written on, and the present one.

    The calendar is needed once, when the machine has been started anew: the moment of
    the last commit on the old clock and the present moment on the new one are compared
    by it. From then on the two clocks have a fixed relation, so that no later step of
    the calendar changes anything.
    """

    def __init__(self) -> None:
        self._known: list[BootClock] = []

    @property
    def number(self) -> int:
        """Of the present clock; 0 before :meth:`begin`."""
        return self._known[-1].number if self._known else 0

    @property
    def present(self) -> BootClock | None:
        return self._known[-1] if self._known else None

    def begin(self, boot_id: str, boot: float, wall: float) -> bool:
        """
        Set the present clock; return whether it is a new one.

        The clock is the known one if ``boot_id`` is the same and the clock has not
        gone back, as it does in a virtual machine that is set back to a snapshot.
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
        Return the seconds to add to a moment of a row.

        Args:
            number: of the clock that the row was written on.
            boot, wall: both clocks when it was written. They count only for rows of
                number 0.
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
