"""The groups of features that the streams use: each is switched on when the engine has it."""

GROUPS: frozenset[str] = frozenset(
    {
        "expiry",
        "ticks",
        "triggers",
        "icebergs",
        "quotes",
        "mass_cancel",
        "cancel_after",
        "sessions",
        "kill_switch",
        "order_types",
        "mark",
        "breaker",
        "auction",
        "batches",
        "lists",
        "check_order",
        "positions",
        "transfers",
        "tiers",
        "limits",
        "account_settings",
        "reduce_only",
    }
)
"""Enabled groups: their commands are made, and their rare states must be reached."""
