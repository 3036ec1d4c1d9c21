"""Statistics of records against closed forms, published examples and hand-worked samples."""

import math

import numpy as np
import pytest
from scipy import stats

from lstm_jax.summary import (
    censored_median,
    geometric_mean,
    mean_interval,
    median_interval,
    paired_interval,
    summarize,
    wilson_interval,
)

# Freireich et al. (1963): weeks of remission, placebo and 6-mercaptopurine; the log-log intervals
# of the medians are those that SAS's LIFETEST and R's survfit(conf.type="log-log") print
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
MP_RELAPSED = [6, 6, 6, 7, 10, 13, 16, 22, 23]
MP_CENSORED = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]


def make_records(solved=(), exhausted=(), diverged=(), **fields):
    statuses = [("SOLVED", solved), ("EXHAUSTED", exhausted), ("DIVERGED", diverged)]
    counts = [(status, count) for status, group in statuses for count in group]
    return [
        {"row": "t100", "trial": n, "status": status, "num_sequences": count} | fields
        for n, (status, count) in enumerate(counts)
    ]


@pytest.mark.parametrize(("num_solved", "num_trials"), [(29, 30), (10, 10), (0, 10), (6, 8)])
def test_wilson_interval_is_the_closed_form(num_solved, num_trials):
    z, p, n = 1.959963984540054, num_solved / num_trials, num_trials
    center = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    expected = (max(center - half, 0), min(center + half, 1))
    assert wilson_interval(num_solved, num_trials) == pytest.approx(expected, abs=1e-12)


def test_wilson_interval_of_29_in_30():
    assert wilson_interval(29, 30) == pytest.approx((0.8333, 0.9941), abs=5e-5)


def test_median_of_published_survival_data():
    assert censored_median(np.array(PLACEBO), np.array([])) == (8, 4, 11)
    assert censored_median(np.array(MP_RELAPSED), np.array(MP_CENSORED)) == (23, 13, math.inf)


def test_median_of_a_hand_worked_sample():
    # at risk 6, 5, 3, 2: S = 5/6, then 4/6, 4/9 after the loss at 30, so one half is passed at 40
    solved, censored = np.array([10, 20, 40, 50]), np.array([30, 60])
    assert censored_median(solved, censored)[0] == 40


@pytest.mark.parametrize("size", [2, 3, 10, 11, 30])
def test_without_censoring_the_median_is_the_ordinary_one(size):
    counts = np.random.default_rng(size).permutation(1000)[:size].astype(float)
    median, low, high = censored_median(counts, np.array([]))
    assert median == np.median(counts)
    assert low <= median <= high


@pytest.mark.parametrize("late", [13, 19, 28])
def test_the_interval_holds_the_median_where_most_are_solved_at_the_last_moment(late):
    median, low, high = censored_median(np.array([100.0] + [200.0] * late), np.array([]))
    assert low <= median == 200 <= high


def test_interval_covers_the_median_about_95_percent_of_the_time():
    rng = np.random.default_rng(0)
    true, cap, hits = math.log(2), 1.5, 0
    for _ in range(300):
        times = rng.exponential(size=30)
        _, low, high = censored_median(times[times < cap], np.full((times >= cap).sum(), cap))
        hits += low <= true <= high
    assert 0.90 <= hits / 300 <= 0.99


def test_intervals_of_a_mean_are_those_of_normal_numbers():
    """As wide as Student's of the same numbers, at each confidence; BCa leans where they do."""
    sample = np.random.default_rng(1).normal(70_000, 9_000, 200)
    for confidence in (0.5, 0.9, 0.95):
        expected = stats.ttest_1samp(sample, 0).confidence_interval(confidence)
        width = expected.high - expected.low
        found = mean_interval(sample.tolist(), confidence)
        np.testing.assert_allclose(found, [expected.low, expected.high], atol=0.06 * width)
    low, high = paired_interval([sample], np.mean)
    np.testing.assert_allclose([low, high], [expected.low, expected.high], atol=0.06 * width)
    assert paired_interval([sample], np.mean) == (low, high)  # with the same random numbers
    skewed = np.random.default_rng(2).lognormal(0, 1, 30)
    low, high = mean_interval(skewed.tolist())
    drawn = stats.bootstrap((skewed,), np.mean, method="percentile", rng=np.random.default_rng(3))
    assert low > drawn.confidence_interval.low * 1.02
    assert high > drawn.confidence_interval.high * 1.02
    assert mean_interval([5.0, 5.0]) == (5.0, 5.0)
    assert np.isnan(mean_interval([5.0])).all()


def test_places_are_drawn_from_all_samples_at_once():
    """So what two samples share, such as an origin that is hard to forecast, does not count."""
    ours = np.random.default_rng(3).lognormal(0, 2, 20)

    def ratio(a, b, axis=-1):
        return a.mean(axis=axis) / b.mean(axis=axis)

    assert paired_interval([ours, 2 * ours], ratio) == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize("size", [6, 10, 30, 101])
def test_interval_of_a_median_by_order_statistics(size):
    """The narrowest pair of ranks, as far from each end, that covers by the binomial."""
    values = np.random.default_rng(size).permutation(1000)[:size].astype(float)
    at, ranks = np.sort(values), stats.binom(size, 0.5)
    for confidence in (0.9, 0.95):
        k = max(k for k in range(size // 2) if 2 * ranks.cdf(k) <= 1 - confidence)
        assert median_interval(values.tolist(), confidence) == (at[k], at[size - 1 - k])
    assert np.isnan(median_interval([1.0, 2.0, 3.0, 4.0, 5.0])).all()


def test_ratios_that_are_no_numbers_are_left_out_of_their_mean():
    assert geometric_mean([2.0, 8.0, math.nan, math.inf]) == pytest.approx(4)
    assert math.isnan(geometric_mean([math.nan]))


def test_summary_of_solved_trials():
    records = make_records([60, 80, 100], num_wrong=1, num_test=2560, num_weights=93, reading="a")
    records[0]["mean_test_error"], records[1]["mean_test_error"] = 0.004, 0.008
    summary = summarize(records)
    assert (summary.row, summary.num_trials, summary.num_solved) == ("t100", 3, 3)
    assert (summary.mean_sequences, summary.median_sequences) == (80, 80)
    assert (summary.fewest_sequences, summary.most_sequences, summary.cap) == (60, 100, 100)
    assert (summary.num_wrong, summary.num_test) == (3, 7680)
    assert summary.mean_test_error == pytest.approx(0.006)
    assert (summary.num_weights, summary.reading) == (93, "a")


def test_unsolved_trials_count_for_the_median_only():
    records = make_records([60, 80], exhausted=[500, 500, 500], num_wrong=7, num_test=10)
    summary = summarize(records)
    assert (summary.num_solved, summary.num_exhausted, summary.cap) == (2, 3, 500)
    assert (summary.mean_sequences, summary.num_wrong, summary.num_test) == (70, 14, 20)
    for record in records:
        record["mean_test_error"] = 0.01 if record["status"] == "SOLVED" else 0.9
    assert summarize(records).mean_test_error == pytest.approx(0.01)
    assert summary.median_sequences == math.inf


def test_diverged_trials_are_censored_at_the_cap():
    # censored where it diverged, the trial would leave the sample and the median would be 25
    summary = summarize(make_records([20, 30], diverged=[10]), max_sequences=100)
    assert (summary.median_sequences, summary.num_diverged, summary.cap) == (30, 1, 100)
    # nobody was followed to a budget that none of them needed
    assert summarize(make_records([20, 30]), max_sequences=100).cap == 30


def test_no_trial_solved():
    summary = summarize(make_records(exhausted=[500, 500], num_test=10, num_wrong=9))
    assert summary.median_sequences == math.inf
    assert math.isnan(summary.median_low) and math.isnan(summary.mean_sequences)
    assert math.isnan(summary.mean_test_error) and summary.num_test == 0


def test_one_trial_has_no_interval():
    summary = summarize(make_records([60]))
    assert summary.median_sequences == 60
    assert math.isnan(summary.median_low) and math.isnan(summary.median_high)


@pytest.mark.parametrize(
    ("records", "cap", "message"),
    [
        ([], None, "no trial has finished"),
        ([{"trial": 0, "status": "SOLVED"}], None, "record 1 of 1 has no field 'num_sequences'"),
        ([{"trial": 0, "status": "RUNNING", "num_sequences": 1}], None, "valid: SOLVED, EXHAUSTED"),
        ([{"trial": 0, "status": "SOLVED", "num_sequences": -1}], None, "must be a count >= 0"),
        (make_records([1]) * 2, None, "trial 0 appears twice"),
        (make_records([1]) + [make_records([2])[0] | {"trial": 1, "row": "b"}], None, "one row"),
        (make_records([200]), 100, "max_sequences=100 is below"),
    ],
)
def test_bad_records_are_one_clear_line(records, cap, message):
    with pytest.raises(ValueError, match=message) as caught:
        summarize(records, max_sequences=cap)
    assert "\n" not in str(caught.value)
