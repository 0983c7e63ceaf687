"""The journal on a real server: fence, chain, and the one question after a lost connection."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from app.errors import Fenced, JournalDamaged, JournalUnavailable, StartupError
from app.protocol.records import GENESIS_HASH
from app.storage.journal import Head, Journal, JournalRow
from tests.integration.storage.proxy import Fault, proxy_before
from tests.journal_rows import batch, chain, row_of


@pytest_asyncio.fixture
async def journal(module_database_url: str, shard: int) -> AsyncIterator[Journal]:
    journal = await Journal.connect(module_database_url, shard, give_up_s=5.0)
    yield journal
    await journal.close()


async def lead(journal: Journal, owner: str = "leader") -> Head:
    head = await journal.take_over(await journal.head(), owner=owner, address="127.0.0.1:1", build="test")
    assert head is not None
    return head


async def execute(module_database_url: str, statement: str, *values: object) -> None:
    connection = await asyncpg.connect(module_database_url)
    try:
        await connection.execute(statement, *values)
    finally:
        await connection.close()


async def test_a_new_shard_starts_at_genesis_and_stays_there(journal: Journal) -> None:
    first = await journal.head()

    assert first == await journal.head()
    assert (first.term, first.head_seq, first.head_hash) == (0, 0, GENESIS_HASH)


async def test_appended_rows_are_read_back_in_order_and_move_the_head(journal: Journal) -> None:
    await lead(journal)
    rows = chain([batch(1, commands=3), batch(4), batch(5, commands=2)])

    for row in rows:
        await journal.append(row)

    assert await journal.rows(0, 10) == rows
    assert await journal.rows(3, 1) == [rows[1]]
    assert await journal.rows(4, 10) == [rows[2]], "a reader in the middle of nothing continues after its sequence"
    assert await journal.rows(6, 10) == []
    head = await journal.head()
    assert (head.head_seq, head.head_hash) == (6, rows[-1].hash)


async def test_one_answer_of_rows_is_bounded_in_bytes_but_never_empty(journal: Journal) -> None:
    await lead(journal)
    rows = chain(batch(sequence) for sequence in range(1, 6))
    for row in rows:
        await journal.append(row)

    assert await journal.rows(0, 10, bytes_max=2 * len(rows[0].body)) == rows[:2]
    assert await journal.rows(2, 10, bytes_max=1) == rows[2:3]


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"prev_hash": b"\x01" * 32}, id="hash"),
        pytest.param({"term": 2}, id="newer term"),
        pytest.param({"term": 0}, id="older term"),
        pytest.param({"first_seq": 3, "last_seq": 3}, id="gap"),
        pytest.param({"first_seq": 1, "last_seq": 1}, id="sequence again"),
    ],
)
async def test_an_append_that_does_not_follow_the_head_is_fenced_and_writes_nothing(
    journal: Journal, wrong: dict[str, object]
) -> None:
    await lead(journal)
    first, second = chain([batch(1), batch(2)])
    await journal.append(first)

    with pytest.raises(Fenced):
        await journal.append(second._replace(**wrong))  # type: ignore[arg-type]  # fields by name

    assert await journal.rows(0, 10) == [first]
    await journal.append(second)


async def test_a_row_beyond_the_head_is_damage(journal: Journal, module_database_url: str) -> None:
    await lead(journal)
    first, second = chain([batch(1), batch(2)])
    await journal.append(first)
    await journal.append(second)
    await execute(
        module_database_url,
        "UPDATE shard_head SET head_seq = 1, head_hash = $1 WHERE shard = $2",
        first.hash,
        journal.shard,
    )

    with pytest.raises(JournalDamaged, match="sequence 2"):
        await journal.append(second)


async def test_the_old_leader_is_fenced_by_a_takeover(journal: Journal, module_database_url: str) -> None:
    await lead(journal, "old")
    first, second = chain([batch(1), batch(2)])
    await journal.append(first)
    rival = await Journal.connect(module_database_url, journal.shard)

    head = await lead(rival, "new")

    assert (head.term, head.head_seq, head.head_hash, head.owner) == (2, 1, first.hash, "new")
    with pytest.raises(Fenced):
        await journal.append(second)
    with pytest.raises(Fenced):
        await journal.beat(1, 1, first.hash)
    await rival.append(row_of(batch(2, term=2), first.hash))
    await rival.close()


async def test_a_takeover_race_has_exactly_one_winner(module_database_url: str, shard: int) -> None:
    candidates = [await Journal.connect(module_database_url, shard) for _ in range(8)]
    for term in range(1, 11):
        observed = await candidates[0].head()

        heads = await asyncio.gather(
            *(
                candidate.take_over(observed, owner=f"candidate-{number}", address="", build="test")
                for number, candidate in enumerate(candidates)
            )
        )

        winners = [number for number, head in enumerate(heads) if head is not None]
        assert len(winners) == 1
        head = await candidates[0].head()
        assert (head.term, head.owner) == (term, f"candidate-{winners[0]}")
    await asyncio.gather(*(candidate.close() for candidate in candidates))


async def test_writers_of_one_term_never_break_the_chain(module_database_url: str, shard: int) -> None:
    """Two processes that both believe in the same term: every commit follows the one before it."""
    writers = [await Journal.connect(module_database_url, shard) for _ in range(2)]
    await lead(writers[0])

    async def write(writer: Journal) -> int:
        committed = 0
        for _ in range(60):
            head = await writer.head()
            try:
                await writer.append(row_of(batch(head.head_seq + 1), head.head_hash))
            except Fenced:
                continue
            committed += 1
        return committed

    committed = await asyncio.gather(*(write(writer) for writer in writers))

    rows = await writers[0].rows(0, 1000)
    assert len(rows) == (await writers[0].head()).head_seq
    # Both may have made the very same row: then both were told the truth, that it is there.
    assert len(rows) <= sum(committed)
    assert [row.prev_hash for row in rows[1:]] == [row.hash for row in rows[:-1]]
    await asyncio.gather(*(writer.close() for writer in writers))


async def test_a_beat_shows_life_and_moves_nothing_else(journal: Journal) -> None:
    before = await lead(journal)

    await journal.beat(before.term, before.head_seq, before.head_hash)

    assert await journal.head() == before._replace(beat=before.beat + 1)
    with pytest.raises(Fenced):
        await journal.beat(before.term, before.head_seq + 1, before.head_hash)


@pytest.mark.parametrize("fault", [Fault.CUT_BEFORE, Fault.CUT_AFTER])
async def test_a_connection_cut_at_an_append_is_resolved_and_commits_once(
    module_database_url: str, fault: Fault, shard: int
) -> None:
    async with proxy_before(module_database_url) as (proxy, url):
        journal = await Journal.connect(url, shard, give_up_s=5.0)
        await lead(journal)
        rows = chain(batch(sequence) for sequence in range(1, 21))
        for undisturbed, disturbed in zip(rows[::2], rows[1::2], strict=True):
            # The first prepares the statement on this connection, so that the fault meets its execution.
            await journal.append(undisturbed)
            proxy.arm(fault)

            await journal.append(disturbed)

        assert proxy.faults == len(rows) / 2
        assert await journal.rows(0, 100) == rows
        await journal.close()


@pytest.mark.parametrize("fault", [Fault.CUT_BEFORE, Fault.CUT_AFTER])
async def test_a_connection_cut_at_a_takeover_knows_its_own_success(
    module_database_url: str, fault: Fault, shard: int
) -> None:
    async with proxy_before(module_database_url) as (proxy, url):
        journal = await Journal.connect(url, shard, give_up_s=5.0)
        observed = await lead(journal, "before")
        # A takeover of a term that nobody has prepares the statement, so that the fault meets its execution.
        assert await journal.take_over(observed._replace(term=9), owner="", address="", build="") is None
        proxy.arm(fault)

        head = await journal.take_over(observed, owner="mine", address="here", build="test")

        assert proxy.faults == 1
        assert head is not None
        assert (head.term, head.owner) == (2, "mine")
        await journal.close()


async def test_an_append_that_arrives_after_its_own_retry_changes_nothing(
    module_database_url: str, monkeypatch: pytest.MonkeyPatch, shard: int
) -> None:
    monkeypatch.setattr("app.storage.journal.COMMAND_TIMEOUT_S", 0.2)
    async with proxy_before(module_database_url) as (proxy, url):
        journal = await Journal.connect(url, shard, give_up_s=5.0)
        await lead(journal)
        rows = chain([batch(1), batch(2), batch(3)])
        await journal.append(rows[0])
        proxy.arm(Fault.DELAY)

        await journal.append(rows[1])
        await journal.append(rows[2])
        proxy.release()
        await proxy.delivered_late.wait()

        assert await journal.rows(0, 10) == rows
        assert (await journal.head()).head_hash == rows[2].hash
        await journal.close()


async def test_a_backend_terminated_between_appends_is_replaced(journal: Journal, module_database_url: str) -> None:
    await lead(journal)
    rows = chain(batch(sequence) for sequence in range(1, 11))
    for row in rows:
        await journal.append(row)
        await execute(
            module_database_url,
            "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'orderwire journal'",
        )

    assert await journal.rows(0, 100) == rows


async def test_an_append_terminated_while_it_runs_is_tried_again(journal: Journal, module_database_url: str) -> None:
    await lead(journal)
    row = row_of(batch(1))
    blocker = await asyncpg.connect(module_database_url)
    transaction = blocker.transaction()
    await transaction.start()
    await blocker.execute("SELECT 1 FROM shard_head WHERE shard = $1 FOR UPDATE", journal.shard)
    appending = asyncio.create_task(journal.append(row))
    terminated = False
    while not terminated:
        terminated = await blocker.fetchval(
            "SELECT bool_or(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        await asyncio.sleep(0.005)
        await blocker.execute("SELECT pg_stat_clear_snapshot()")

    assert not appending.done()
    await transaction.rollback()
    await blocker.close()

    await appending
    assert await journal.rows(0, 10) == [row]


async def test_without_a_server_an_operation_gives_up_in_bounded_time(module_database_url: str, shard: int) -> None:
    async with proxy_before(module_database_url) as (proxy, url):
        journal = await Journal.connect(url, shard, give_up_s=0.3)
        await lead(journal)
        proxy.arm(*[Fault.CUT_BEFORE] * 1000)
        async with asyncio.timeout(2.0):
            with pytest.raises(JournalUnavailable):
                await journal.append(row_of(batch(1)))
            with pytest.raises(JournalUnavailable):
                await journal.head()
            with pytest.raises(JournalUnavailable):
                await Journal.connect(url, shard, give_up_s=0.3)
            await journal.close()


async def test_closing_a_silent_connection_takes_bounded_time(
    module_database_url: str, monkeypatch: pytest.MonkeyPatch, shard: int
) -> None:
    monkeypatch.setattr("app.storage.connection.CLOSE_TIMEOUT_S", 0.2)
    async with proxy_before(module_database_url) as (proxy, url):
        journal = await Journal.connect(url, shard)
        proxy.arm(Fault.DELAY)
        async with asyncio.timeout(2.0):
            await journal.close()
        assert proxy.faults == 1, "the goodbye must have met the silent server"
        proxy.release()


async def test_an_append_cancelled_by_the_caller_leaves_a_usable_journal(
    journal: Journal, module_database_url: str
) -> None:
    await lead(journal)
    first, second = chain([batch(1), batch(2)])
    blocker = await asyncpg.connect(module_database_url)
    async with blocker.transaction():
        await blocker.execute("SELECT 1 FROM shard_head WHERE shard = $1 FOR UPDATE", journal.shard)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(journal.append(first), 0.1)
    await blocker.close()

    await journal.append(first)
    await journal.append(second)

    assert await journal.rows(0, 10) == [first, second]


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
async def test_a_forgetful_server_is_refused(database_url: str, setting: str) -> None:
    # These hold for a whole server, so a view of that name answers in its place.
    name = database_url.rpartition("/")[2]
    await execute(
        database_url,
        "CREATE VIEW pg_settings AS SELECT name, CASE name WHEN 'SETTING' THEN 'off' ELSE setting END AS setting "
        "FROM pg_catalog.pg_settings".replace("SETTING", setting),
    )
    await execute(database_url, f'ALTER DATABASE "{name}" SET search_path = public, pg_catalog')
    journal = await Journal.connect(database_url, 0)

    with pytest.raises(StartupError, match=f"was off: {setting}$"):
        await journal.check_durability()

    await journal.close()


async def test_synchronous_commit_off_for_the_database_is_refused(database_url: str) -> None:
    name = database_url.rpartition("/")[2]
    await execute(database_url, f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    journal = await Journal.connect(database_url, 0)

    with pytest.raises(StartupError, match="synchronous_commit"):
        await journal.check_durability()

    await journal.close()


async def test_a_durable_server_is_accepted(journal: Journal) -> None:
    await journal.check_durability()


@pytest.mark.parametrize("statement", ["UPDATE journal SET term = 9", "DELETE FROM journal", "TRUNCATE journal"])
async def test_the_journal_refuses_every_change_of_what_is_written(
    journal: Journal, module_database_url: str, statement: str
) -> None:
    await lead(journal)
    row: JournalRow = row_of(batch(1))
    await journal.append(row)

    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="journal is append-only"):
        await execute(module_database_url, statement)

    assert await journal.rows(0, 10) == [row]


async def test_shards_do_not_see_each_other(journal: Journal, module_database_url: str) -> None:
    other = await Journal.connect(module_database_url, journal.shard + 10_000)
    await lead(journal)
    await lead(other)
    row = row_of(batch(1))

    await journal.append(row)

    assert await other.rows(0, 10) == []
    assert (await other.head()).head_seq == 0
    await other.append(row)
    await other.close()
