"""A queue of records that some wait for and others do not: each future is of its record's group."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from rapidjws.audit import SequencerClient
from rapidjws.audit.records import RecordContext
from rapidjws.audit.sequencer_client import GROUP_MAX, LENGTH, TAKEN, receive

CONTEXT = RecordContext({"kind": "decision"})


def row(number: int) -> Any:
    """Return a row."""
    return (CONTEXT, number, None, None, None, None, None, False)


@pytest.fixture
def client() -> SequencerClient:
    """Return a client whose groups the test takes."""
    made = SequencerClient("/nonexistent", durable=True, queue_records=3 * GROUP_MAX)
    made._thread = threading.current_thread()
    return made


def test_L_a_future_is_of_the_group_that_has_its_record(client: SequencerClient) -> None:
    """Behind a whole group that nobody waits for, a record is answered with its own group, not before."""
    for number in range(GROUP_MAX):
        assert client.take(row(number))
    waited = client.take_durably(row(-1))
    rows, futures, _ = client._next_group()
    assert (len(rows), futures) == (GROUP_MAX, [])
    rows, futures, _ = client._next_group()
    assert ([one[1] for one in rows], futures) == ([-1], [waited])


def test_L_groups_of_records_of_both_kinds_keep_their_futures(client: SequencerClient) -> None:
    """In any order of both kinds, each group has the futures of its records, and the bound counts records."""
    due: dict[int, Any] = {}
    for number in range(3 * GROUP_MAX):
        if number % 3:
            due[number] = client.take_durably(row(number))
            assert due[number] is not None
        else:
            assert client.take(row(number))
    assert client.take_durably(row(0)) is None
    assert not client.take(row(0))
    seen: list[int] = []
    while len(seen) < 3 * GROUP_MAX:
        rows, futures, _ = client._next_group()
        assert len(rows) == GROUP_MAX
        numbers = [one[1] for one in rows]
        assert futures == [due[number] for number in numbers if number in due]
        seen += numbers
    assert seen == list(range(3 * GROUP_MAX))
    assert client._waiting == 0


@pytest.mark.parametrize("is_mixed", [False, True])
def test_L_a_record_that_comes_while_a_group_is_cut_is_not_lost(is_mixed: bool) -> None:
    """What ``take`` has begun to append to is the list that later groups are cut from."""
    client = SequencerClient("/nonexistent", durable=False, flush_ms=0)
    client._thread = threading.current_thread()
    client._has_waited = is_mixed
    queue = client._rows  # as ``take`` has read it, before another thread cuts a group
    client.take(row(1))
    assert len(client._next_group()[0]) == 1
    queue.append(row(2))
    assert [one[1] for one in client._next_group()[0]] == [2]


@pytest.mark.parametrize("size", [0, 1, (1 << 16) - 1, 1 << 16, (1 << 16) + 1, 3 << 20])
def test_L_a_message_of_any_size_arrives_whole(size: int) -> None:
    """A group's message has its length before it, whether both are sent together or one after the other."""
    ours, theirs = socket.socketpair()
    client = SequencerClient("/nonexistent", durable=True)
    client._connection = ours
    given = bytes(range(256)) * (size // 256 + 1)
    seen: list[bytes] = []

    def serve() -> None:
        length = LENGTH.unpack(receive(theirs, LENGTH.size))[0]
        seen.append(receive(theirs, length))
        theirs.sendall(TAKEN)

    server = threading.Thread(target=serve)
    server.start()
    assert client._send(given[:size]) is True
    server.join(60)
    assert seen == [given[:size]]
    ours.close()
    theirs.close()
