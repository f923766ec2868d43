"""One file from one source, as a dialogue: what the source hears, when, and what the fetcher makes of its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import gevent
import pytest
from gevent.event import Event

from gsync.core.blocks import digest_of_bytes
from gsync.core.model import Source
from gsync.core.names import Endpoint
from gsync.errors import ConnectFailed, ConnectionBroken, GsyncError, NoSpace, RemoteProtocolError, Stalled
from gsync.net.simulation import World, simulated
from gsync.net.tasks import TaskGroup
from gsync.net.transport import Stream
from gsync.peer.fetcher import (
    BARE_NAME_S,
    CONNECT_S,
    QUIET_S,
    RATE_MIN,
    RATE_WINDOW_S,
    STALL_S,
    Fetcher,
    NotThere,
    Received,
)
from gsync.peer.intake import BUFFER
from tests.unit.peer.world import THERE, Lan, Stage, Witness, path

NAME = path("notes.txt")
OURS = Source(endpoint=THERE, speaks_gsync=True)
FOREIGN = Source(endpoint=THERE)
ELSEWHERE = Source(endpoint=Endpoint(THERE.ip, THERE.port + 1))
LARGE = bytes(range(256)) * (3 * BUFFER // 256) + b"."

Script = Callable[[Stream], object]


class Desk:
    """A fetcher, and what it had to do with."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.lan = Lan(world)
        self.stage = Stage()
        self.witness = Witness()
        self.fetcher = Fetcher(network=self.lan.here, stager=self.stage, witness=self.witness, clock=world.clock)

    def fetch(self, script: Script, source: Source = OURS) -> Received:
        with self.lan.serving(script):
            return self.fetcher.fetch(NAME, source)

    def learn(self, edition: int) -> None:
        """Let the fetcher find out which edition the source at THERE speaks."""
        self.fetch(edition_1(b"x") if edition == 1 else edition_2(b"x"), FOREIGN)

    def body(self, received: Received) -> bytes:
        held = received.content.held
        return held if isinstance(held, bytes) else self.stage.folder.contents()[f".gsync/staging/{held.name}"]


@pytest.fixture
def desk() -> Iterator[Desk]:
    with simulated() as world:
        yield Desk(world)


class Ear:
    """A source that notes what it is asked, with the time of each piece, then goes on with `answer`."""

    def __init__(self, desk: Desk, answer: Script = lambda stream: None, *, until: bytes = b"\n") -> None:
        self.heard: list[tuple[float, bytes]] = []
        self._desk = desk
        self._answer = answer
        self._until = until

    def __call__(self, stream: Stream) -> None:
        words = b""
        while not words.endswith(self._until):
            piece = stream.receive(1000)
            if not piece:
                return
            words += piece
            self.heard.append((round(self._desk.world.now_s, 6), piece))
        self._answer(stream)


def edition_1(body: bytes) -> Script:
    """A server of edition 1: any first bytes are a name."""

    def serve(stream: Stream) -> None:
        stream.receive(1000)
        stream.send(body)

    return serve


def edition_2(body: bytes, *, promised: int | None = None) -> Script:
    """A server of edition 2: waits for the newline."""

    def serve(stream: Stream) -> None:
        words = b""
        while not words.endswith(b"\n"):
            piece = stream.receive(1000)
            if not piece:
                return
            words += piece
        stream.send(b"Content-Length: %d\n" % (len(body) if promised is None else promised))
        stream.send(body)

    return serve


def silence(stream: Stream) -> None:
    """Takes the connection and says nothing, until the other side has gone."""
    while stream.receive(1000):
        pass


# What the source hears


def test_a_peer_of_ours_is_asked_in_edition_2_at_once(desk: Desk) -> None:
    ear = Ear(desk, lambda stream: stream.send(b"Content-Length: 4\ntext"))
    received = desk.fetch(ear, OURS)
    assert ear.heard == [(0.0, b"notes.txt\n")]
    assert (desk.body(received), received.told_size) == (b"text", True)


def test_a_stranger_is_asked_with_the_bare_name(desk: Desk) -> None:
    ear = Ear(desk, lambda stream: stream.send(b"text"), until=b"txt")
    received = desk.fetch(ear, FOREIGN)
    assert ear.heard == [(0.0, b"notes.txt")]
    assert (desk.body(received), received.told_size) == (b"text", False)
    assert desk.world.now_s < 0.1


def test_a_stranger_that_is_silent_for_a_second_gets_the_newline_after_it(desk: Desk) -> None:
    ear = Ear(desk, lambda stream: stream.send(b"Content-Length: 4\ntext"))
    received = desk.fetch(ear, FOREIGN)
    assert ear.heard == [(0.0, b"notes.txt"), (BARE_NAME_S, b"\n")]
    assert (desk.body(received), received.told_size) == (b"text", True)


def test_a_slow_server_of_edition_1_is_understood_after_the_newline_too(desk: Desk) -> None:
    ear = Ear(desk, lambda stream: stream.send(b"text"))
    received = desk.fetch(ear, FOREIGN)
    assert (desk.body(received), received.told_size) == (b"text", False)


def test_a_server_of_edition_2_is_asked_so_from_then_on(desk: Desk) -> None:
    desk.learn(2)
    began = desk.world.now_s
    ear = Ear(desk, lambda stream: stream.send(b"Content-Length: 0\n"))
    assert desk.fetch(ear, FOREIGN).told_size
    assert ear.heard == [(round(began, 6), b"notes.txt\n")]


def test_a_server_of_edition_1_never_hears_a_newline_again_however_slow_it_is(desk: Desk) -> None:
    desk.learn(1)

    def think(stream: Stream) -> None:
        gevent.sleep(5)
        stream.send(b"text")

    ear = Ear(desk, think, until=b"txt")
    assert desk.body(desk.fetch(ear, FOREIGN)) == b"text"
    assert [words for _, words in ear.heard] == [b"notes.txt"]


def test_what_is_known_of_one_port_is_not_taken_for_another(desk: Desk) -> None:
    desk.learn(2)
    ear = Ear(desk, lambda stream: stream.send(b"text"), until=b"txt")
    with desk.lan.serving(ear, port=ELSEWHERE.endpoint.port):
        assert not desk.fetcher.fetch(NAME, ELSEWHERE).told_size
    assert [words for _, words in ear.heard] == [b"notes.txt"]


@pytest.mark.parametrize(("first", "then"), [(edition_1, edition_2), (edition_2, edition_1)])
def test_another_program_at_the_same_address_is_understood_after_one_failure(
    desk: Desk, first: Callable[[bytes], Script], then: Callable[[bytes], Script]
) -> None:
    assert desk.body(desk.fetch(first(b"one"), FOREIGN)) == b"one"
    with pytest.raises(GsyncError):
        desk.fetch(then(b"two"), FOREIGN)
    assert desk.body(desk.fetch(then(b"two"), FOREIGN)) == b"two"


def test_a_name_is_sent_as_utf_8(desk: Desk) -> None:
    ear = Ear(desk, lambda stream: stream.send(b"Content-Length: 0\n"))
    with desk.lan.serving(ear):
        desk.fetcher.fetch(path("Grüße 🎉"), OURS)
    assert ear.heard == [(0.0, "Grüße 🎉\n".encode())]


# What comes back


@pytest.mark.parametrize("body", [b"", b"x", b"Content-Length: 5\n", bytes(100_000), LARGE], ids=len)
@pytest.mark.parametrize("edition", [1, 2])
def test_what_was_sent_is_what_is_received(desk: Desk, edition: int, body: bytes) -> None:
    if edition == 1:
        desk.learn(1)
    received = desk.fetch(edition_1(body), FOREIGN) if edition == 1 else desk.fetch(edition_2(body), OURS)
    assert received.content.size == len(body)
    assert received.content.digest == digest_of_bytes(body)
    assert desk.body(received) == body
    assert received.told_size == (edition == 2)
    assert (received.path, received.source) == (NAME, THERE)


def test_a_header_may_come_in_pieces(desk: Desk) -> None:
    def drip(stream: Stream) -> None:
        stream.receive(1000)
        for byte in b"Content-Length: 4\r\nte":
            stream.send(bytes([byte]))
            gevent.sleep(0.1)
        stream.send(b"xt")

    assert desk.body(desk.fetch(drip)) == b"text"


def test_a_large_file_goes_to_staging_and_a_small_one_stays_in_memory(desk: Desk) -> None:
    desk.fetch(edition_2(b"small"))
    assert desk.stage.begun == []
    desk.fetch(edition_2(LARGE))
    assert desk.stage.begun == [NAME]
    assert len(desk.stage.folder.staged_names()) == 1


def test_a_source_that_tells_the_size_need_not_close(desk: Desk) -> None:
    def stay(stream: Stream) -> None:
        stream.receive(1000)
        stream.send(b"Content-Length: 4\ntext")
        silence(stream)

    assert desk.body(desk.fetch(stay)) == b"text"
    assert desk.world.now_s < 0.1


def test_nothing_is_not_there_in_edition_2(desk: Desk) -> None:
    with pytest.raises(NotThere):
        desk.fetch(lambda stream: stream.receive(1000), OURS)


def test_nothing_is_an_empty_file_in_edition_1(desk: Desk) -> None:
    desk.learn(1)
    received = desk.fetch(lambda stream: stream.receive(1000), FOREIGN)
    assert (desk.body(received), received.told_size) == (b"", False)


def test_nothing_after_the_newline_is_not_there(desk: Desk) -> None:
    with pytest.raises(NotThere):
        desk.fetch(Ear(desk), FOREIGN)


def test_fewer_bytes_than_promised_are_a_broken_connection(desk: Desk) -> None:
    with pytest.raises(ConnectionBroken, match="after 4 of 10 bytes"):
        desk.fetch(edition_2(b"text", promised=10))


def test_more_bytes_than_promised_break_the_protocol(desk: Desk) -> None:
    def blurt(stream: Stream) -> None:
        stream.receive(1000)
        stream.send(b"Content-Length: 4\ntext and more")

    with pytest.raises(RemoteProtocolError):
        desk.fetch(blurt)


def test_more_bytes_than_promised_break_the_protocol_wherever_the_promise_ends(desk: Desk) -> None:
    with pytest.raises(RemoteProtocolError, match=f"more than the {len(LARGE) - 1} bytes"):
        desk.fetch(edition_2(LARGE, promised=len(LARGE) - 1))
    assert desk.stage.folder.staged_names() == []


def test_a_reset_after_the_last_byte_costs_nothing(desk: Desk) -> None:
    def break_off(stream: Stream) -> None:
        edition_2(b"text")(stream)
        stream.reset()

    assert desk.body(desk.fetch(break_off)) == b"text"


def test_a_peer_of_ours_without_a_header_breaks_the_protocol(desk: Desk) -> None:
    with pytest.raises(RemoteProtocolError):
        desk.fetch(edition_1(b"text"), OURS)


def test_bytes_are_counted_as_they_come(desk: Desk) -> None:
    desk.fetch(edition_2(b"text"))
    desk.fetch(edition_2(LARGE))
    assert desk.fetcher.bytes_received == len(LARGE) + 4


# What the witness hears


def test_the_witness_hears_of_the_connection_and_of_its_first_byte(desk: Desk) -> None:
    received = desk.fetch(edition_2(b"text"))
    assert desk.witness.said == [("connected", THERE), ("gave bytes", received.ticket.number)]


def test_a_source_that_gives_nothing_gave_no_byte(desk: Desk) -> None:
    desk.learn(1)
    desk.witness.said.clear()
    desk.fetch(edition_1(b""), FOREIGN)
    assert desk.witness.said == [("connected", THERE)]


def test_quiet_after_data_is_told_once(desk: Desk) -> None:
    def hesitate(stream: Stream) -> None:
        stream.receive(1000)
        stream.send(b"te")
        gevent.sleep(3 * QUIET_S)
        stream.send(b"xt")
        gevent.sleep(2 * QUIET_S)

    received = desk.fetch(hesitate, FOREIGN)
    assert desk.body(received) == b"text"
    assert desk.witness.said[2:] == [("fell quiet", (NAME, 2))]


def test_a_source_that_told_its_size_is_not_nudged(desk: Desk) -> None:
    def hesitate(stream: Stream) -> None:
        stream.receive(1000)
        stream.send(b"Content-Length: 4\nte")
        gevent.sleep(3 * QUIET_S)
        stream.send(b"xt")

    desk.fetch(hesitate)
    assert [what for what, _ in desk.witness.said] == ["connected", "gave bytes"]


# What goes wrong


def test_nobody_listens_there(desk: Desk) -> None:
    with pytest.raises(ConnectFailed):
        desk.fetcher.fetch(NAME, OURS)
    assert desk.witness.said == []


@pytest.mark.parametrize(("stall_s", "limit_s"), [(STALL_S, CONNECT_S), (0.5, 0.5)])
def test_a_dial_without_an_answer_is_given_up(desk: Desk, stall_s: float, limit_s: float) -> None:
    desk.lan.network.silence(THERE)
    fetcher = Fetcher(
        network=desk.lan.here, stager=desk.stage, witness=desk.witness, clock=desk.world.clock, stall_s=stall_s
    )
    with pytest.raises(ConnectFailed, match="no answer"):
        fetcher.fetch(NAME, OURS)
    assert desk.world.now_s == limit_s


def stopping_after(pieces: int) -> Script:
    """Sends a header and so many pieces of LARGE, then nothing."""

    def serve(stream: Stream) -> None:
        stream.receive(1000)
        stream.send(b"Content-Length: %d\n" % len(LARGE))
        stream.send(LARGE[: pieces * 65536])
        silence(stream)

    return serve


@pytest.mark.parametrize("script", [silence, stopping_after(0), stopping_after(1), stopping_after(30)])
def test_a_source_without_a_byte_for_ten_seconds_has_stalled(desk: Desk, script: Script) -> None:
    with pytest.raises(Stalled, match="10 s"):
        desk.fetch(script)
    assert desk.world.now_s == pytest.approx(STALL_S, abs=0.1)


def test_a_stranger_that_says_nothing_to_either_has_stalled(desk: Desk) -> None:
    with pytest.raises(Stalled):
        desk.fetch(silence, FOREIGN)
    assert desk.world.now_s == pytest.approx(BARE_NAME_S + STALL_S, abs=0.1)


def test_each_byte_buys_ten_seconds(desk: Desk) -> None:
    def dawdle(stream: Stream) -> None:
        stream.receive(1000)
        for piece in (b"Content-Length: 4\n", b"te", b"xt"):
            gevent.sleep(STALL_S - 0.1)
            stream.send(piece)

    assert desk.body(desk.fetch(dawdle)) == b"text"


class LateStream:
    """A stream whose bytes are here although the timer of whoever waits for them has run out: our own loop was late."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.alarms = 0

    def receive_into(self, buffer: memoryview) -> int:
        if self.alarms == 0:
            self.alarms += 1
            Event().wait()
        return self._stream.receive_into(buffer)

    def __enter__(self) -> LateStream:
        return self

    def __exit__(self, kind: object, exc: BaseException | None, traceback: object) -> None:
        self._stream.__exit__(kind, exc, traceback)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class LateNetwork:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def dial(self, endpoint: Endpoint) -> LateStream:
        return LateStream(self._desk.lan.here.dial(endpoint))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._desk.lan.here, name)


def test_a_false_alarm_costs_nothing_when_the_bytes_are_here(desk: Desk) -> None:
    late: Any = LateNetwork(desk)
    fetcher = Fetcher(network=late, stager=desk.stage, witness=desk.witness, clock=desk.world.clock)
    with desk.lan.serving(edition_2(b"text")):
        assert desk.body(fetcher.fetch(NAME, OURS)) == b"text"
    assert fetcher.late_timeouts == 1


def test_the_first_byte_is_timed_from_the_dial(desk: Desk) -> None:
    def dawdle(stream: Stream) -> None:
        stream.receive(1000)
        gevent.sleep(3)
        stream.send(b"Content-Length: 4\n")
        gevent.sleep(1)
        stream.send(b"te")
        gevent.sleep(2)
        stream.send(b"xt")

    assert desk.fetch(dawdle).first_byte_s == pytest.approx(4, abs=0.1)


def test_a_classic_fetcher_asks_everybody_in_edition_1_and_takes_what_comes_as_it_is(desk: Desk) -> None:
    body = b"Content-Length: 4\ntext"
    ear = Ear(desk, lambda stream: (gevent.sleep(BARE_NAME_S + 1), stream.send(body)), until=b"txt")
    fetcher = Fetcher(
        network=desk.lan.here, stager=desk.stage, witness=desk.witness, clock=desk.world.clock, classic=True
    )
    with desk.lan.serving(ear):
        received = fetcher.fetch(NAME, OURS)
    assert ear.heard == [(0.0, b"notes.txt")]
    assert (desk.body(received), received.told_size) == (body, False)


@pytest.mark.parametrize(
    ("per_s", "enough"), [(1, False), (RATE_MIN - 1, False), (RATE_MIN, True), (RATE_MIN + 1, True)]
)
def test_a_source_keeps_above_4_kib_a_second_over_30_seconds(desk: Desk, per_s: int, enough: bool) -> None:
    def trickle(stream: Stream) -> None:
        stream.receive(1000)
        stream.send(b"Content-Length: %d\n" % (61 * per_s))
        stream.send(bytes(per_s))
        for _ in range(60):
            gevent.sleep(1)
            stream.send(bytes(per_s))

    if enough:
        assert desk.fetch(trickle).content.size == 61 * per_s
    else:
        with pytest.raises(Stalled, match="slower"):
            desk.fetch(trickle)
        assert desk.world.now_s == pytest.approx(RATE_WINDOW_S, abs=1.1)


def breaking_off(stream: Stream) -> None:
    stopping_after_some(stream)
    stream.reset()


def ending_short(stream: Stream) -> None:
    stopping_after_some(stream)


def stopping_after_some(stream: Stream) -> None:
    stream.receive(1000)
    stream.send(b"Content-Length: %d\n" % len(LARGE))
    stream.send(LARGE[: 2 * BUFFER])


@pytest.mark.parametrize(
    ("script", "error"),
    [(breaking_off, ConnectionBroken), (ending_short, ConnectionBroken), (stopping_after(32), Stalled)],
)
def test_a_failure_in_the_middle_leaves_nothing_staged(desk: Desk, script: Script, error: type[Exception]) -> None:
    with pytest.raises(error):
        desk.fetch(script)
    assert desk.stage.begun == [NAME]
    assert desk.stage.folder.staged_names() == []


def test_a_full_disk_leaves_nothing_staged_and_the_source_alone(desk: Desk) -> None:
    def fail(method: str) -> None:
        if method == "write":
            raise NoSpace("the disk is full")

    desk.stage.folder.on_call = fail
    with pytest.raises(NoSpace):
        desk.fetch(edition_2(LARGE))
    assert desk.stage.folder.staged_names() == []


@pytest.mark.parametrize("patience_s", [0.5, STALL_S - 0.5])
def test_one_that_is_stopped_leaves_nothing_staged_and_no_connection(desk: Desk, patience_s: float) -> None:
    ended: list[float] = []

    def serve(stream: Stream) -> None:
        try:
            stopping_after(32)(stream)
        finally:
            ended.append(desk.world.now_s)

    with desk.lan.serving(serve), TaskGroup() as tasks:
        task = tasks.spawn(desk.fetcher.fetch, NAME, OURS)
        gevent.sleep(patience_s)
        assert len(desk.stage.folder.staged_names()) == 1
        task.cancel()
        gevent.sleep(0.1)
        assert ended == [pytest.approx(patience_s)]
    assert desk.stage.folder.staged_names() == []


@pytest.mark.parametrize(
    ("script", "source"),
    [(edition_2(b"text"), OURS), (edition_1(b"text"), FOREIGN), (edition_1(b"no header"), OURS), (silence, OURS)],
)
def test_the_connection_is_closed_whatever_came_of_it(desk: Desk, script: Script, source: Source) -> None:
    open_streams: list[Stream] = []

    def serve(stream: Stream) -> None:
        open_streams.append(stream)
        try:
            script(stream)
        finally:
            open_streams.pop()

    with desk.lan.serving(serve):
        with suppress(GsyncError):
            desk.fetcher.fetch(NAME, source)
        gevent.sleep(0.1)
        assert open_streams == []


# Touching


def touched(desk: Desk, script: Script, *, to_the_end: bool) -> tuple[bool, bytes]:
    """Whether the touch gave, and how the source saw it end."""
    seen: list[bytes] = []

    def serve(stream: Stream) -> None:
        try:
            script(stream)
            stream.end_sending()
            seen.append(b"whole" if stream.receive(1) == b"" else b"?")
        except ConnectionBroken:
            seen.append(b"broken")

    with desk.lan.serving(serve):
        touch = desk.fetcher.touch(NAME, THERE, to_the_end=to_the_end)
        gevent.sleep(0.1)
    return touch.gave, b" ".join(seen)


def test_a_touch_takes_a_small_file_to_its_end(desk: Desk) -> None:
    assert touched(desk, edition_1(bytes(200_000)), to_the_end=True) == (True, b"whole")
    assert [what for what, _ in desk.witness.said] == ["connected", "gave bytes"]


def test_a_touch_breaks_a_large_file_off_after_its_first_bytes(desk: Desk) -> None:
    assert touched(desk, edition_1(LARGE), to_the_end=False) == (True, b"broken")


def test_a_touch_that_gets_nothing_says_so(desk: Desk) -> None:
    assert touched(desk, edition_1(b""), to_the_end=True) == (False, b"whole")
    assert [what for what, _ in desk.witness.said] == ["connected"]


def test_a_touch_does_not_wait_for_a_server_that_never_closes(desk: Desk) -> None:
    def stay(stream: Stream) -> None:
        stream.receive(1000)
        stream.send(b"text")
        silence(stream)

    assert touched(desk, stay, to_the_end=True)[0]
    assert desk.world.now_s < QUIET_S + 0.2


def test_a_touch_stages_nothing(desk: Desk) -> None:
    touched(desk, edition_1(LARGE), to_the_end=True)
    assert desk.stage.begun == []


def test_a_server_that_closes_only_at_the_next_connection_is_nudged_to_its_end(desk: Desk) -> None:
    nudge = Event()

    def first(stream: Stream) -> None:
        stream.receive(1000)
        stream.send(b"text")
        nudge.wait()

    def second(stream: Stream) -> None:
        nudge.set()
        edition_1(b"text")(stream)

    received: list[Received] = []
    with desk.lan.serving(first, second), TaskGroup() as tasks:
        tasks.spawn(lambda: received.append(desk.fetcher.fetch(NAME, FOREIGN)))
        gevent.sleep(QUIET_S + 0.1)
        assert desk.witness.said[-1] == ("fell quiet", (NAME, 4))
        assert desk.fetcher.touch(NAME, THERE, to_the_end=True).gave
    assert desk.body(received[0]) == b"text"
