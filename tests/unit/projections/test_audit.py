"""The audit lists every act of administration, whatever came of it, and nothing else."""

from app.domain.commands import CancelOrder, CreateAccount, Deposit, SetKillSwitch, Tick
from app.domain.enums import KillSwitchScope
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


def test_a_kill_switch_of_an_account_is_about_that_account_if_there_can_be_one() -> None:
    account, exchange = KillSwitchScope.ACCOUNT, KillSwitchScope.EXCHANGE
    targets = [(account, "1002"), (account, "9" * 40), (account, "nobody"), (account, None), (exchange, None)]
    record = batch(11, commands=len(targets), system=[])
    record.commands[:] = [encode(SetKillSwitch(scope, target, True)) for scope, target in targets]
    assert [act.account_id for act in acts_of(record, [])] == [1002, None, None, None, None]
