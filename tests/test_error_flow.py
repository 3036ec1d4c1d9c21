"""Error flow back in time: against products of Jacobians written by hand in NumPy float64, against
finite differences of the NumPy cells, and under the bounds of section 3 of the 1997 paper."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.cells import elman, gru, lstm, lstm97
from lstm_jax.cells.gru import GruState
from lstm_jax.cells.lstm import LstmState
from lstm_jax.cells.wrappers import zoneout
from lstm_jax.error_flow import (
    NORMS,
    error_flow,
    flow_norm,
    log_flow_norm,
    log_product_bound,
    product_bound,
    step_jacobians,
    weight_bound,
)
from lstm_jax.structures import layer
from lstm_jax.unroll import unroll
from tests.compiling import quick
from tests.oracles import adapters
from tests.tolerances import FINITE_DIFFERENCES, TOLERANCES
from tests.variants import VARIANTS, make_cell, random_case, random_state, randomised

T, H = 7, 5
run_flow = quick(error_flow, static_argnames=("cell", "truncated"))  # one program, not fifty
N = 6  # the sequence's length, one less than the bound
SLOPES = {"tanh": lambda y: 1 - y**2, "logistic": lambda y: y * (1 - y)}
EXACT = TOLERANCES["oracle"]


def error_of(cell, seed=3):
    return randomised(np.zeros(cell.output_size), np.random.default_rng(seed), 1.0)


# ---- against what the flow is, written by hand


@pytest.mark.parametrize("activation", ["tanh", "logistic"])
def test_elman_net_multiplies_its_jacobians(activation):
    with jax.enable_x64():
        cell = make_cell("elman" if activation == "tanh" else "elman_logistic")
        params, state, xs = random_case(cell, seed=1)
        error = error_of(cell)
        flow = run_flow(cell, params, xs, error, state, length=N)
    r, h, hs = np.asarray(params.r), np.asarray(state.h), []
    squash = {"tanh": np.tanh, "logistic": lambda x: 1 / (1 + np.exp(-x))}[activation]
    for x in np.asarray(xs)[:N]:
        h = squash(np.asarray(params.w) @ x + r @ h + np.asarray(params.b))
        hs.append(h)
    e, expected = np.asarray(error), np.zeros((T, H))
    for q in range(1, N + 1):
        e = r.T @ (SLOPES[activation](hs[N - q]) * e)
        expected[q - 1] = e
    np.testing.assert_allclose(flow.h, expected, **EXACT)


@pytest.mark.usefixtures("standard_promotion")
def test_errors_are_of_the_states_type_whatever_the_inputs_are():
    """Inputs of whole numbers are the same in float16, which holds nothing below 6e-8."""
    cell = make_cell("elman")
    params, state, _ = random_case(cell, seed=1)
    params = params._replace(r=params.r * 0.01)
    xs, error = np.ones((9, cell.input_size), np.float32), error_of(cell)
    flow = run_flow(cell, params, xs, error, state)
    narrow = run_flow(cell, params, xs.astype(np.float16), error, state)
    assert flow.h.dtype == narrow.h.dtype == np.float32
    assert 0 < np.abs(flow.h[-1]).max() < 6e-8
    np.testing.assert_allclose(narrow.h, flow.h, rtol=1e-5)


def test_logarithms_reach_beyond_the_numbers():
    """Against the product by hand in long doubles, which reach down to 1e-4932."""
    steps, cell = 900, elman(2, H)
    with jax.enable_x64():
        rng = np.random.default_rng(0)
        params = randomised(jax.eval_shape(cell.init, jax.random.key(0)), rng, 0.2)
        params = jax.tree.map(lambda leaf: np.float64(leaf), params)
        xs, error = rng.normal(size=(steps, 2)), rng.normal(size=H)
        flow = run_flow(cell, params, xs, error)
        jacobians = quick(step_jacobians, static_argnames="cell")(cell, params, xs)
        logs, bounds = log_flow_norm(flow, jacobians), log_product_bound(jacobians)
        norms = flow_norm(flow)
        _, hs = unroll(cell, params, xs)
        dead = log_flow_norm(flow, jacobians.at[steps - 50].set(0.0))
    logs, bounds, norms, hs, dead = (np.asarray(x) for x in (logs, bounds, norms, hs, dead))
    e, expected = np.longdouble(error), []
    for h in hs[::-1]:
        e = params.r.T.astype(np.longdouble) @ ((1 - h**2) * e)
        expected.append(np.log(np.sqrt((e**2).sum())))
    assert expected[-1] < -750 and norms[-1] == 0  # float64 ends at -745
    np.testing.assert_allclose(logs, np.float64(expected), rtol=1e-9)
    np.testing.assert_allclose(logs[:100], np.log(norms[:100]), rtol=1e-9)
    each = [np.linalg.norm((1 - h**2)[:, None] * params.r, 2) for h in hs[-2::-1]]
    assert bounds[0] == 0
    np.testing.assert_allclose(bounds[1:], np.cumsum(np.log(each)), rtol=1e-9)
    # Lag 50 is the first that passes the step whose Jacobian is zero.
    assert np.isfinite(dead[:49]).all() and np.isneginf(dead[49:]).all()


def test_a_structure_is_refused_by_name():
    both = layer(make_cell("elman"))
    with pytest.raises(ValueError, match="error_flow: a cell is needed.*'layer'"):
        error_flow(both, both.init(jax.random.key(0)), jnp.ones((4, 3)), jnp.ones(H))


def test_lstm_cell_state_multiplies_its_forget_gates():
    with jax.enable_x64():
        cell = make_cell("lstm")
        params, state, xs = random_case(cell, seed=2)
        error = error_of(cell)
        flow = run_flow(cell, params, xs, error, state, truncated=True)
    taken = adapters.steps("lstm", {"hidden_size": H}, params, state, xs)
    e = np.asarray(error) * taken[-1]["o"] * (1 - np.tanh(taken[-1]["c"]) ** 2)
    for q in range(1, T + 1):
        e = e * taken[T - q]["f"]
        np.testing.assert_allclose(flow.c[q - 1], e, **EXACT)
    assert not np.any(flow.h)


def test_carousel_of_1997_is_exactly_one_under_the_truncation():
    with jax.enable_x64():
        cell = make_cell("lstm97")
        params, state, xs = random_case(cell, seed=4)
        error = error_of(cell)
        flow = run_flow(cell, params, xs, error, state, truncated=True)
        full = run_flow(cell, params, xs, error, state)
    taken = adapters.steps("lstm97", VARIANTS["lstm97"][1], params, state, xs)
    logistic = 1 / (1 + np.exp(-taken[-1]["c"]))
    e = np.asarray(error) * np.repeat(taken[-1]["o"], 4) * 2 * logistic * (1 - logistic)
    np.testing.assert_allclose(flow.c[0], e, **EXACT)
    assert np.all(np.asarray(flow.c) == np.asarray(flow.c[:1]))  # to the last bit, at every lag
    assert not any(np.any(leaf) for leaf in (flow.h, flow.i, flow.o))
    assert np.abs(full.c - flow.c).max() > 0.01  # the full gradient is another one


@pytest.mark.parametrize("variant", ["lstm97", "lstm97_no_output_gate", "lstm_fgr", "gru", "slstm"])
def test_full_flow_is_the_slope_of_the_numpy_cell(variant):
    with jax.enable_x64():
        cell = make_cell(variant)
        params, state, xs = random_case(cell, seed=5)
        error = np.asarray(error_of(cell))
        flow = run_flow(cell, params, xs, jnp.asarray(error), state)
    name, arguments = VARIANTS[variant]
    before = adapters.steps(name, arguments, params, state, xs[:3])[-1]
    middle = {f: None if old is None else before[f] for f, old in state._asdict().items()}

    def outcome(**moved):
        return (
            error
            @ adapters.steps(name, arguments, params, state._replace(**moved), xs[3:])[-1]["h"]
        )

    step = FINITE_DIFFERENCES["step"]
    for field in (field for field, value in middle.items() if value is not None):
        for unit in range(len(middle[field])):
            nudge = step * np.eye(len(middle[field]))[unit]
            slope = sum(
                sign * outcome(**middle | {field: middle[field] + sign * nudge}) for sign in (1, -1)
            )
            np.testing.assert_allclose(
                getattr(flow, field)[T - 4, unit],
                slope / (2 * step),
                rtol=FINITE_DIFFERENCES["rtol"],
                atol=FINITE_DIFFERENCES["atol"],
            )


def test_padding_counts_for_nothing():
    with jax.enable_x64():
        cell = make_cell("gru")
        params, state, xs = random_case(cell, seed=6)
        error = error_of(cell)
        short = run_flow(cell, params, xs[:N], error, state)
        padded = run_flow(cell, params, xs.at[N:].set(jnp.nan), error, state, length=N)
    np.testing.assert_array_equal(padded.h[:N], short.h)
    assert not np.any(padded.h[N:])


def test_symbols_and_states_with_counts():
    cell = zoneout(lstm(3, 4), None, rates={"c": 0.25})
    params = cell.init(jax.random.key(0))
    symbols = jnp.array([2, 0, 1, 1], jnp.int32)
    flow = run_flow(cell, params, symbols, jnp.ones(4))
    same = run_flow(cell, params, jax.nn.one_hot(symbols, 3), jnp.ones(4))
    np.testing.assert_array_equal(flow.cell.c, same.cell.c)
    assert flow.t is None and np.all(flow_norm(flow) > 0)
    np.testing.assert_allclose(
        flow_norm(flow) ** 2, flow_norm(flow, "c") ** 2 + flow_norm(flow, "h") ** 2, rtol=1e-5
    )


def test_small_norms_do_not_underflow():
    flow = {"h": jnp.array([[3e-30, 4e-30], [0.0, 0.0], [3.0, -4.0]])}
    np.testing.assert_allclose(flow_norm(flow), [5e-30, 0.0, 5.0], rtol=1e-6)


# ---- Jacobians and bounds


def test_step_jacobians_chain_to_the_flow():
    with jax.enable_x64():
        cell = make_cell("lstm_v")
        params, state, xs = random_case(cell, seed=7)
        error = error_of(cell)
        flow = run_flow(cell, params, xs, error, state)
        jacobians = np.asarray(step_jacobians(cell, params, xs, state))
    e = np.concatenate([flow.c[0], flow.h[0]])
    for q in range(2, T + 1):
        e = e @ jacobians[T - q]
        np.testing.assert_allclose(np.concatenate([flow.c[q - 1], flow.h[q - 1]]), e, **EXACT)


NETS = {
    "elman": lambda: elman(3, H),
    "lstm97": lambda: lstm97(3, 2, 2),
    "lstm": lambda: lstm(3, H),
    "gru": lambda: gru(3, H),
}


@pytest.mark.parametrize(
    ("name", "truncated"),
    [*((name, False) for name in NETS), ("lstm97", True)],
    ids=lambda value: {False: "full", True: "truncated"}.get(value, value),
)
def test_bound_holds_for_every_random_net(name, truncated):
    num_nets, num_steps = 200, 12
    with jax.enable_x64():
        cell, rng = NETS[name](), np.random.default_rng(8)
        shapes = jax.eval_shape(cell.init, jax.random.key(0))
        scales = rng.choice([0.2, 1.0, 3.0], num_nets)
        nets = [randomised(shapes, rng, scale) for scale in scales]
        params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *nets)
        states = jax.tree.map(lambda *s: jnp.stack(s), *[random_state(cell, rng) for _ in nets])
        xs = jnp.asarray(rng.normal(size=(num_nets, num_steps, 3)))
        errors = jnp.asarray(rng.normal(size=(num_nets, cell.output_size)))

        @quick
        @jax.vmap
        def measure(params, xs, error, state):
            flow = error_flow(cell, params, xs, error, state, truncated=truncated)
            jacobians = step_jacobians(cell, params, xs, state, truncated=truncated)
            return flow_norm(flow), product_bound(jacobians)

        norms, bounds = (np.asarray(out) for out in measure(params, xs, errors, states))
    assert np.all(norms <= bounds * norms[:, :1] * (1 + 1e-9) + 1e-300)
    assert np.all(np.isfinite(bounds)) and np.all(norms[:, 0] > 0)
    if truncated and name == "lstm97":
        np.testing.assert_allclose(bounds, 1.0, rtol=1e-12)
    if not truncated:  # and it is no empty promise: some net comes within a factor of ten of it
        assert np.max(norms[:, 3] / (bounds * norms[:, :1])[:, 3]) > 0.1


@pytest.mark.parametrize("activation", ["tanh", "logistic"])
def test_weights_alone_bound_the_error_of_the_elman_net(activation):
    slope = {"tanh": 1.0, "logistic": 0.25}[activation]
    with jax.enable_x64():
        cell, rng = elman(3, H, activation=activation), np.random.default_rng(9)
        shapes = jax.eval_shape(cell.init, jax.random.key(0))
        run = quick(lambda *given: error_flow(cell, *given).h)
        for _ in range(60):
            params = randomised(shapes, rng, rng.choice([0.1, 0.5, 2.0]))
            xs, error = jnp.asarray(rng.normal(size=(T, 3))), jnp.asarray(rng.normal(size=H))
            flow = np.asarray(run(params, xs, error))
            r, e, lags = np.asarray(params.r), np.asarray(error), np.arange(1, T + 1)
            factors = {norm: float(weight_bound(params.r, activation, norm)) for norm in NORMS}
            np.testing.assert_allclose(
                [factors["spectral"], factors["row_sum"], factors["largest"]],
                slope
                * np.array(
                    [
                        np.sqrt(np.linalg.eigvalsh(r.T @ r).max()),
                        abs(r).sum(0).max(),
                        H * abs(r).max(),
                    ]
                ),
            )
            room = 1 + 1e-9
            two, most = np.linalg.norm(flow, axis=1), abs(flow).max(axis=1)
            assert np.all(two <= room * factors["spectral"] ** lags * np.linalg.norm(e))
            assert np.all(most <= room * factors["row_sum"] ** lags * abs(e).max())
            assert np.all(two <= room * factors["largest"] ** lags * np.linalg.norm(e))
            assert np.all(most <= room * factors["largest"] ** lags * abs(e).max())


def test_paper_threshold_of_four_over_n():
    """Section 3: logistic units whose weights are below 4/n forget, whatever they are shown."""
    with jax.enable_x64():
        n, rng = 6, np.random.default_rng(10)
        r = jnp.asarray(rng.uniform(-1, 1, (n, n)) * 4 / n * 0.98)
        assert weight_bound(r, "logistic", "largest") < 1
        cell = elman(2, n, activation="logistic")
        params = cell.init(jax.random.key(0))._replace(r=r)
        xs = jnp.asarray(rng.normal(size=(60, 2)))
        norms = np.asarray(flow_norm(run_flow(cell, params, xs, jnp.ones(n))))
        _, ys = unroll(cell, params, xs)
    assert np.all(np.diff(norms) < 0) and norms[-1] < 1e-12
    assert np.ptp(np.asarray(ys)) > 0.2  # the units are alive


# ---- refusals


def test_refusals_are_one_line():
    cell = elman(2, 3)
    params = cell.init(jax.random.key(0))
    with pytest.raises(ValueError, match=r"error of shape \(2,\) where \(3,\) is needed"):
        error_flow(cell, params, jnp.ones((4, 2)), jnp.ones(2))
    with pytest.raises(ValueError, match=r"inputs of shape \(4, 3\) where \(T, 2\)"):
        error_flow(cell, params, jnp.ones((4, 3)), jnp.ones(3))
    flow = cell.initial_state()._replace(h=jnp.ones((4, 3)))
    with pytest.raises(ValueError, match="part: 'c' is not one of state, memory, h of this cell"):
        flow_norm(flow, "c")
    with pytest.raises(ValueError, match="norm: 'max' is not one of spectral, row_sum, largest"):
        weight_bound(params.r, "tanh", "max")
    with pytest.raises(ValueError, match="activation: 'elu' is not one of tanh"):
        weight_bound(params.r, "elu")


def test_the_memory_is_the_cells_where_there_are_any():
    """Of a net without memory cells it is what it hands on; all of a state is both."""
    flow = LstmState(c=jnp.array([[3.0, 0.0]]), h=jnp.array([[0.0, 4.0]]))
    norms = {part: float(flow_norm(flow, part)[0]) for part in ("memory", "c", "h", "state")}
    assert norms == {"memory": 3.0, "c": 3.0, "h": 4.0, "state": 5.0}
    assert float(flow_norm(GruState(h=flow.h), "memory")[0]) == 4.0
