"""`lstm_jax.loops.linear` is a matrix product: values, derivatives and batches, by NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, PartitionSpec

from lstm_jax.loops.linear import linear
from lstm_jax.loops.turned import piecewise

rng = np.random.default_rng(0)
W, H, D = rng.normal(size=(5, 3)), rng.normal(size=(4, 2, 3)), rng.normal(size=(4, 2, 5))


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def close(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_values_and_gradients_are_numpys():
    y, pull = jax.vjp(linear, W, H)
    close(y, H @ W.T)
    to_w, to_h = pull(D)
    close(to_w, np.einsum("tbr,tbc->rc", D, H))
    close(to_h, D @ W)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_few_rows_and_columns(rows):
    """Which are multiplied number by number, for many networks too."""
    ws, ds = rng.normal(size=(4, rows, 3)), rng.normal(size=(4, 2, rows))
    y, pull = jax.vjp(linear, ws[0], H)
    close(y, H @ ws[0].T)
    to_w, to_h = pull(ds)
    close(to_w, np.einsum("tbr,tbc->rc", ds, H))
    close(to_h, ds @ ws[0])
    to_w, to_h = jax.vmap(lambda w, h, d: jax.vjp(linear, w, h)[1](d))(ws, H, ds)
    close(to_w, np.einsum("nbr,nbc->nrc", ds, H))
    close(to_h, np.einsum("nbr,nrc->nbc", ds, ws))
    given = jnp.bfloat16(ws[0]), jnp.bfloat16(H)
    y, pull = jax.vjp(lambda w, h: linear(w, h, preferred_element_type=jnp.float32), *given)
    assert y.dtype == jnp.float32
    assert [g.dtype for g in pull(jnp.float32(ds))] == [jnp.bfloat16, jnp.bfloat16]
    assert linear(*given).dtype == jnp.bfloat16


def test_tangents_are_those_of_a_product():
    dw, dh = rng.normal(size=W.shape), rng.normal(size=H.shape)
    y, tangent = jax.jvp(linear, (W, H), (dw, dh))
    close(y, H @ W.T)
    close(tangent, H @ dw.T + dh @ W.T)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_batch_on_any_axis(axis):
    def loss(w, h, d):
        return jnp.sum(jax.vmap(lambda h, d: linear(w, h) * d, (axis, 0))(h, d))

    batch = np.moveaxis(H, 0, axis)
    to_w, to_h = jax.grad(loss, (0, 1))(W, batch, D)
    close(to_w, np.einsum("tbr,tbc->rc", D, H))
    close(to_h, np.moveaxis(D @ W, 0, axis))


def test_many_networks_have_a_gradient_each():
    ws, ds = rng.normal(size=(4, 5, 3)), D
    to_w, to_h = jax.vmap(lambda w, h, d: jax.vjp(linear, w, h)[1](d))(ws, H, ds)
    close(to_w, np.einsum("nbr,nbc->nrc", ds, H))
    close(to_h, np.einsum("nbr,nrc->nbc", ds, ws))
    one_h, _ = jax.vmap(lambda w, d: jax.vjp(linear, w, H[0])[1](d))(ws, ds)
    close(one_h, np.einsum("nbr,bc->nrc", ds, H[0]))


def test_gradients_have_the_types_of_what_they_are_of():
    w, h = jnp.bfloat16(W), jnp.bfloat16(H)
    y, pull = jax.vjp(lambda w, h: linear(w, h, preferred_element_type=jnp.float32), w, h)
    assert y.dtype == jnp.float32
    assert [g.dtype for g in pull(jnp.float32(D))] == [jnp.bfloat16, jnp.bfloat16]
    np.testing.assert_allclose(pull(jnp.float32(D))[1].astype(float), D @ W, atol=0.1)


def test_replicas_add_their_gradients_up_under_shard_map():
    mesh = Mesh(np.array(jax.devices()[:2]), ("x",))
    over = PartitionSpec("x")

    def loss(w, h, d):
        return jax.lax.psum(jnp.sum(linear(w, h) * d), "x")

    part = jax.shard_map(
        jax.grad(loss), mesh=mesh, in_specs=(PartitionSpec(), over, over), out_specs=PartitionSpec()
    )
    close(part(W, H, D), np.einsum("tbr,tbc->rc", D, H))


def test_a_batch_that_is_sharded_over_an_explicit_axis():
    mesh = jax.make_mesh((2,), ("x",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        h, d = (jax.device_put(array, PartitionSpec(None, "x")) for array in (H, D))
        w = jax.device_put(W, PartitionSpec())
        gradient = jax.jit(jax.grad(lambda w: jnp.sum(linear(w, h) * d)))(w)
    close(gradient, np.einsum("tbr,tbc->rc", D, H))


def test_a_stack_is_taken_apart_and_the_vectors_come_first():
    """The gradients are a product each, in which the vectors come first."""
    w = {"a": W, "b": 2 * W}

    def nets(w, h):
        return jnp.split(jnp.concatenate([w["a"], w["b"]]) @ h, 2)

    def loss(w, hs, ds):
        a, b = jax.vmap(piecewise(nets), (None, 0))(w, hs)
        return jnp.sum(a * ds) - jnp.sum(b * ds)

    args = w, H.reshape(8, 3), D.reshape(8, 5)
    gradients = jax.grad(loss)(*args)
    close(gradients["a"], np.einsum("tbr,tbc->rc", D, H))
    close(gradients["b"], -np.einsum("tbr,tbc->rc", D, H))
    shapes = [
        (eqn.primitive.name, *(atom.aval.shape for atom in eqn.invars))
        for eqn in jax.make_jaxpr(jax.grad(loss))(*args).eqns
    ]
    assert shapes.count(("dot_general", (8, 3), (8, 5))) == 2


def test_matrices_side_by_side_are_one_matrix():
    """Of those one above the other alone the products are the parts of the whole."""
    w = {"a": W, "b": 2 * W}

    def nets(w, h):
        return jnp.concatenate([w["a"], w["b"]], axis=1) @ h

    hs, ds = np.concatenate([H, H**2], axis=-1).reshape(8, 6), D.reshape(8, 5)
    y, pull = jax.vjp(lambda w, hs: jax.vmap(piecewise(nets), (None, 0))(w, hs), w, hs)
    both = np.concatenate([W, 2 * W], axis=1)
    close(y, hs @ both.T)
    to_w, to_h = pull(ds)
    close(to_h, ds @ both)
    close(to_w["a"], ds.T @ hs[:, :3])
    close(to_w["b"], ds.T @ hs[:, 3:])
