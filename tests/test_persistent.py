"""The kernel that keeps an LSTM's weights on chip: in Pallas's GPU interpreter, and lowered.

No GPU is needed, and none has been used: what a GPU alone can show, `python -m benchmarks
--regimes=large` shows, which checks the kernel against the scan before it times it.
"""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas import mosaic_gpu as plgpu

from lstm_jax import gru, lstm, unroll
from lstm_jax.cells.lstm import LstmState
from lstm_jax.unroll import kernel_for
from tests.gpu_interpreter import RAISES_RACES, interpreted

blocks, resident = (
    pytest.importorskip(f"lstm_jax.loops.{name}", reason="this jaxlib has no Mosaic GPU")
    for name in ("blocks", "resident")
)

HALF, SINGLE = jnp.bfloat16, jnp.float32
HOPPER = SimpleNamespace(platform="gpu", compute_capability="9.0", core_count=132)


def rms(array):
    return float(np.sqrt(np.mean(np.square(np.asarray(array, np.float64)))))


def apart(one, other):
    return np.asarray(one, np.float64) - np.asarray(other, np.float64)


def same(actual, expected):
    """As far as numbers of 8 binary digits can be, sums of a few of them included."""
    for one, other in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert one.shape == other.shape
        assert rms(apart(one, other)) <= 2**-7 * rms(other)


def gates_of(columns):
    """``[B, 4H]`` by (block, gate, unit) as i, f, z, o ``[B, H]``."""
    blocks = columns.astype(SINGLE).reshape(len(columns), -1, 4, 16)
    return [blocks[:, :, n].reshape(len(columns), -1) for n in range(4)]


def columns_of(gates):
    blocks = jnp.stack([gate.reshape(len(gate), -1, 16) for gate in gates], axis=2)
    return blocks.reshape(len(blocks), -1)


@jax.jit
def forwards(r, nets, c):
    """What `resident.forwards` says, with nothing rounded inside."""
    hs, cs, gates, r = [], [c], [], r.astype(SINGLE)
    for t in range(len(nets)):
        total = nets[t].astype(SINGLE) + (hs[-1] @ r if hs else 0)
        i, f, z, o = gates_of(total)
        i, f, z, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(z), jax.nn.sigmoid(o)
        cs.append(i * z + f * cs[-1])
        hs.append(o * jnp.tanh(cs[-1]))
        gates.append(columns_of((i, f, z, o)))
    return jnp.stack(hs).astype(HALF), jnp.stack(cs), jnp.stack(gates).astype(HALF)


@jax.jit
def backwards(r, gates, c, d_h, d_c):
    """What `resident.backwards` says: the pull-back of a step, in the state, by autodiff."""
    r, d_nets = r.astype(SINGLE), []
    for t in reversed(range(len(gates))):
        i, f, z, o = gates_of(gates[t])
        whole = d_h[t].astype(SINGLE) + (d_nets[-1] @ r if d_nets else 0)
        nets = [jnp.log(i / (1 - i)), jnp.log(f / (1 - f)), jnp.arctanh(z), jnp.log(o / (1 - o))]

        def step(nets, before):
            i, f, z, o = nets
            after = jax.nn.sigmoid(i) * jnp.tanh(z) + jax.nn.sigmoid(f) * before
            return jax.nn.sigmoid(o) * jnp.tanh(after), after

        d_gates, d_c = jax.vjp(step, nets, c[t])[1]((whole, d_c))
        d_nets.append(columns_of(d_gates))
    return jnp.stack(d_nets[::-1]).astype(HALF), d_c


def drawn(seed, *shapes, dtype=HALF, scale=0.7):
    keys = jax.random.split(jax.random.key(seed), len(shapes))
    pairs = zip(keys, shapes, strict=True)
    return [(scale * jax.random.normal(key, shape)).astype(dtype) for key, shape in pairs]


def arguments(T, B, H):
    """Of both kernels."""
    r, nets, d_h = drawn(0, (H, 4 * H), (T, B, 4 * H), (T, B, H))
    c, d_c = drawn(1, (B, H), (B, H), dtype=SINGLE)
    r = (r / np.sqrt(H).astype(HALF)).astype(HALF)
    return r, nets, c, d_h, d_c


@pytest.fixture(autouse=True)
def single_precision():
    with jax.enable_x64(False):
        yield


@pytest.mark.parametrize(
    ("T", "B", "H", "ring"),
    [(1, 64, 64, 512), (3, 128, 64, 512), (2, 64, 128, 512), (2, 64, 192, 128)],
    ids=["one step", "two tiles", "wide chunks", "more chunks than slots"],
)
def test_the_kernels_compute_what_they_say(monkeypatch, T, B, H, ring):
    monkeypatch.setattr(blocks, "RING", ring)
    r, nets, c, d_h, d_c = arguments(T, B, H)
    given = forwards(r, nets, c)
    with interpreted(monkeypatch):
        same(resident.forwards(r, nets, c), given)
        back = r.T, given[2], given[1], d_h, d_c
        same(resident.backwards(*back), backwards(*back))


WAIT_FOR = resident.wait_for


def one_short(semaphore, count):
    """Reads when one of the blocks may not have written yet."""
    WAIT_FOR(semaphore, count - 1)


def no_completion(semaphore, *copies):
    """Says that copies are there when they have only been begun."""
    plgpu.commit_smem()
    for source, target in copies:
        plgpu.copy_smem_to_gmem(source, target)
    plgpu.semaphore_signal(semaphore, memory_scope="gpu")


@pytest.mark.skipif(not RAISES_RACES, reason="in this JAX a race is no error")
@pytest.mark.parametrize("broken", [{"wait_for": one_short}, {"publish": no_completion}])
def test_a_race_between_blocks_would_be_found(monkeypatch, broken):
    r, nets, c, *_ = arguments(3, 64, 64)
    for name, function in broken.items():
        monkeypatch.setattr(resident, name, function)
    for _ in range(10):  # on a busy machine threads may come in an order that has no race
        try:
            with interpreted(monkeypatch):
                jax.block_until_ready(resident.forwards(r, nets, c))
        except Exception as error:
            assert "RACE DETECTED" in str(error)
            return
    pytest.fail("ten runs without a race")


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("H", [64, 1024])
def test_the_kernels_are_lowered_for_hopper(H, x64):
    r, nets, c, d_h, d_c = jax.eval_shape(lambda: arguments(16, 128, H))
    gates, cs = nets, jax.ShapeDtypeStruct((17, 128, H), SINGLE)
    back = jax.ShapeDtypeStruct((4 * H, H), HALF)
    for kernel, given in (
        (resident.forwards, (r, nets, c)),
        (resident.backwards, (back, gates, cs, d_h, d_c)),
    ):
        with jax.enable_x64(x64):
            lowered = jax.jit(kernel).trace(*given).lower(lowering_platforms=("cuda",)).as_text()
        assert "mosaic_gpu" in lowered


def weighted(run, weights):
    """A loss that depends on all outputs and on the state left."""

    def loss(*given):
        pairs = zip(jax.tree.leaves(single(run(*given))), weights, strict=True)
        return sum(jnp.sum(leaf * weight) for leaf, weight in pairs)

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2)))


def sequences(B, T, D, H):
    """A cell, its weights, inputs, states, and weights for a loss."""
    cell = lstm(D, H)
    params = jax.tree.map(lambda leaf: (2 * leaf).astype(HALF), cell.init(jax.random.key(0)))
    xs, c, h = drawn(2, (B, T, D), (B, H), (B, H))
    weights = drawn(3, (B, H), (B, H), (B, T, H), dtype=SINGLE, scale=1.0)
    return cell, (params, xs, LstmState(c=c, h=h)), weights


def single(tree):
    return jax.tree.map(lambda leaf: leaf.astype(SINGLE), tree)


def batched(cell, kernel):
    return jax.vmap(lambda *given: unroll(cell, *given, kernel=kernel), (None, 0, 0))


def stand_in(monkeypatch):
    """The definitions above in the kernels' place."""
    monkeypatch.setattr(resident, "forwards", forwards)
    monkeypatch.setattr(resident, "backwards", backwards)
    on_hopper(monkeypatch)


def on_hopper(monkeypatch):
    monkeypatch.setattr(jax, "devices", lambda *_: [HOPPER])


def no_farther_than_the_scan(cell, given, weights):
    """From float32: the kernel's values and gradients, and those of the scan in bfloat16.

    Rounded results are 2^-9 away at most, whatever computed them.
    """
    exact = weighted(batched(cell, "scan"), weights)(*single(given))
    coarse = weighted(batched(cell, "scan"), weights)(*given)
    found = weighted(batched(cell, "persistent"), weights)(*given)
    assert abs(found[0] - exact[0]) < 1e-2 * sum(rms(w) * np.sqrt(w.size) for w in weights)
    leaves = (jax.tree.leaves(tree[1]) for tree in (found, coarse, exact))
    for ours, scanned, wanted in zip(*leaves, strict=True):
        far, allowed = rms(apart(ours, wanted)), rms(apart(scanned, wanted))
        assert far < allowed + 2**-9 * rms(wanted)
        assert allowed < 0.05 * rms(wanted)


def test_it_gives_what_the_scan_gives(monkeypatch):
    on_hopper(monkeypatch)
    with interpreted(monkeypatch):
        no_farther_than_the_scan(*sequences(B=3, T=4, D=5, H=20))


def test_any_number_of_units_and_sequences_goes(monkeypatch):
    stand_in(monkeypatch)
    monkeypatch.setattr(HOPPER, "core_count", 4)  # one tile of 64 sequences at a time
    no_farther_than_the_scan(*sequences(B=70, T=3, D=2, H=7))


def test_every_vmap_over_sequences_joins_the_batch(monkeypatch):
    stand_in(monkeypatch)
    cell, (params, xs, start), _ = sequences(B=6, T=3, D=2, H=7)
    expected = jax.jit(batched(cell, "persistent"))(params, xs, start)

    def unrolled(xs, start):
        return unroll(cell, params, xs, start, kernel="persistent")

    pairs = jax.tree.map(lambda leaf: leaf.reshape(2, 3, *leaf.shape[1:]), (xs, start))
    nested = jax.jit(jax.vmap(jax.vmap(unrolled)))(*pairs)
    same(jax.tree.map(lambda leaf: leaf.reshape(6, *leaf.shape[2:]), nested), expected)
    last = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, -1), (xs, start))
    same(jax.jit(jax.vmap(unrolled, in_axes=-1))(*last), expected)
    alone = jax.jit(unrolled)(xs[0], jax.tree.map(lambda leaf: leaf[0], start))
    same(alone, jax.tree.map(lambda leaf: leaf[0], expected))
    many = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), params)
    with pytest.raises(NotImplementedError, match="one set of weights for a batch"):
        jax.vmap(lambda params: unroll(cell, params, xs[0], kernel="persistent"))(many)


def test_no_example_has_weight_gradients_of_its_own(monkeypatch):
    stand_in(monkeypatch)
    cell, given, weights = sequences(B=8, T=3, D=2, H=16)
    gradient = jax.make_jaxpr(weighted(batched(cell, "persistent"), weights))(*given)
    assert "[8,256,64]" not in str(gradient).replace(" ", "")
    assert "[256,64]" in str(gradient).replace(" ", "")


def test_it_is_refused_where_it_cannot_be(monkeypatch):
    cell, (params, xs, _), _ = sequences(B=2, T=3, D=2, H=7)
    with pytest.raises(ValueError, match=r"capability 9.0 \(H100, H200\), and JAX computes on cpu"):
        kernel_for(cell, "persistent")
    on_hopper(monkeypatch)
    assert kernel_for(cell, "persistent") == "persistent"
    assert kernel_for(lstm(64, 1024)) == "deferred"  # never of itself
    with pytest.raises(ValueError, match="serves the plain lstm .*, not this gru cell"):
        kernel_for(gru(2, 3), "persistent")
    with pytest.raises(ValueError, match="at most 1024 units' weights on chip, not 1025"):
        kernel_for(lstm(2, 1025), "persistent")
    with pytest.raises(ValueError, match="in bfloat16, and weights, inputs or states are float32"):
        unroll(cell, params, xs[0].astype(SINGLE), kernel="persistent")
    for other in ({"length": 2}, {"reverse": True}, {"checkpoint": True}):
        with pytest.raises(ValueError, match="'persistent' runs whole sequences forwards"):
            unroll(cell, params, xs[0], kernel="persistent", **other)
    monkeypatch.setattr(HOPPER, "core_count", 16)
    with pytest.raises(ValueError, match="this GPU has 16 for 512"):
        kernel_for(lstm(2, 512), "persistent")
    monkeypatch.setattr(HOPPER, "compute_capability", "10.0")
    with pytest.raises(ValueError, match=r"computes on gpu \(10.0\)"):
        kernel_for(cell, "persistent")


def test_derivatives_beyond_the_first_in_reverse_are_refused(monkeypatch):
    stand_in(monkeypatch)
    cell, (params, xs, start), _ = sequences(B=2, T=3, D=2, H=7)

    def loss(xs):
        return jnp.sum(single(batched(cell, "persistent")(params, xs, start)[1]) ** 2)

    with pytest.raises(NotImplementedError, match="kernel='persistent' gives first derivatives"):
        jax.make_jaxpr(jax.grad(lambda xs: jnp.sum(jax.grad(loss)(xs))))(xs)
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(loss, (xs,), (xs,))
