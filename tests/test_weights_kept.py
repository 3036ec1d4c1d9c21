"""A run folder keeps the weights of its trials: those that gave its records, whatever kills it."""

import numpy as np
import pytest

from lstm_jax.record import RunFolderError
from lstm_jax.record.weights import WEIGHTS, WeightLog, is_moment, read_weights


def rows(rng, k):
    return {
        "cell.w": rng.normal(size=(k, 2, 3)).astype(np.float32),
        "readout.b": rng.normal(size=(k, 5)).astype(np.float32),
    }


def test_what_was_kept_is_read(tmp_path):
    rng = np.random.default_rng(0)
    first, second = rows(rng, 3), rows(rng, 1)
    log = WeightLog(tmp_path)
    log.keep([4, 0, 7], [100, 100, 90], [0, 0, 0], first)
    log.keep([0], [250], [1], second)
    kept = read_weights(tmp_path)
    assert kept.trials() == [0, 4, 7]
    assert (kept.moments(0), kept.moments(7), kept.moments(5)) == ([100, 250], [90], [])
    assert (kept.status(0, 100), kept.status(0, 250)) == (0, 1)
    for name in first:
        np.testing.assert_array_equal(kept.arrays(7, 90)[name], first[name][2])
        np.testing.assert_array_equal(kept.arrays(0, 250)[name], second[name][0])


def test_the_same_moment_is_kept_once(tmp_path):
    weights = rows(np.random.default_rng(1), 2)
    WeightLog(tmp_path).keep([1, 2], [10, 20], [0, 0], weights)
    size = (tmp_path / WEIGHTS).stat().st_size
    again = WeightLog(tmp_path)
    again.keep([2], [20], [0], {name: leaf[1:] for name, leaf in weights.items()})
    assert (tmp_path / WEIGHTS).stat().st_size == size
    again.keep([2, 3], [20, 5], [0, 1], weights)
    assert read_weights(tmp_path).moments(3) == [5]
    assert [read_weights(tmp_path).status(*moment) for moment in ((2, 20), (3, 5))] == [0, 1]
    np.testing.assert_array_equal(
        read_weights(tmp_path).arrays(3, 5)["cell.w"], weights["cell.w"][1]
    )


def test_a_kill_costs_the_last_record_only(tmp_path):
    """Cut at every byte of the last record: the others are read, and the next is written well."""
    rng = np.random.default_rng(2)
    file = tmp_path / WEIGHTS
    log = WeightLog(tmp_path)
    log.keep([0], [10], [0], rows(rng, 1))
    whole = file.stat().st_size
    log.keep([1], [10], [0], rows(rng, 1))
    data = file.read_bytes()
    for stop in [*range(whole, whole + 12), *range(whole + 12, len(data), 97), len(data) - 1]:
        file.write_bytes(data[:stop])
        assert read_weights(tmp_path).trials() == [0]
        assert file.stat().st_size == stop, "a reader has changed the file"
        WeightLog(tmp_path).keep([2], [10], [0], rows(rng, 1))
        assert read_weights(tmp_path).trials() == [0, 2]


def test_damage_is_one_line(tmp_path):
    rng = np.random.default_rng(3)
    log = WeightLog(tmp_path)
    for trial in range(3):
        log.keep([trial], [10], [0], rows(rng, 1))
    data = bytearray((tmp_path / WEIGHTS).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / WEIGHTS).write_bytes(data)
    for read in (read_weights, WeightLog):
        with pytest.raises(RunFolderError, match=r"weights.bin is damaged in record 2 \(") as error:
            read(tmp_path)
        assert "\n" not in str(error.value)


def test_no_weights_is_no_error(tmp_path):
    assert read_weights(tmp_path).trials() == []


def test_moments_are_spread_over_the_logarithm():
    kept = [n for n in range(1, 5_000_000, 1000) if is_moment(max(n - 1000, 0), n, 93)]
    assert kept[0] == 1 and 30 <= len(kept) <= 48
    late = [n for n in kept if n > 50_000]
    ratios = np.divide(late[1:], late[:-1])
    assert (abs(ratios - 2 ** (1 / 3)) < 0.03).all()
    many = [n for n in range(1, 5_000_000, 1000) if is_moment(max(n - 1000, 0), n, 10_504)]
    assert len(many) < 0.6 * len(kept)
