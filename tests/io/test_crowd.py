"""Which stream makes room for another (3261-156)."""

from __future__ import annotations

from reginfo.io.crowd import WHOLE, Crowd, StreamLimits


class Stream:
    """A stream that notes its end."""

    is_closed = False

    def abort(self) -> None:
        self.is_closed = True


def entered(crowd: Crowd, count: int, source: str = "192.0.2.1") -> list[Stream]:
    streams = [Stream() for _ in range(count)]
    for now, stream in enumerate(streams):
        crowd.enter(stream, source, float(now))
    return streams


def closed(streams: list[Stream]) -> list[int]:
    return [at for at, stream in enumerate(streams) if stream.is_closed]


def test_without_limits_everybody_may_stay() -> None:
    crowd = Crowd()
    streams = entered(crowd, 1000)
    crowd.begun(streams[0], 0.0)
    crowd.timer_due(1e9)
    assert closed(streams) == []
    assert len(crowd) == 1000


def test_the_one_that_is_silent_for_longest_makes_room() -> None:
    crowd = Crowd(StreamLimits(connections=3))
    streams = entered(crowd, 3)
    crowd.heard(streams[0], 5.0)
    streams += entered(crowd, 2)
    assert closed(streams) == [1, 2]
    assert (len(crowd), crowd.displaced) == (3, 2)


def test_else_one_that_has_not_registered_for_longest() -> None:
    crowd = Crowd(StreamLimits(connections=3))
    streams = entered(crowd, 3)
    for stream in (streams[2], streams[0], streams[1], streams[2]):
        crowd.heard(stream, 5.0)
    crowd.establish(streams[0], 6.0)
    streams += entered(crowd, 1)
    assert closed(streams) == [1]


def test_whoever_has_registered_never_makes_room() -> None:
    crowd = Crowd(StreamLimits(connections=2))
    streams = entered(crowd, 1)
    crowd.heard(streams[0], 1.0)
    crowd.establish(streams[0], 1.0)
    crowd.heard(streams[0], 2.0)
    ours = Stream()
    crowd.enter_opened(ours, "192.0.2.9", 2.0)
    streams += entered(crowd, 1)
    assert closed(streams) == [1]
    assert not ours.is_closed
    assert crowd.describe().figures["established"] == 2


def test_silent_streams_of_one_address_make_room_for_each_other() -> None:
    """Nobody else is concerned."""
    crowd = Crowd(StreamLimits(silent=2))
    other = entered(crowd, 2, "192.0.2.2")
    streams = entered(crowd, 2)
    crowd.heard(streams[0], 5.0)
    streams += entered(crowd, 3)
    assert closed(streams) == [1, 2]
    assert closed(other) == []


def test_a_stream_that_says_nothing_is_closed() -> None:
    crowd = Crowd(StreamLimits(first_message=30.0))
    streams = entered(crowd, 3)
    crowd.heard(streams[1], 1.0)
    crowd.timer_due(29.9)
    assert closed(streams) == []
    crowd.timer_due(30.0)
    assert closed(streams) == [0]
    crowd.timer_due(1e9)
    assert closed(streams) == [0, 2]
    assert crowd.timed_out == 2


def test_a_message_that_does_not_end_is_not_waited_for() -> None:
    """However often a piece of it arrives."""
    crowd = Crowd(StreamLimits(first_message=5.0))
    streams = entered(crowd, 2)
    for stream in streams:
        crowd.heard(stream, 2.0)
        crowd.begun(stream, 10.0)
    crowd.begun(streams[0], 30.0)
    crowd.finished(streams[1])
    crowd.begun(streams[1], 39.0)
    crowd.timer_due(10.0 + WHOLE)
    assert closed(streams) == [0]


def test_a_stream_that_has_left_is_forgotten() -> None:
    crowd = Crowd(StreamLimits(first_message=5.0, silent=2, connections=2))
    streams = entered(crowd, 2)
    crowd.begun(streams[0], 0.0)
    for stream in [*streams, Stream()]:
        crowd.leave(stream)
    crowd.heard(streams[0], 3.0)
    crowd.establish(streams[0], 3.0)
    crowd.timer_due(1e9)
    assert closed(streams) == []
    figures = crowd.describe().figures
    assert not any(figures.values())
    assert not crowd._by_source
