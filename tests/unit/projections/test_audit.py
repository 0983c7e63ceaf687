"""The audit lists every act of administration, whatever came of it, and nothing else."""

from app.domain.commands import CancelOrder, CreateAccount, Deposit, Tick
from app.domain.events import AccountOpened, FundsTransferred, SystemEvent
from app.projections.audit import acts_of
from app.protocol.records import encode
from tests.journal_rows import batch


def test_acts_are_listed_with_their_account_and_whether_they_changed_anything() -> None:
    commands = [
        Tick(),
        CreateAccount("alice"),
        Deposit(1001, "USD", "5", "t-1"),
        CancelOrder(1001, 1),
        Deposit(1001, "USD", "5", "t-1"),
    ]
    facts: list[SystemEvent] = [AccountOpened(12, 1001, "alice"), FundsTransferred(13, 1001, "USD", "5", "t-1")]
    record = batch(11, commands=5, system=facts)
    record.commands[:] = [encode(command) for command in commands]

    acts = list(acts_of(record, facts))

    assert [(act.engine_seq, act.action, act.account_id, act.changed) for act in acts] == [
        (12, "create_account", None, True),
        (13, "deposit", 1001, True),
        (15, "deposit", 1001, False),
    ]
    assert acts[1].details == '{"account_id":1001,"asset":"USD","amount":"5","transfer_id":"t-1"}'
