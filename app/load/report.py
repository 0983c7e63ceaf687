"""How a run is shown: a live line or two on a terminal, a summary for a reader."""

from typing import Any

from rich.table import Table

from app.load.open_loop import OpenLoop
from app.load.plan import Plan

SATURATED_SHARE = 0.8
"""Above this share of a core the load itself may be what is measured."""


def live_table(loop: OpenLoop, plan: Plan) -> Table:
    """Return where a run stands."""
    tally = loop.tally
    seconds = max(tally.seconds, 1e-9)
    shown = Table(title=f"{plan.rate:,.0f}/s {plan.arrivals} for {plan.seconds:g} s", show_header=False)
    shown.add_row("elapsed", f"{tally.seconds:.1f} s")
    shown.add_row("sent", f"{tally.sent:,} ({tally.sent / seconds:,.0f}/s)")
    shown.add_row("acknowledged", f"{tally.acknowledged:,} ({tally.acknowledged / seconds:,.0f}/s)")
    shown.add_row("refused", _by_code(tally.refused))
    shown.add_row("lost", f"{tally.lost:,}")
    shown.add_row("in flight", f"{loop.in_flight:,}")
    for percent in (50, 99):
        milliseconds = tally.latencies.percentile_ns(percent) / 1e6
        shown.add_row(f"p{percent}", f"{milliseconds:,.2f} ms")
    return shown


def summary(figures: dict[str, Any]) -> str:
    """Return the lines of a finished run."""
    latency, delay, answer = figures["latency_ms"], figures["send_delay_ms"], figures["answer_ms"]
    lines = [
        f"{figures['via']}: {figures['rate']:,.0f}/s {figures['arrivals']}, seed {figures['seed']}, "
        f"{figures['connections']} connections, {figures['seconds']} s",
        f"  scheduled {figures['scheduled']:,}, sent {figures['sent']:,}, never sent {figures['unsent']:,}",
        f"  acknowledged {figures['acknowledged']:,} ({figures['acknowledged_per_s']:,}/s), "
        f"refused {_by_code(figures['refused'])}, lost {figures['lost']:,}",
    ]
    if latency["count"]:
        lines += [
            "  latency from the intended moment, ms: "
            + ", ".join(f"{name} {latency[name]:,}" for name in ("p50", "p90", "p99", "p99_9", "max")),
            f"  of that before it was sent, ms: p50 {delay['p50']:,}, p99 {delay['p99']:,}, max {delay['max']:,}",
            f"  from the sending on, ms: p50 {answer['p50']:,}, p99 {answer['p99']:,}, max {answer['max']:,}",
        ]
    share = figures["load_cpu_share"]
    note = ": the load itself may be what is measured" if share > SATURATED_SHARE else ""
    lines.append(f"  the load took {share:.0%} of a core{note}")
    return "\n".join(lines)


def _by_code(refused: dict[str, int]) -> str:
    if not refused:
        return "0"
    parts = ", ".join(f"{code} {count:,}" for code, count in sorted(refused.items()))
    return f"{sum(refused.values()):,} ({parts})"
