"""One status from many findings."""

from app.protocol.modes import OK, Finding, Mode, Part, status_of


def test_without_findings_everything_is_ok() -> None:
    status = status_of(())
    assert (status.mode, status.ready) == (Mode.NORMAL, True)
    assert status.reasons == dict.fromkeys((part.value for part in Part), OK)


def test_the_worst_finding_gives_the_mode_and_each_part_its_worst_reason() -> None:
    status = status_of(
        [
            Finding(Part.DATABASE, Mode.READ_ONLY, "down"),
            Finding(Part.DATABASE, Mode.DEGRADED, "slow"),
            Finding(Part.REDIS, Mode.DEGRADED, "away"),
        ]
    )
    assert (status.mode, status.reasons["database"], status.reasons["redis"]) == (Mode.READ_ONLY, "down", "away")
    assert status.reasons["disk"] == OK
