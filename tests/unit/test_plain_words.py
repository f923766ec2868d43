"""What the plain words of the protocol hide, learnt from what others wrote: each sentence, and the tests that hold us to it.

The tests here are those sentences that a whole peer must keep, in a simulated world: a machine of ours among a tracker and
sources that say what the test wants. What only a kernel shows is in `test_plain_words_on_sockets.py`.
"""

from __future__ import annotations

import ast
import functools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import gevent
import pytest

from gsync.cli.embedded import EmbeddedTracker
from gsync.core.names import Endpoint
from gsync.net.transport import Stream
from gsync.peer.classic_link import KEEPALIVE_S
from gsync.peer.events import FileFetching, FileSkipped
from gsync.peer.fetcher import CONNECT_S, STALL_S
from gsync.wire.framing import TRACKER_LIMIT_BYTES, JsonSplitter
from tests.sim.cluster import TRACKER, Cluster, Machine, cluster

TESTS: Final = Path(__file__).parents[1]
TRACKER_SAYS = "unit/tracker/test_protocol.py"
ANNOUNCER = "unit/peer/test_announcer.py"
UPLOADER = "unit/peer/test_uploader.py"
FETCHER = "unit/peer/test_fetcher.py"
VOUCHER = "unit/peer/test_voucher.py"
SYNCER = "unit/peer/test_syncer.py"
MESSAGES = "unit/wire/test_classic.py"
REQUESTS = "unit/wire/test_requests.py"
SCHEDULE = "unit/core/test_schedule.py"
NAMES = "unit/core/test_names.py"
HERE = "unit/test_plain_words.py"
ON_SOCKETS = "unit/test_plain_words_on_sockets.py"
E2E = "e2e/test_compatibility.py"

SENTENCES: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "Tracker": {
        "JSON arrives in any pieces": (f"{TRACKER_SAYS}::test_json_arrives_in_any_pieces",),
        "several objects glued": (f"{TRACKER_SAYS}::test_several_objects_come_glued",),
        "split incrementally, in linear time": (
            "unit/wire/test_framing.py::test_cuts_anywhere_change_nothing",
            "unit/wire/test_framing.py::test_the_matcher_sees_each_byte_a_bounded_number_of_times",
        ),
        "one answer per message, none unasked": (f"{TRACKER_SAYS}::test_one_answer_per_message_and_none_unasked",),
        "in one write": (f"{TRACKER_SAYS}::test_an_answer_is_one_write",),
        "compact ASCII JSON": (
            f"{TRACKER_SAYS}::test_answers_are_compact_ascii_json_and_end_in_a_newline",
            "unit/tracker/test_responses.py::test_others_get_plain_entries_in_compact_ascii",
        ),
        "no top-level key that is not a file": (f"{TRACKER_SAYS}::test_no_top_level_key_is_anything_but_a_file",),
        "extra keys inside an entry are numbers and strings only": (
            f"{TRACKER_SAYS}::test_extra_keys_inside_an_entry_are_numbers_and_strings_only",
        ),
        "a length that is a multiple of 8,192 is padded with one blank before the newline": (
            f"{TRACKER_SAYS}::test_a_length_that_is_a_multiple_of_8192_is_padded_with_one_blank_before_the_newline",
        ),
        "programs that read at most 2,048 or 8,192 bytes are helped by compactness": (
            f"{TRACKER_SAYS}::test_a_reader_of_2048_bytes_gets_as_many_entries_as_compactness_allows",
            f"{E2E}::test_everything_that_the_variant_can_carry_is_synced_and_no_stump_is_stored",
        ),
        "mtimes are floored before storing and sending, never rounded": (
            f"{TRACKER_SAYS}::test_mtimes_are_floored_and_never_rounded",
        ),
        "the larger mtime wins": (f"{TRACKER_SAYS}::test_the_larger_mtime_wins",),
        "an equal one does not replace but counts as one more holder": (
            f"{TRACKER_SAYS}::test_an_equal_mtime_does_not_replace_but_counts_as_one_more_holder",
        ),
        "a second Initial on a connection replaces the peer's list": (
            f"{TRACKER_SAYS}::test_a_second_initial_on_a_connection_replaces_the_peers_list",
        ),
        "liveness belongs to the connection: some send a constant as the keepalive's port": (
            f"{TRACKER_SAYS}::test_the_port_of_a_keepalive_says_nothing",
        ),
        "a peer is dropped as soon as its connection closes": (
            f"{TRACKER_SAYS}::test_a_peer_is_dropped_as_soon_as_its_connection_closes",
            f"{TRACKER_SAYS}::test_a_peer_is_dropped_as_soon_as_its_connection_breaks",
            "unit/tracker/test_over_sockets.py::test_a_peer_that_closes_is_forgotten_at_once",
        ),
        "a peer is dropped 180 s after its last word: a live one may be silent for minutes": (
            f"{TRACKER_SAYS}::test_a_peer_is_dropped_180_s_after_its_last_word",
            f"{TRACKER_SAYS}::test_a_live_peer_may_be_silent_for_minutes_while_it_fetches",
        ),
        "and by TCP keepalive (10 s, 5 s x 3) when its host is gone": (
            f"{TRACKER_SAYS}::test_hosts_that_are_gone_are_found_by_tcp_keepalive",
            f"{ON_SOCKETS}::test_tcp_keepalive_asks_after_ten_seconds_and_then_three_times_each_five",
        ),
        "a bad entry is skipped with a reason, never closed for": (
            f"{TRACKER_SAYS}::test_a_bad_entry_is_skipped_with_a_reason_and_never_closed_for",
        ),
        "where msgspec refuses, the stdlib reads and each entry is judged alone": (
            f"{MESSAGES}::test_a_bad_file_is_refused_alone",
            f"{MESSAGES}::test_a_name_that_is_no_utf8_is_refused_alone",
        ),
        "cached encoding": (
            f"{TRACKER_SAYS}::test_an_encoding_is_kept",
            "unit/tracker/test_responses.py::test_one_change_spells_one_entry",
        ),
        "holders of one version are spread over the askers, each keeping its own until that leaves": (
            f"{TRACKER_SAYS}::"
            "test_holders_of_one_version_are_spread_over_the_askers_and_each_keeps_its_own_until_that_leaves",
        ),
        "at most 8 cached encodings": (f"{TRACKER_SAYS}::test_at_most_eight_encodings_are_kept",),
        "a peer skips a response equal to the last": (
            f"{TRACKER_SAYS}::test_a_response_equals_the_last_when_nothing_has_changed",
            f"{ANNOUNCER}::test_a_directory_that_is_equal_to_the_last_is_not_passed_on",
        ),
    },
    "Towards trackers": {
        "only port in a keepalive": (f"{MESSAGES}::test_a_keepalive_has_only_a_port",),
        "only port and files in an Initial": (f"{MESSAGES}::test_an_initial_has_only_port_and_files_in_ascii",),
        "never connect and leave without a message": (
            f"{HERE}::test_nobody_of_ours_connects_to_a_tracker_and_leaves_without_a_message",
        ),
        "an Initial whose length is a multiple of 8,192 is padded": (
            f"{MESSAGES}::test_no_message_is_as_long_as_a_multiple_of_a_readers_block",
        ),
        "keepalives from their own greenlet, never behind fetches": (
            f"{HERE}::test_keepalives_are_never_behind_fetches",
        ),
        "answers without newline": (f"{ANNOUNCER}::test_an_initial_comes_once_and_a_keepalive_each_five_seconds",),
        "answers with float mtimes": (f"{MESSAGES}::test_what_an_entry_says",),
        "answers cut anywhere": (
            f"{ANNOUNCER}::test_a_directory_may_come_in_pieces",
            f"{HERE}::test_answers_without_newline_with_float_mtimes_cut_anywhere_are_taken",
        ),
        "to a foreign tracker the Initial is sent once": (
            f"{ANNOUNCER}::test_a_foreign_tracker_hears_one_initial_a_connection_whatever_changes",
            f"{HERE}::test_a_foreign_tracker_hears_the_initial_once_however_much_is_fetched",
        ),
        "to ours a new Initial on the same connection when a round of fetches is done": (
            f"{HERE}::test_our_tracker_hears_a_new_initial_on_the_same_connection_when_a_round_of_fetches_is_done",
        ),
        "at most every 5 s": (f"{ANNOUNCER}::test_a_tracker_of_ours_hears_news_at_most_each_five_seconds",),
        "a connection whose two ends are equal is refused": (
            "unit/net/test_tcp.py::test_a_connection_that_meets_itself_is_refused",
        ),
    },
    "Serving": {
        "answer as soon as the bytes name a file of ours, else wait for more": (
            f"{UPLOADER}::test_a_request_may_come_byte_by_byte",
            f"{UPLOADER}::test_where_a_longer_name_begins_so_a_moment_decides",
            f"{REQUESTS}::test_a_name_that_begins_a_longer_one_waits_and_settles",
        ),
        "a cap of 4 KiB": (
            f"{UPLOADER}::test_a_request_without_an_end_is_closed_once_it_is_too_long",
            f"{REQUESTS}::test_a_request_may_be_as_long_as_its_limit",
        ),
        "and of 5 s": (
            f"{UPLOADER}::test_one_who_asks_nothing_is_closed_after_five_seconds",
            f"{UPLOADER}::test_one_who_asks_too_slowly_is_closed_after_five_seconds",
        ),
        "a name in JSON quotes is survived": (f"{UPLOADER}::test_a_name_in_json_quotes_is_understood",),
        "an empty request is survived": (
            f"{ON_SOCKETS}::test_an_empty_or_odd_request_is_closed_in_order_without_a_byte_and_survived",
        ),
        "a connection left open is survived": (
            f"{ON_SOCKETS}::test_a_connection_that_is_left_open_holds_up_nobody",
            f"{UPLOADER}::test_one_address_keeps_only_so_many_that_ask_nothing",
        ),
        "twenty at once are survived": (f"{UPLOADER}::test_twenty_at_once_are_all_served",),
        "edition 1: first bytes in one large write": (
            f"{UPLOADER}::test_edition_1_gets_anything_below_100_000_bytes_in_one_write",
        ),
        "from 100 KB to 8 MiB 8,192 bytes at a time": (
            f"{UPLOADER}::test_edition_1_gets_up_to_8_mib_in_careful_pieces",
            f"{UPLOADER}::test_a_careful_piece_leaves_when_the_last_has_arrived_so_that_no_read_is_short",
            f"{ON_SOCKETS}::test_a_reader_that_stops_at_the_first_short_read_gets_the_whole_file",
        ),
        "each when the kernel's send queue is empty (SIOCOUTQ)": (
            f"{ON_SOCKETS}::test_a_careful_piece_is_sent_when_the_kernels_send_queue_is_empty",
        ),
        "TCP_NODELAY": ("unit/net/test_tcp.py::test_nodelay_is_on_and_dead_hosts_are_found_only_where_asked_for",),
        "larger files at full speed": (
            f"{UPLOADER}::test_edition_1_gets_larger_files_at_full_speed_but_for_the_last_byte",
        ),
        "edition 2: sendfile at full speed": (f"{ON_SOCKETS}::test_edition_2_goes_through_sendfile",),
        "the edition 2 header goes in its own segment": (
            f"{ON_SOCKETS}::test_the_header_of_edition_2_goes_in_its_own_segment",
            f"{UPLOADER}::test_edition_2_gets_anything_below_100_000_bytes_in_one_write_after_the_header",
        ),
        "after the last byte: shut down writing, drain for at most 0.5 s, close": (
            f"{UPLOADER}::test_after_the_last_byte_a_late_word_of_the_requester_does_no_harm",
            f"{UPLOADER}::test_a_requester_that_stays_is_left_soon_after_the_last_byte",
            f"{ON_SOCKETS}::test_a_late_word_after_the_last_byte_resets_nothing",
        ),
        "what cannot be served at all: close in order without a byte": (
            f"{UPLOADER}::test_what_is_not_ours_is_closed_in_order_without_a_byte",
            f"{UPLOADER}::test_a_name_of_ours_where_nothing_or_something_else_stands_is_closed_without_a_byte",
        ),
        "broken off in the middle: edition 1 a reset, edition 2 an early close": (
            f"{UPLOADER}::test_edition_1_is_reset_when_the_file_changes_while_it_is_sent",
            f"{UPLOADER}::test_edition_2_ends_short_when_the_file_changes_while_it_is_sent",
            f"{ON_SOCKETS}::test_broken_off_in_the_middle_edition_1_is_reset_and_edition_2_ends_early",
        ),
        "never announce what cannot be read": (
            "unit/storage/test_disk.py::test_what_cannot_be_read_is_left_alone_and_nothing_takes_its_place",
        ),
        "serve only names in our own index": (
            f"{UPLOADER}::test_a_file_that_is_in_the_folder_but_not_in_the_index_is_not_served",
            f"{REQUESTS}::test_only_files_of_ours_are_ever_asked_for",
        ),
    },
    "Fetching": {
        "a killed sender looks like a shorter file with a clean end": (
            "integration/test_faults_killed_senders.py::test_no_stump_of_a_killed_sender_is_published",
        ),
        "a file whose size nobody told is published only once its source has vouched": (
            f"{SYNCER}::test_a_source_that_tells_no_size_must_vouch",
            f"{SYNCER}::test_what_nobody_vouches_for_is_not_published",
        ),
        "a connection made after the end was read, that gave at least one byte": (
            "unit/core/test_vouching.py::test_a_later_connection_that_gives_a_byte_vouches_for_everything_that_ended_before_it",
            f"{VOUCHER}::test_a_connection_that_was_made_before_the_end_does_not_vouch",
        ),
        "empty file: a second empty answer": (
            f"{VOUCHER}::test_an_empty_file_needs_a_second_empty_answer_to_its_own_name",
        ),
        "the next fetch counts": (f"{VOUCHER}::test_the_next_fetch_vouches_by_itself",),
        "else the smallest file known there": (
            f"{VOUCHER}::test_the_smallest_file_that_is_known_to_be_there_is_asked_for",
        ),
        "only if all exceed 1 MiB this one, broken off after its first bytes": (
            f"{VOUCHER}::test_a_file_above_a_mebibyte_is_broken_off_after_its_first_bytes",
            f"{FETCHER}::test_a_touch_breaks_a_large_file_off_after_its_first_bytes",
        ),
        "an empty connection kills some servers": (f"{HERE}::test_every_connection_to_a_source_asks_for_something",),
        "vouching does not catch a live sender that cuts; the documents say so": (
            f"{HERE}::test_a_living_sender_that_cuts_is_not_caught_and_the_documents_say_so",
        ),
        "--verify-classic=twice fetches twice and compares": (
            f"{SYNCER}::test_fetched_twice_it_must_be_the_same",
            f"{E2E}::test_everything_that_the_variant_can_carry_is_synced_and_no_stump_is_stored",
        ),
        "end of file is the close, never an idle wait": (
            f"{HERE}::test_the_end_of_a_file_is_the_close_and_never_a_pause",
        ),
        "some servers close only when the next connection comes: the vouching request makes them": (
            f"{FETCHER}::test_a_server_that_closes_only_at_the_next_connection_is_nudged_to_its_end",
        ),
        "no bytes and a close does not replace a non-empty file at first sight": (
            f"{SYNCER}::test_empty_replaces_a_file_with_content_only_at_the_second_sight",
        ),
        "nothing within 1 s of a bare name: send the newline after it": (
            f"{FETCHER}::test_a_stranger_that_is_silent_for_a_second_gets_the_newline_after_it",
        ),
        "dead entries cost one timeout each, in parallel, with backoff": (
            f"{HERE}::test_dead_entries_cost_one_timeout_each_side_by_side_with_backoff",
            f"{SCHEDULE}::test_dead_sources_are_probed_side_by_side_and_do_not_hold_up_a_good_one",
        ),
        "our own entry is not fetched": (f"{HERE}::test_our_own_entry_is_not_fetched",),
    },
    "Both": {
        "announced mtimes lie in 0..4102444800, others are refused with a reason": (
            f"{MESSAGES}::test_a_bad_file_is_refused_alone",
            f"{MESSAGES}::test_a_bad_entry_is_refused_alone",
            "unit/core/test_versions.py::test_an_announced_mtime_lies_within_its_limits",
        ),
        "a clamping file system causes no endless refetch": (
            "unit/storage/test_publisher.py::test_the_announced_mtime_stays_in_the_version_where_the_disk_clamps_it",
            "sim/test_swarm.py::test_a_disk_that_clamps_mtimes_never_causes_a_refetch",
        ),
        "no port below 1024, no multicast or broadcast": (f"{MESSAGES}::test_a_bad_entry_is_refused_alone",),
        "loopback only if the tracker is there": (
            f"{HERE}::test_an_entry_on_loopback_is_not_dialled_when_the_tracker_is_elsewhere",
            "e2e/test_pairings.py::test_every_folder_ends_with_every_file",
        ),
        "few unanswered dials at a time": (
            f"{SCHEDULE}::test_an_address_that_never_answered_gets_few_dials_at_a_time",
        ),
        "a name is a RelPath or nothing": (
            f"{NAMES}::test_a_hostile_name_is_refused_with_a_reason",
            f"{NAMES}::test_the_classic_dialect_knows_no_separator",
            f"{NAMES}::test_a_component_has_at_most_255_bytes",
        ),
    },
}


def named_tests() -> list[str]:
    return sorted({test for part in SENTENCES.values() for tests in part.values() for test in tests})


@functools.cache
def collected_of(file: str) -> Counter[str]:
    """The tests of a file, as pytest collects them: the functions at its top whose names begin so."""
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return Counter(
        node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


@pytest.mark.parametrize("test", named_tests(), ids=lambda test: test.replace("::", " "))
def test_what_the_map_names_is_there(test: str) -> None:
    file, _, name = test.partition("::")
    assert collected_of(file)[name] == 1


def test_every_sentence_has_a_test() -> None:
    assert list(SENTENCES) == ["Tracker", "Towards trackers", "Serving", "Fetching", "Both"]
    assert all(tests for part in SENTENCES.values() for tests in part.values())


# A machine of ours among others


class Others:
    """A tracker and sources that others wrote, around the machines of a simulated cluster."""

    def __init__(self, swarm: Cluster) -> None:
        self.swarm = swarm
        self.heard: list[tuple[float, int, bytes]] = []
        self.spell: Callable[[dict[str, Any]], list[bytes]] = lambda directory: [json.dumps(directory).encode()]
        self._connections = 0
        self._directory: dict[str, Any] = {}
        swarm.stop_tracker()
        swarm.network.host(TRACKER.ip).listen(ip=TRACKER.ip, port=TRACKER.port, handler=self._answer, limit=100)

    def offer(self, name: str, ip: str, *, port: int = 2000, mtime: float = 1_000_000) -> None:
        self._directory[name] = {"ip": ip, "port": port, "mtime": mtime}

    def source(self, ip: str, serve: Callable[[Stream, bytes], None]) -> list[bytes]:
        """A source at `ip`; what the first bytes of each of its connections were."""
        asked: list[bytes] = []

        def handle(stream: Stream) -> None:
            asked.append(stream.receive(1000))
            serve(stream, asked[-1])

        self.swarm.network.host(ip).listen(ip="0.0.0.0", port=2000, handler=handle, limit=100)
        return asked

    def initials(self) -> list[tuple[float, int, set[str]]]:
        """When, on which connection, and which names."""
        told = [(when, connection, json.loads(message)) for when, connection, message in self.heard]
        return [(when, at, {f["name"] for f in said["files"]}) for when, at, said in told if "files" in said]

    def _answer(self, stream: Stream) -> None:
        self._connections += 1
        number, splitter = self._connections, JsonSplitter(TRACKER_LIMIT_BYTES)
        said = False
        while data := stream.receive(65536):
            for message in splitter.feed(data):
                said = True
                self.heard.append((round(self.swarm.world.now_s, 3), number, message))
                for piece in self.spell(self._directory):
                    stream.send(piece)
                    gevent.sleep(0.01)
        assert said, "somebody connected and left without a message"


@pytest.fixture
def others(tmp_path: Path) -> Iterator[Others]:
    with cluster(tmp_path) as swarm:
        yield Others(swarm)


def in_our_dialect(directory: dict[str, Any]) -> list[bytes]:
    return [b"{\t" + json.dumps(directory).encode()[1:] + b"\n"]


def whole(content: bytes) -> Callable[[Stream, bytes], None]:
    """An honest source of edition 1."""
    return lambda stream, request: stream.send(content) if request else None


def of(machine: Machine, kind: type) -> list[Any]:
    return [event for event in machine.events if isinstance(event, kind)]


def test_nobody_of_ours_connects_to_a_tracker_and_leaves_without_a_message(others: Others) -> None:
    here = others.swarm.network.host(TRACKER.ip)
    said: list[str] = []
    EmbeddedTracker(
        network=here, clock=others.swarm.world.clock, endpoint=TRACKER, runtime=None, say=said.append
    ).start_if_nobody_listens()
    machine = others.swarm.machine({"a": b"1"})
    machine.start()
    others.swarm.rest(2)
    machine.stop()
    others.swarm.rest(1)
    assert [at for _, at, _ in others.heard] == [1, 2]
    assert said == []


def test_keepalives_are_never_behind_fetches(others: Others) -> None:
    def hang(stream: Stream, request: bytes) -> None:
        while stream.receive(1000):
            pass

    for number in range(40):
        others.source(f"10.0.1.{number}", hang)
        others.offer(f"file {number}", f"10.0.1.{number}")
        others.offer(f"dead {number}", f"10.0.2.{number}")
        others.swarm.network.silence(Endpoint(f"10.0.2.{number}", 2000))
    machine = others.swarm.machine()
    machine.start()
    others.swarm.rest(61)
    assert len(of(machine, FileFetching)) > 80
    times = [when for when, _, _ in others.heard]
    assert len(times) == 13
    assert all(later - earlier == pytest.approx(KEEPALIVE_S, abs=0.1) for earlier, later in pairwise(times))


def test_answers_without_newline_with_float_mtimes_cut_anywhere_are_taken(others: Others) -> None:
    def byte_by_byte(directory: dict[str, Any]) -> list[bytes]:
        spelt = json.dumps(directory, indent=1, ensure_ascii=False).encode()
        return [spelt[place : place + 1] for place in range(len(spelt))]

    others.spell = byte_by_byte
    others.source("10.0.1.1", whole(b"text"))
    others.offer('q"{[\\é😀', "10.0.1.1", mtime=1_000_000.99)
    machine = others.swarm.machine()
    machine.start()
    others.swarm.rest(30)
    assert machine.files() == {'q"{[\\é😀': b"text"}
    assert machine.announced() == {'q"{[\\é😀': 1_000_000}


def test_a_foreign_tracker_hears_the_initial_once_however_much_is_fetched(others: Others) -> None:
    others.source("10.0.1.1", lambda stream, request: stream.send(b"content of " + request) if request else None)
    for number in range(30):
        others.offer(f"file {number:02}", "10.0.1.1")
    machine = others.swarm.machine({"mine": b"1"})
    machine.start()
    others.swarm.rest(30)
    assert len(machine.files()) == 31
    assert [names for _, _, names in others.initials()] == [{"mine"}]


def test_our_tracker_hears_a_new_initial_on_the_same_connection_when_a_round_of_fetches_is_done(others: Others) -> None:
    asked: list[bytes] = []

    def dawdle(stream: Stream, request: bytes) -> None:
        asked.append(request)
        gevent.sleep(7.0 if len(asked) == 1 else 0.0)
        stream.send(b"content of " + request)

    others.spell = in_our_dialect
    others.source("10.0.1.1", dawdle)
    for number in range(30):
        others.offer(f"file {number:02}", "10.0.1.1")
    machine = others.swarm.machine({"mine": b"1"})
    machine.start()
    others.swarm.rest(30)
    [(_, first, _), (when, second, names)] = others.initials()
    assert first == second == 1
    assert names == machine.files().keys()
    assert len(names) == 31
    assert 7.0 < when < 9.0  # at once: the last Initial is more than 5 s old, and the next keepalive is due at 10


def test_every_connection_to_a_source_asks_for_something(others: Others) -> None:
    contents = {b"large": bytes(3_000_000), b"small": b"text", b"empty": b""}
    asked = others.source("10.0.1.1", lambda stream, request: stream.send(contents.get(request, b"")))
    for name in contents:
        others.offer(name.decode(), "10.0.1.1")
    machine = others.swarm.machine()
    machine.start()
    others.swarm.rest(60)
    assert machine.files() == {name.decode(): content for name, content in contents.items()}
    assert len(asked) > len(contents)
    assert set(asked) == set(contents)


def test_a_living_sender_that_cuts_is_not_caught_and_the_documents_say_so(others: Others) -> None:
    others.source("10.0.1.1", whole(b"half of it"))
    others.offer("a", "10.0.1.1")
    machine = others.swarm.machine()
    machine.start()
    others.swarm.rest(30)
    assert machine.files() == {"a": b"half of it"}
    protocol = (TESTS.parent / "docs" / "PROTOCOL.md").read_text(encoding="utf-8")
    assert "Vouching does not catch a living source that cuts its files." in protocol


def test_the_end_of_a_file_is_the_close_and_never_a_pause(others: Others) -> None:
    def dawdle(stream: Stream, request: bytes) -> None:
        for piece in (b"one ", b"two ", b"three"):
            stream.send(piece)
            gevent.sleep(STALL_S - 1)

    others.source("10.0.1.1", dawdle)
    others.offer("a", "10.0.1.1")
    machine = others.swarm.machine()
    machine.start()
    others.swarm.rest(3 * (STALL_S - 1) - 1)
    assert machine.files() == {}
    others.swarm.rest(60)
    assert machine.files() == {"a": b"one two three"}
    assert of(machine, FileSkipped) == []


def test_dead_entries_cost_one_timeout_each_side_by_side_with_backoff(others: Others) -> None:
    dead = [Endpoint(f"10.0.2.{number}", 2000) for number in range(100)]
    for endpoint in dead:
        others.swarm.network.silence(endpoint)
        for number in range(3):
            others.offer(f"dead {number} {endpoint.ip}", endpoint.ip)
    others.source("10.0.1.1", whole(b"text"))
    others.offer("zzz", "10.0.1.1")
    machine = others.swarm.machine()
    machine.start()
    others.swarm.rest(1)
    assert machine.files() == {"zzz": b"text"}
    others.swarm.rest(CONNECT_S)
    assert len(of(machine, FileSkipped)) == 100
    others.swarm.rest(120)
    tries = Counter(event.source for event in of(machine, FileFetching))
    assert all(5 <= tries[endpoint] <= 10 for endpoint in dead)  # 5 s each; 1, 2, 4, 8 and then up to 16 s between


def test_our_own_entry_is_not_fetched(others: Others) -> None:
    machine = others.swarm.machine({"mine": b"1"})
    machine.start()
    others.swarm.rest(1)
    port = json.loads(others.heard[0][2])["port"]
    for name in ("mine", "what we never had"):
        others.offer(name, machine.ip, port=port, mtime=2_000_000)
    others.swarm.rest(30)
    assert of(machine, FileFetching) == []
    assert machine.files() == {"mine": b"1"}


def test_an_entry_on_loopback_is_not_dialled_when_the_tracker_is_elsewhere(others: Others) -> None:
    machine = others.swarm.machine()
    asked = others.source(machine.ip, whole(b"a service of this machine"))
    for number, ip in enumerate(("127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1")):
        others.offer(f"file {number}", ip)
    machine.start()
    others.swarm.rest(30)
    assert asked == []
    assert of(machine, FileFetching) == []
    assert machine.files() == {}
