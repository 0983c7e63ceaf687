"""The row that starts a new epoch: written once by an administrator's command, while no engine leads."""

import time

from app.domain.commands import StartEpoch
from app.engine.engine import ENGINE_VERSION
from app.protocol.records import chain_hash, encode
from app.sequencer.batch import build_record
from app.sequencer.recovery import Recovered
from app.storage.journal import JournalRow


def epoch_row(recovered: Recovered, *, term: int) -> tuple[int, JournalRow]:
    """Return the next epoch and the row that follows a recovered head with its start."""
    engine = recovered.engine
    engine.begin(time.time_ns())
    command = StartEpoch(engine.state.epoch + 1)
    engine.apply(command)
    state = engine.state
    record = build_record(
        engine.seal(), [encode(command)], last_seq=state.sequence, term=term, timestamp_ns=state.timestamp_ns
    )
    body = encode(record)
    row = JournalRow(
        last_seq=record.last_seq,
        first_seq=record.first_seq,
        term=term,
        prev_hash=recovered.head_hash,
        hash=chain_hash(recovered.head_hash, body),
        engine_version=ENGINE_VERSION,
        timestamp_ns=record.timestamp_ns,
        body=body,
    )
    return state.epoch, row
