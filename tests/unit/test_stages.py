"""Stage histograms: commands in the right bucket, many at once, shown as the client library shows its own."""

from app.stages import BOUNDS_S, Stage, StageCollector, StageTimes


def test_a_time_falls_under_the_first_bound_that_is_not_below_it() -> None:
    times = StageTimes()
    for bound in BOUNDS_S:
        times.add(bound)
    times.add(BOUNDS_S[-1] * 2)
    assert times.counts == [1] * (len(BOUNDS_S) + 1)


def test_a_batch_counts_each_of_its_commands() -> None:
    times = StageTimes()
    times.add(0.002, 100)
    times.add(3.0)
    assert (times.commands, round(times.total_s, 6)) == (101, 3.2)


def test_bounds_rise_and_reach_from_a_microsecond_to_seconds() -> None:
    assert list(BOUNDS_S) == sorted(set(BOUNDS_S))
    assert (BOUNDS_S[0], BOUNDS_S[-1]) == (1e-6, 5.0)


def test_buckets_are_cumulative_and_end_with_the_count() -> None:
    (family,) = StageCollector([Stage.QUEUE]).collect()
    buckets = [sample.value for sample in family.samples if sample.name.endswith("_bucket")]
    (count,) = (sample.value for sample in family.samples if sample.name.endswith("_count"))
    assert buckets == sorted(buckets)
    assert (len(buckets), buckets[-1]) == (len(BOUNDS_S) + 1, count)
