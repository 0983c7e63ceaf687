"""When a silent leader counts as dead, and when its lock says that it is gone."""

from app.protocol.records import GENESIS_HASH
from app.sequencer.leadership import BEAT_READS_MIN, BEAT_STILL_S, READ_GAP_MAX_S, BeatWatch, LockHint
from app.storage.journal import Head
from app.storage.leader_lock import LeaderLock, Probe, lock_key


def head(beat: int, term: int = 1) -> Head:
    return Head(0, term, 10, GENESIS_HASH, beat, "somebody", "127.0.0.1:1", "test")


def judged(watch: BeatWatch, reads: list[tuple[float, int]]) -> bool:
    """Feed (time, beat) reads; returns the last judgment."""
    silent = False
    for at, beat in reads:
        silent = watch.silent(head(beat), at)
    return silent


def every(step: float, start: float, end: float, beat: int) -> list[tuple[float, int]]:
    count = round((end - start) / step) + 1
    return [(start + n * step, beat) for n in range(count)]


def test_a_beat_that_stands_still_long_enough_is_a_dead_leader() -> None:
    assert not judged(BeatWatch(), every(0.1, 0.0, BEAT_STILL_S - 0.1, beat=5))
    assert judged(BeatWatch(), every(0.1, 0.0, BEAT_STILL_S, beat=5))


def test_a_beat_that_moves_begins_anew() -> None:
    reads = every(0.1, 0.0, 1.4, beat=5) + every(0.1, 1.5, 1.5 + BEAT_STILL_S - 0.1, beat=6)
    assert not judged(BeatWatch(), reads)


def test_another_term_begins_anew() -> None:
    watch = BeatWatch()
    assert judged(watch, every(0.1, 0.0, BEAT_STILL_S, beat=5))
    assert not watch.silent(head(5, term=2), BEAT_STILL_S + 0.1)


def test_few_reads_are_not_enough_however_long_they_span() -> None:
    step = READ_GAP_MAX_S
    assert not judged(BeatWatch(), every(step, 0.0, step * (BEAT_READS_MIN - 2), beat=5))
    assert judged(BeatWatch(), every(step, 0.0, step * (BEAT_READS_MIN - 1), beat=5))


def test_a_frozen_database_between_two_reads_is_no_dead_leader() -> None:
    """Its thaw lets our read through before the leader's beat: the silence was not the leader's."""
    watch = BeatWatch()
    assert not judged(watch, [*every(0.1, 0.0, 1.4, beat=5), (4.4, 5)])
    assert not judged(watch, every(0.1, 4.5, 4.4 + BEAT_STILL_S - 0.1, beat=5))
    assert judged(watch, [(4.4 + BEAT_STILL_S, 5)])


def test_a_silence_is_counted_from_the_last_beat_that_was_seen_to_move() -> None:
    watch = BeatWatch()
    judged(watch, every(0.1, 0.0, 1.0, beat=5))
    assert watch.moved is None
    judged(watch, [*every(0.1, 1.1, 2.0, beat=6), (12.0, 6)])
    assert watch.moved == 1.1


class ProbedLock(LeaderLock):
    """Answers probes as told."""

    def __init__(self, *probes: Probe) -> None:
        super().__init__("postgresql://nobody@localhost/nothing", 0)
        self.probes = list(probes)

    async def probe(self, key: int) -> Probe:
        return self.probes.pop(0)


async def judgments(*probes: Probe) -> list[bool]:
    """Return what the hint says after each probe of one owner's lock."""
    lock = ProbedLock(*probes)
    hint = LockHint(lock)
    return [await hint.free(lock.owner) for _ in probes]


async def test_a_lock_that_was_free_when_we_came_or_falls_free_is_a_leader_that_is_gone() -> None:
    assert await judgments(Probe(True, "monday")) == [True]
    assert await judgments(Probe(False, "monday"), Probe(True, "monday")) == [False, True]


async def test_a_lock_that_a_restarted_server_freed_counts_only_once_it_was_held_again() -> None:
    freed = [Probe(False, "monday"), *[Probe(True, "tuesday")] * 3]
    assert await judgments(*freed) == [False] * 4
    assert await judgments(*freed, Probe(False, "tuesday"), Probe(True, "tuesday")) == [False] * 5 + [True]


async def test_an_owner_that_names_no_lock_is_judged_by_its_beat_only() -> None:
    """A build before locks were named leads while the next one already stands by."""
    lock = ProbedLock()
    assert lock_key(lock.owner) is not None
    for owner in ("", "somebody", "host:4711:7f0e9d1c-7c53-4f64-8d3a-1f2d8a9b5c6e", "host:4711:ffffffffffffffff"):
        assert not await LockHint(lock).free(owner)
