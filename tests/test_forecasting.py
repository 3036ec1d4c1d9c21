"""Forecasting: no leak from the future, index arithmetic, baselines, scores, runs and bad input."""

import datetime
import importlib.util
import json
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats

from configs import forecasting as settings
from experiments.forecasting import EXPERIMENT
from lstm_jax.cells import lstm
from lstm_jax.config import make_config
from lstm_jax.data import Series
from lstm_jax.forecasting.baselines import BASELINES, autoreg, persistence, seasonal_naive
from lstm_jax.forecasting.command import main
from lstm_jax.forecasting.model import Fit, Fitted, fit_lanes, init, network_key, outputs
from lstm_jax.forecasting.past import DIFFERENCES, make_past
from lstm_jax.forecasting.problem import Forecasting, averaged, past_at
from lstm_jax.forecasting.running import record_of
from lstm_jax.forecasting.scores import (
    attainable_share,
    compare,
    coverage,
    diebold_mariano,
    residual_interval,
    score,
)
from lstm_jax.forecasting.walk import truth, walk
from lstm_jax.structures import stack
from tests.tolerances import FALSE_ALARM_RATE

BASELINES_HERE = tuple(
    name for name in BASELINES if name != "autoreg" or importlib.util.find_spec("statsmodels")
)
FIELDS = {"horizon": 3, "num_origins": 5, "num_updates": 4, "members": 2, "hidden_size": 3}


def series(num=80, seed=0):
    rng = np.random.default_rng(seed)
    return 10 + 3 * np.sin(2 * np.pi * np.arange(num) / 7) + rng.normal(0, 0.5, num)


def write_csv(path, values, name="demand"):
    day = datetime.date(2000, 1, 1)
    lines = [f"{day + datetime.timedelta(n)},{v}" for n, v in enumerate(values)]
    path.write_text("\n".join([f"date,{name}", *lines]) + "\n")
    return path


def command(csv, workdir, *more, **values):
    fields = {**FIELDS, "baselines": "persistence,seasonal_naive", **values}
    return main(
        EXPERIMENT,
        [
            "--config=configs/forecasting.py:csv",
            f"--config.csv={csv}",
            *[f"--config.{name}={value}" for name, value in fields.items()],
            f"--workdir={workdir}",
            *more,
        ],
    )


# ---- where forecasts are made


def test_the_walk_is_what_brute_force_finds():
    for num, horizon, count, step in [(50, 3, 4, 3), (41, 5, 6, 2), (30, 1, 2, 7)]:
        made = walk(num, horizon, count, step, least=5)
        fits = [o for o in range(num + 1) if o + horizon <= num]
        expected = sorted(fits[::-1][::step][:count])
        assert list(made.origins) == expected
        values = np.arange(num) ** 2.0
        for origin, came in zip(made.origins, truth(values, made), strict=True):
            assert came.tolist() == [values[origin + k] for k in range(horizon)]
    with pytest.raises(ValueError, match=r"30 values.*at least 42"):
        walk(30, 3, 10, 3, least=12)
    assert walk(42, 3, 10, 3, least=12).origins[0] == 12
    with pytest.raises(ValueError, match=r"41 values.*at least 42"):
        walk(41, 3, 10, 3, least=12)


@pytest.mark.parametrize("difference", DIFFERENCES)
def test_targets_and_parts_are_those_of_a_plain_loop(difference):
    values, season, horizon = series(40), 7, 9
    origin = 33
    past = make_past(
        values[:origin], 40, horizon=horizon, season=season, difference=difference, valid_share=0.2
    )
    split = origin - round(0.2 * origin)
    lag = {"none": 0, "last": 1, "season": season}[difference]

    def naive(now, ahead):
        if difference == "none":
            return 0.0
        if difference == "last":
            return values[now]
        while ahead > now:
            ahead -= season
        return values[ahead] if ahead >= 0 else None

    teach = []
    for t in range(40):
        for k in range(horizon):
            at = t + 1 + k
            usable = t < origin and at < origin and t >= lag and naive(t, at) is not None
            assert past.train[t, k] == (usable and at < split)
            assert past.valid[t, k] == (usable and at >= split)
            if past.train[t, k]:
                teach.append(values[at] - naive(t, at))
    assert past.shift == pytest.approx(np.mean(teach)) and past.scale == pytest.approx(
        np.std(teach)
    )
    for t, k in np.argwhere(past.train | past.valid):
        value = past.shift + past.scale * past.targets[t, k] + naive(t, t + 1 + k)
        assert value == pytest.approx(values[t + 1 + k], rel=1e-5)
    assert past.base.tolist() == [naive(origin - 1, origin + k) for k in range(horizon)]
    assert past.last == origin - 1 and not past.inputs[origin:].any()
    known = past.inputs[lag:split, 0]  # in units of the training part alone
    np.testing.assert_allclose([known.mean(), known.std()], [0, 1], atol=1e-5)
    seen = [values[t] - (values[t - lag] if lag else 0) for t in range(lag, origin)]
    spread, middle = np.std(seen[: split - lag]), np.mean(seen[: split - lag])
    shown = middle + spread * past.inputs[lag:origin, 0]
    np.testing.assert_allclose(shown, seen, rtol=1e-4, atol=1e-4)
    assert not past.inputs[:lag, 0].any()
    # The place in the season: one turn of a circle, in equal steps.
    turns = past.inputs[:origin, 1] * 1j + past.inputs[:origin, 2]
    places = np.arange(origin) % season / season
    np.testing.assert_allclose(turns, np.exp(2j * np.pi * places), atol=1e-5)


def test_a_straight_line_shows_a_network_of_differences_nothing():
    """The last differences are all the same, though two steps ahead is twice as far as one."""
    how = {"horizon": 2, "season": 1, "valid_share": 0.2}
    line = 3.0 * np.arange(40)
    with pytest.raises(ValueError, match="does not vary"):
        make_past(line, 40, difference="last", **how)
    assert np.isfinite(make_past(line, 40, difference="none", **how).inputs).all()


@pytest.mark.parametrize("difference", ["none", "season"])
def test_the_future_changes_no_earlier_forecast(difference):
    values = series(60)
    steps = walk(60, 4, 3, 4, least=20)
    fit = Fit(stack(lstm(3, 3)), 4, num_updates=3, learning_rate=0.05, refit=True)
    run = fit_lanes(fit, num_members=2, seed=0)
    config = make_config(
        settings.FIELDS,
        horizon=4,
        season=7,
        difference=difference,
        baselines=BASELINES_HERE,
    )

    def records(values):
        whole = Series("x", "y", ("",) * 60, np.arange(60.0), values)
        problem = Forecasting("x", whole, steps, fit)
        pasts = [past_at(problem, config, origin) for origin in steps.origins]
        fitted = run(pasts, steps.origins)
        lanes = [jax.tree.map(lambda leaf, n=n: leaf[n], fitted) for n in range(3)]
        return [record_of(problem, config, n, pasts[n], lanes[n]) for n in range(3)]

    before = records(values)
    for n, origin in enumerate(steps.origins):
        changed = values.copy()
        changed[origin:] = 1e3 * np.random.default_rng(n).normal(size=60 - origin)
        after = records(changed)
        for name in ("forecasts", "intervals", "updates"):  # to the last bit
            assert [r[name] for r in after[: n + 1]] == [r[name] for r in before[: n + 1]]
        assert after[n]["truth"] != before[n]["truth"]
        for old, new in zip(before[n + 1 :], after[n + 1 :], strict=True):
            assert old["forecasts"]["network"] != new["forecasts"]["network"]


def test_the_weights_after_the_last_update_are_considered():
    values, rate = series(60), 0.01
    how = {"horizon": 2, "season": 1, "difference": "none", "valid_share": 0.2}
    past = make_past(values[:50], 60, **how)
    fit = Fit(stack(lstm(1, 4)), 2, num_updates=1, learning_rate=rate, refit=False)
    found = fit_lanes(fit, num_members=6, seed=0)([past], [50])
    for member in range(6):
        fresh = init(fit, network_key(0, 50, member))

        def loss(params, which):
            squares = (outputs(fit, params, past.inputs) - past.targets) ** 2
            return squares[which].mean()

        slope = jax.grad(loss)(fresh, past.train)
        # The first update of Adam is the slope's sign, but for its epsilon.
        after = jax.tree.map(lambda w, g: w - rate * g / (abs(g) + 1e-8), fresh, slope)
        better = loss(after, past.valid) < loss(fresh, past.valid)
        kept = after if better else fresh
        assert found.num_updates[0, member] == int(better)
        np.testing.assert_allclose(found.params.b[0, member], kept.b, rtol=1e-4, atol=1e-6)
    assert found.num_updates.any()


def test_networks_are_those_of_a_plain_loop_over_updates(standard_promotion):
    """Stopped where validation is best, and made anew of the whole past with as many updates."""
    num_updates, rate = 7, 0.2
    past = make_past(series(60)[:50], 60, horizon=2, season=1, difference="none", valid_share=0.3)
    fit = Fit(stack(lstm(1, 3)), 2, num_updates, rate, refit=True)
    found = fit_lanes(fit, num_members=4, seed=0)([past], [50])
    rule = optax.adam(lambda n: rate * (1 + jnp.cos(jnp.pi * n / num_updates)) / 2)

    answers = jax.jit(lambda params: outputs(fit, params, past.inputs))
    start = jax.jit(lambda key: init(fit, key))

    def loss(params, which):
        squares = (outputs(fit, params, past.inputs) - past.targets) ** 2
        return jnp.sum(jnp.where(which, squares, 0.0)) / which.sum()

    @jax.jit
    def update(params, state, which):
        steps, state = rule.update(jax.grad(loss)(params, which), state)
        return optax.apply_updates(params, steps), state

    def train(params, which, num):
        """The weights after 0, 1, .. updates."""
        state, path = rule.init(params), [params]
        for _ in range(num):
            params, state = update(params, state, which)
            path.append(params)
        return path

    stopped = []
    for member in range(4):
        of_origin = jax.random.fold_in(jax.random.key(0, impl="threefry2x32"), 50)
        fresh = start(jax.random.fold_in(of_origin, member))
        path = train(fresh, past.train, num_updates)
        off = [((answers(params) - past.targets) ** 2)[past.valid] for params in path]
        losses = [float(squares.mean()) for squares in off]
        stopped.append(int(np.argmin(losses)))
        last = train(fresh, past.train | past.valid, stopped[-1])[-1]
        assert found.num_updates[0, member] == stopped[-1]
        for name, expected in (
            ("validation", answers(path[stopped[-1]])),
            ("forecast", answers(last)[past.last]),
        ):
            ours = getattr(found, name)[0, member]
            np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(found.params.v[0, member], last.v, rtol=1e-3, atol=1e-4)
    assert any(0 < n < num_updates for n in stopped), stopped


def test_the_record_of_an_origin_by_hand():
    """In the series' units: the mean of the networks, and how far off that mean was before."""
    values, origin, h = series(60), 50, 2
    steps = walk(60, h, 3, 4, least=20)
    number = steps.origins.index(origin)
    labels = tuple(f"day {n}" for n in range(60))
    whole = Series("x", "y", labels, np.arange(60.0), values)
    problem = Forecasting("x", whole, steps, Fit(stack(lstm(1, 3)), h, 3, 0.05, refit=True))
    how = {"horizon": h, "season": 1, "difference": "last", "valid_share": 0.4}
    config = make_config(settings.FIELDS, coverage=0.8, baselines=("persistence",), **how)
    past = past_at(problem, config, origin)
    rng = np.random.default_rng(0)
    forecast = rng.normal(size=(3, h)).astype(np.float32)
    validation = rng.normal(size=(3, 60, h)).astype(np.float32)
    updates = np.array([3, 1, 2], np.int32)
    made = record_of(problem, config, number, past, Fitted(forecast, validation, updates, None))
    assert (made["trial"], made["origin"], made["label"]) == (number, origin, "day 50")
    assert made["truth"] == values[50:52].tolist() and made["updates"] == [3, 1, 2]
    assert made["forecasts"]["persistence"] == [values[49]] * 2
    for k in range(h):
        mean = values[49] + past.shift + past.scale * forecast[:, k].mean()
        assert made["forecasts"]["network"][k] == pytest.approx(mean, rel=1e-6)
        off = []  # at each place whose target is in the newest 40% of the past
        for t in range(50 - 20 - 1 - k, 50 - 1 - k):
            said = values[t] + past.shift + past.scale * validation[:, t, k].mean()
            off.append(values[t + 1 + k] - said)
        off.sort()
        assert len(off) == 20  # 80% of them between the 2nd and the 19th: 21 places for a new one
        interval = [made["intervals"]["network"][end][k] for end in (0, 1)]
        assert interval == pytest.approx([mean + off[1], mean + off[18]], rel=1e-5)


def test_a_network_learns_what_can_be_known():
    values = np.sin(2 * np.pi * np.arange(90) / 9) * 4 + 20
    steps = walk(90, 5, 2, 5, least=40)
    how = {"horizon": 5, "season": 1, "difference": "none", "valid_share": 0.2}
    pasts = [make_past(values[:o], 90, **how) for o in steps.origins]
    fit = Fit(stack(lstm(1, 8)), 5, num_updates=200, learning_rate=0.03, refit=True)
    found = fit_lanes(fit, num_members=1, seed=0)(pasts, steps.origins)
    made = np.stack(
        [p.base + p.shift + p.scale * f[0] for p, f in zip(pasts, found.forecast, strict=True)]
    )
    assert np.abs(made - truth(values, steps)).max() < 0.6  # of an amplitude of 4


# ---- what it is compared with


def test_simple_forecasts():
    past = np.array([5.0, 1.0, 2.0, 3.0])
    assert persistence(past, 3, 3, 0.9)[0].tolist() == [3.0] * 3
    assert seasonal_naive(past, 7, 3, 0.9)[0].tolist() == [1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0]


def test_autoreg_finds_the_coefficients_of_an_autoregression():
    pytest.importorskip("statsmodels", reason="the extra data is not installed")
    rng = np.random.default_rng(0)
    values = np.zeros(600)
    for t in range(2, 600):
        values[t] = 2 + 1.2 * values[t - 1] - 0.5 * values[t - 2] + rng.normal()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made, interval = autoreg(values, 3, 1, 0.9)
    a, b = values[-2:]
    expected = []
    for _ in range(3):
        a, b = b, 2 + 1.2 * b - 0.5 * a
        expected.append(b)
    np.testing.assert_allclose(made, expected, atol=0.6)
    # one step ahead: normal noise of sd 1
    np.testing.assert_allclose(interval[:, 0] - made[0], [-1.645, 1.645], rtol=0.1)


def test_autoreg_takes_the_season_and_the_trend_only_where_they_are():
    """By BIC, whose penalty noise does not pay for: it is forecast by its mean, whatever is ahead.

    AIC would take a lag or more for about every third series of noise.
    """
    pytest.importorskip("statsmodels", reason="the extra data is not installed")
    rng = np.random.default_rng(6)
    made = [autoreg(rng.normal(size=100), 8, 1, 0.9)[0] for _ in range(12)]
    assert sum(np.ptp(forecast) < 1e-9 for forecast in made) >= 11
    t, pattern = np.arange(60), rng.normal(0, 5, 12)
    for slope in (0.0, 1.0):  # of four years: no lag reaches back to the month of a year before
        values = slope * t + pattern[t % 12] + rng.normal(0, 0.5, 60)
        made, _ = autoreg(values[:48], 12, 12, 0.9)
        assert np.sqrt(((made - values[48:]) ** 2).mean()) < 1  # twice the noise


def test_diebold_mariano_is_the_paired_t_test_without_overlap():
    rng = np.random.default_rng(1)
    a, b = rng.normal(1, 1, 12), rng.normal(1.5, 1, 12)
    expected = stats.ttest_rel(a, b).pvalue
    assert diebold_mariano(a - b) == pytest.approx(expected, rel=1e-9)
    # Overlapping losses: false alarms at about the rate asked for, where a t-test has too many.
    hits, naive = 0, 0
    for _ in range(400):
        noise = rng.normal(size=66)
        d = np.convolve(noise, np.ones(3) / 3, "valid")
        hits += diebold_mariano(d, overlap=2) < 0.05
        naive += diebold_mariano(d) < 0.05
    assert hits < 0.6 * naive and stats.binomtest(hits, 400, 0.09).pvalue > FALSE_ALARM_RATE


def test_diebold_mariano_is_its_formula_over_all_pairs_of_origins():
    """The variance of a mean is the sum over all pairs that are correlated, whatever their lag."""
    rng = np.random.default_rng(4)
    for n, overlap in [(9, 0), (9, 1), (20, 3), (30, 11)]:
        d = np.convolve(rng.normal(0.4, 1, n + overlap), np.ones(overlap + 1), "valid")
        near = np.abs(np.subtract.outer(np.arange(n), np.arange(n))) <= overlap
        centred = d - d.mean()
        variance = (np.outer(centred, centred) * near).sum() / n**2
        assert variance > 0
        h = overlap + 1  # Harvey, Leybourne & Newbold 1997, eq. 9
        corrected = d.mean() / variance**0.5 * ((n + 1 - 2 * h + h * (h - 1) / n) / n) ** 0.5
        expected = 2 * stats.t.cdf(-abs(corrected), n - 1)
        assert diebold_mariano(d, overlap) == pytest.approx(expected, rel=1e-9)
        assert diebold_mariano(-d, overlap) == diebold_mariano(d, overlap)
    # Losses that alternate: the sum over pairs is negative, and the variance is that of no overlap.
    d = np.array([3.0, -1.0, 3.5, -1.5, 3.0, -1.0, 2.5, -0.5])
    n, centred = len(d), d - d.mean()
    assert centred @ centred + 2 * centred[1:] @ centred[:-1] < 0
    corrected = d.mean() / (d.var() / n) ** 0.5 * ((n + 1 - 4 + 2 / n) / n) ** 0.5
    assert diebold_mariano(d, 1) == pytest.approx(2 * stats.t.sf(corrected, n - 1), rel=1e-9)


def test_an_overlap_that_leaves_no_test_is_refused():
    differences = np.random.default_rng(1).normal(5, 1, 6)
    # Harvey et al. 1997: (n + 1 - 2h + h (h - 1) / n) / n, which is 0 at h = n.
    assert diebold_mariano(differences, overlap=4) < 1
    for overlap in (5, 6, 9):
        with pytest.raises(ValueError, match=f"overlap of {overlap} with 6.*at most 4"):
            diebold_mariano(differences, overlap)
    for horizon, step in [(12, 2), (7, 3), (5, 5), (4, 9)]:
        first, others = set(range(horizon)), range(step, 10 * horizon, step)
        shared = [at for at in others if first & set(range(at, at + horizon))]
        assert walk(200, horizon, 4, step, 5).overlap == len(shared)


def test_a_better_forecast_wins_and_a_twin_does_not():
    rng = np.random.default_rng(2)
    good = rng.normal(0, 1, (20, 4))
    found = compare(good, {"bad": 3 * good + rng.normal(0, 0.1, (20, 4)), "twin": -good}, 0)
    assert (found["bad"].verdict, found["twin"].verdict) == ("won", "not told apart")
    assert found["bad"].high < 0.5 < 1 == found["twin"].ratio
    lost = compare(3 * good, {"other": good}, 0)["other"]
    assert lost.verdict == "lost" and lost.ratio == pytest.approx(3)
    assert score(good).low < score(good).mae < score(good).high


def test_a_table_of_comparisons_is_corrected_by_benjamini_and_hochberg():
    """Of m comparisons the k-th least p counts m / k times, and no less than those below it."""
    rng = np.random.default_rng(7)
    ours = rng.normal(0, 1, (40, 2))
    others = {
        f"{grown}": ours * grown + rng.normal(0, 0.8, (40, 2))
        for grown in (0.9, 1.0, 1.05, 1.15, 1.3)
    }
    found = compare(ours, others, 0)
    least = 1.0
    for k, one in reversed(list(enumerate(sorted(found.values(), key=lambda c: c.p), start=1))):
        least = min(least, one.p * len(found) / k)
        assert one.q == pytest.approx(least, rel=1e-9)
    for name, theirs in others.items():
        losses = np.abs(ours).mean(axis=1) - np.abs(theirs).mean(axis=1)
        assert found[name].p == pytest.approx(stats.ttest_1samp(losses, 0).pvalue, rel=1e-9)
    assert any(c.p < 0.05 < c.q for c in found.values())
    for one in found.values():
        assert one.ratio < 1
        assert one.verdict == ("won" if one.q < 0.05 else "not told apart")


def test_intervals_hold_their_share_of_exchangeable_errors():
    rng = np.random.default_rng(3)
    inside = []
    for _ in range(400):
        errors = rng.standard_t(4, 40)
        low, high = residual_interval(errors[:39], 0.9)
        inside.append(low <= errors[39] <= high)
    assert stats.binomtest(sum(inside), 400, 0.9).pvalue > FALSE_ALARM_RATE
    # Too few for 90%: what the extremes hold, which `attainable_share` says.
    for n in (2, 6, 14):
        errors = rng.standard_t(4, (4000, n + 1))
        ends = np.array([residual_interval(row[:n], 0.9) for row in errors])
        held = int(((ends[:, 0] <= errors[:, n]) & (errors[:, n] <= ends[:, 1])).sum())
        assert stats.binomtest(held, 4000, attainable_share(n)).pvalue > FALSE_ALARM_RATE
    came = np.array([[0.0, 2.0], [0.0, 0.0]])
    around = np.broadcast_to(np.array([[-1.0, -1.0], [1.0, 1.0]]), (2, 2, 2))
    assert coverage(came, around)[0] == 0.75
    assert coverage(np.array([[-1.0, 1.0], [-1.1, 1.1]]), around)[0] == 0.5  # the ends are within


def test_a_score_weighs_every_error_alike():
    """A root of a mean of squares is above the mean where errors differ, within an origin too."""
    errors = np.array([[3.0, -4.0], [0.0, 5.0], [1.0, 1.0]])
    found = score(errors)
    assert (found.mae, found.by_step.tolist()) == (14 / 6, [4 / 3, 10 / 3])
    assert found.rmse == pytest.approx((52 / 6) ** 0.5)


def test_means_over_parts_of_the_year():
    times = np.array([2000.0, 2000.1, 2000.26, 2000.49, 2000.5, 2000.8])
    made = averaged(Series("x", "y", ("",) * 6, times, np.array([1.0, 3, 5, 7, 9, 11])), 4)
    assert made.values.tolist() == [2.0, 6.0, 9.0, 11.0]
    assert made.times.tolist() == [2000.0, 2000.25, 2000.5, 2000.75]
    with pytest.raises(ValueError, match="parts of a year without a value"):
        averaged(Series("x", "y", ("",) * 6, times, times), 24)


@pytest.mark.parametrize("per_year", [1, 2, 3, 4, 6, 12])
@pytest.mark.parametrize("kind", ["MS", "ME", "D"])
def test_dates_are_averaged_by_their_months(per_year, kind):
    pd = pytest.importorskip("pandas", reason="groups by the calendar")
    values = pd.Series(np.arange(900.0), pd.date_range("1999-01-01", periods=900, freq=kind))
    labels = tuple(str(date.date()) for date in values.index)
    made = averaged(Series("x", "y", labels, np.arange(900.0), values.to_numpy()), per_year)
    part = (values.index.month - 1) // (12 // per_year)
    expected = values.groupby([values.index.year, part]).mean()
    np.testing.assert_allclose(made.values, expected.to_numpy())
    assert made.times[0] == 1999 and made.times[1] == pytest.approx(1999 + 1 / per_year)


# ---- the command


def test_a_run_is_resumed_to_the_same_forecasts(tmp_path, capsys):
    csv = write_csv(tmp_path / "own.csv", series())
    assert command(csv, tmp_path / "whole") == 0
    said = capsys.readouterr()
    for text in (said.out, said.err, (tmp_path / "whole" / "table.md").read_text()):
        assert "hold 85.7% at most, not config.coverage=0.9" in text
    assert "persistence" in said.out
    whole = (tmp_path / "whole" / "trials.jsonl").read_bytes()
    sessions = json.loads((tmp_path / "whole" / "provenance.json").read_bytes())["sessions"]
    assert set(sessions[0]["kernels"].values()) == {"scan"}  # of nets below 48 units
    assert command(csv, tmp_path / "cut") == 0
    file = tmp_path / "cut" / "trials.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + lines[3] + lines[2][:40])  # as a kill leaves it
    assert command(csv, tmp_path / "cut") == 0
    assert file.read_bytes() == whole
    records = [json.loads(line) for line in whole.splitlines()]
    values = series()
    assert [r["origin"] for r in records] == [65, 68, 71, 74, 77]
    for record in records:
        origin = record["origin"]
        np.testing.assert_array_equal(record["truth"], values[origin : origin + 3])
        assert record["forecasts"]["persistence"] == [values[origin - 1]] * 3
    capsys.readouterr()
    write_csv(csv, series(seed=1))
    with pytest.raises(SystemExit):
        command(csv, tmp_path / "cut")
    assert "sha256_of_values" in capsys.readouterr().err


def test_a_dry_run_computes_nothing(tmp_path, capsys):
    csv = write_csv(tmp_path / "own.csv", series())
    assert command(csv, tmp_path / "none", "--dry_run") == 0
    said = capsys.readouterr().out
    assert "5 origins" in said and not (tmp_path / "none").exists()
    # 65 values before the first origin, 13 of them validation: 12/14 is the most they can hold.
    assert "13 errors" in said and "hold 85.7% at most" in said and "19 are needed" in said
    assert command(csv, tmp_path / "none", "--dry_run", coverage=0.8, step=1) == 0
    said = capsys.readouterr().out
    assert "at most" not in said and "those of 2 following origins" in said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"column": "demnd"}, ["demnd", "no such column", "nearest: demand"]),
        ({"values": [1.0, float("nan"), *range(60)]}, ["line 3", "missing", "gaps=previous"]),
        ({"values": range(12)}, ["12 values", "too few", "at least"]),
        ({"values": [4.0] * 80}, ["does not vary"]),
        ({"values": [0.1] * 80, "difference": "none"}, ["does not vary"]),  # deviation 2.8e-17
        ({"values": np.arange(80) * 0.1, "difference": "last"}, ["does not vary"]),
        (
            {"horizon": 12, "season": 12, "difference": "season", "valid_share": 0.4}
            | {"values": series(96)},
            ["config.valid_share=0.4: 22 of the 36 values", "must be 25 or more"],
        ),
        ({"horizon": 12, "step": 2, "num_origins": 6}, ["config.num_origins=6", "must be 7"]),
        ({"values": [1.0, "x", *range(60)]}, ["line 3", "'x' is no finite number"]),
        ({"csv": "no-such.csv"}, ["no-such.csv"]),
        ({"csv": ""}, ["config.csv", "must be the path"]),
        ({"difference": "season"}, ["config.difference=season", "config.season"]),
        ({"horizon": 0}, ["config.horizon=0", "from 1"]),
        ({"cell": "gru", "switches": "NIG"}, ["config.switches=NIG"]),
    ],
)
def test_bad_input_is_one_line(change, words, tmp_path, capsys):
    change = dict(change)
    csv = write_csv(tmp_path / "own.csv", change.pop("values", series()))
    with pytest.raises(SystemExit) as end:
        command(change.pop("csv", csv), tmp_path / "run", **change)
    said = capsys.readouterr().err
    assert end.value.code == 2 and said.startswith("error: ") and said.count("\n") == 1
    for word in words:
        assert word in said
    assert not (tmp_path / "run").exists()


def test_every_argument_makes_a_config():
    for arg in settings.ARGS:
        config = settings.get_config(arg)
        assert set(config.keys()) == set(settings.FIELDS)
    assert make_config(settings.FIELDS).hidden_size == 16
