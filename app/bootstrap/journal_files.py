"""`orderwire journal export | import`: a shard's journal to a checksummed file, and from one into an empty shard."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import msgspec

from app.bootstrap.startup import open_journal, require_database
from app.config import Settings
from app.errors import JournalDamaged, StartupError
from app.storage.journal import Journal, JournalRow
from app.storage.journal_file import Header, JournalFileReader, JournalFileWriter, genesis

PAGE_ROWS = 500


class Moved(msgspec.Struct, frozen=True):
    """What went through a file."""

    shard: int
    first_seq: int
    last_seq: int
    rows: int


async def export_journal(settings: Settings, path: Path, *, start: int | None, end: int | None) -> Moved:
    """Write the rows that hold sequences `start` to `end` (default: all that there is).

    The file appears under its name only when it is whole. Raises JournalDamaged and StartupError.
    """
    await require_database(settings.database_url)
    journal = await open_journal(settings)
    aside = path.with_name(path.name + ".part")
    try:
        last = (await journal.head()).head_seq if end is None else end
        with aside.open("wb") as file:
            moved = await _write_rows(journal, file, start=start, last=last)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
    except OSError as error:
        raise StartupError(f"cannot write {path}: {error.strerror}") from error
    finally:
        aside.unlink(missing_ok=True)
        await journal.close()
    return moved


async def import_journal(settings: Settings, paths: Sequence[Path]) -> Moved:
    """Read a whole journal, of files that continue each other, into a shard that has none; an engine then replays it.

    Everything is written in one transaction, after which the shard has no leader. Raises JournalDamaged and
    StartupError.
    """
    await require_database(settings.database_url)
    journal = await open_journal(settings)
    try:
        with ExitStack() as stack:
            readers = [JournalFileReader(stack.enter_context(path.open("rb"))) for path in paths]
            last, count = await journal.restore(_continued(readers, settings.shard))
    except OSError as error:
        raise StartupError(f"cannot read {error.filename}: {error.strerror}") from error
    finally:
        await journal.close()
    return Moved(settings.shard, 1, last, count)


def _continued(readers: Sequence[JournalFileReader], shard: int) -> Iterator[JournalRow]:
    """Yield the rows of all files. Raises StartupError for one that does not continue the one before."""
    expected = genesis(shard)
    for reader in readers:
        if reader.header != expected:
            raise StartupError(
                f"expected a file of shard {shard} from sequence {expected.after_seq + 1} on, was shard "
                f"{reader.header.shard} from {reader.header.after_seq + 1} on, or of another history"
            )
        for row in reader.rows():
            expected = Header(shard, row.last_seq, row.hash)
            yield row


async def _write_rows(journal: Journal, file: BinaryIO, *, start: int | None, last: int) -> Moved:
    rows = await journal.rows(0 if start is None else start - 1, 1)
    if not rows or last < rows[0].first_seq:
        raise StartupError(f"the journal has no sequences from {start or 1} to {last}")
    first = rows[0]
    if start is not None and start < first.first_seq:
        raise StartupError(f"the journal begins with sequence {first.first_seq}, what was before is in an export")
    header = Header(journal.shard, first.first_seq - 1, first.prev_hash)
    writer = JournalFileWriter(file, header)
    while rows:
        for row in rows:
            if row.first_seq > last:
                rows = []
                break
            writer.write(row)
        else:
            rows = await journal.rows(writer.last_seq, PAGE_ROWS)
    if writer.last_seq < last:
        raise JournalDamaged(f"the journal ends at {writer.last_seq}, sequence {last} was asked for")
    writer.finish()
    return Moved(journal.shard, first.first_seq, writer.last_seq, writer.rows)
