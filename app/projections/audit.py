"""Which commands of a batch are acts of administration, and whether they changed anything.

The journal is the record; the audit table makes it readable. An act that was refused, or that repeated
what was done before, stated no fact: it is listed all the same. Pure.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from app.domain.commands import (
    Command,
    CreateAccount,
    CreateAsset,
    CreateInstrument,
    Deposit,
    SetFeeTiers,
    SetKillSwitch,
    SetLimits,
    SetReference,
    StartEpoch,
    Transfer,
    UpdateAccount,
    UpdateInstrument,
    Withdraw,
)
from app.domain.enums import KillSwitchScope
from app.domain.events import SystemEvent
from app.protocol.records import BatchRecord, decode_command

ACTS = {
    kind.__struct_config__.tag: kind
    for kind in (
        CreateAsset,
        CreateInstrument,
        UpdateInstrument,
        SetReference,
        SetKillSwitch,
        SetFeeTiers,
        CreateAccount,
        UpdateAccount,
        Deposit,
        Withdraw,
        Transfer,
        SetLimits,
        StartEpoch,
    )
}
"""By the tag of the command."""


ACCOUNT_ID_MAX = 2**63 - 1


class Act(NamedTuple):
    """One act."""

    engine_seq: int
    timestamp_ns: int
    action: str
    account_id: int | None
    """Account it was about, if it was about one."""
    changed: bool
    details: str
    """The command's fields, as JSON."""


class _Headed(msgspec.Struct, array_like=True, gc=False):
    """A command as far as its tag."""

    tag: str


_tag = msgspec.msgpack.Decoder(_Headed)
_json = msgspec.json.Encoder()


def acts_of(record: BatchRecord, facts: Sequence[SystemEvent]) -> Iterator[Act]:
    """Yield the acts of a batch; `facts` are its system events."""
    changed = {fact.engine_seq for fact in facts}
    for sequence, data in enumerate(record.commands, record.first_seq):
        action = _tag.decode(data).tag
        if action in ACTS:
            command = decode_command(data)
            fields = {name: getattr(command, name) for name in command.__struct_fields__}
            account_id = fields.get("account_id", _account_of(command))
            yield Act(
                sequence, record.timestamp_ns, action, account_id, sequence in changed, _json.encode(fields).decode()
            )


def _account_of(command: Command) -> int | None:
    """Return the account that a command names under another name; None if it names none, or none that can be."""
    if not isinstance(command, SetKillSwitch) or command.scope is not KillSwitchScope.ACCOUNT:
        return None
    target = command.target or ""
    is_number = target.isascii() and target.isdigit() and len(target) <= len(str(ACCOUNT_ID_MAX))
    return int(target) if is_number and int(target) <= ACCOUNT_ID_MAX else None
