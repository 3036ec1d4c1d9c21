"""Weights in .safetensors and .npz files: bit for bit, by name, and never unpickled."""

import io
import json
import os
import pickle
import struct
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lstm_jax.cells import CELLS
from lstm_jax.cells.wrappers import layer_norm
from lstm_jax.interop.files import load_weights, save_weights
from lstm_jax.network import network
from lstm_jax.readout import readout
from lstm_jax.structures import bidirectional, stack
from tests.variants import VARIANTS, make_cell, randomised

ENDINGS = (".safetensors", ".npz")
either = pytest.mark.parametrize("ending", ENDINGS)


def bits(array):
    return np.ascontiguousarray(array).view(np.uint8)


def same_bits(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_array_equal(bits(np.asarray(a)), bits(np.asarray(b)))


def random_params(part, seed=0):
    return randomised(jax.eval_shape(part.init, jax.random.key(0)), np.random.default_rng(seed))


TREES = {
    **{variant: lambda variant=variant: make_cell(variant) for variant in VARIANTS},
    "network": lambda: network(CELLS["lstm"](2, 3), readout(3, 1)),
    "stack": lambda: stack(
        bidirectional(CELLS["lstm"](2, 3), CELLS["gru"](2, 4)), CELLS["elman"](7, 5)
    ),
    "layer norm": lambda: layer_norm(CELLS["lstm"](2, 3, switches=())),
}


@either
@pytest.mark.parametrize("name", TREES)
def test_comes_back_bit_for_bit(name, ending, tmp_path):
    part = TREES[name]()
    params = random_params(part)
    path = tmp_path / f"weights{ending}"
    save_weights(path, params)
    same_bits(load_weights(path, params), params)
    # fresh weights or their shapes alone tell the structure as well
    same_bits(load_weights(path, jax.eval_shape(part.init, jax.random.key(1))), params)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]  # nothing left beside it


@either
def test_special_numbers_dtypes_and_layouts(ending, tmp_path):
    tree = {
        "special": np.array([np.nan, -np.nan, np.inf, -np.inf, -0.0, 1e-45], np.float32),
        "payload": np.array([0x7FC00001, 0xFFC12345], np.uint32).view(np.float32),
        "half": np.arange(4, dtype=np.float16),
        "count": np.int32(7) * np.ones((), np.int32),
        "flags": np.array([True, False]),
        "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "strided": np.arange(12, dtype=np.float32)[::3],
        "empty": np.zeros((0, 3), np.float32),
        "scalar": np.float32(2.5),
    }
    path = tmp_path / f"weights{ending}"
    save_weights(path, tree)
    same_bits(load_weights(path, tree), jax.tree.map(np.asarray, tree))


def test_bfloat16_goes_into_safetensors_and_npz_says_that_it_holds_none(tmp_path):
    tree = {"w": jnp.arange(6, dtype=jnp.bfloat16).reshape(2, 3)}
    save_weights(tmp_path / "weights.safetensors", tree)
    same_bits(load_weights(tmp_path / "weights.safetensors", tree), tree)
    refused(
        lambda: save_weights(tmp_path / "weights.npz", tree), r"'w'.*bfloat16.*float32.*safetensors"
    )
    assert not (tmp_path / "weights.npz").exists()


@either
def test_float64_is_kept(ending, tmp_path):
    path = tmp_path / f"weights{ending}"
    with jax.enable_x64(True):
        params = random_params(CELLS["gru"](2, 3))
        save_weights(path, params)
        same_bits(load_weights(path, params), params)
        assert params.w_r.dtype == np.float64
    like = jax.tree.map(np.asarray, params)
    refused(lambda: load_weights(path, like), "float64.*x64")


def test_other_programs_read_them_by_dotted_names(tmp_path):
    params = random_params(TREES["stack"]())
    for ending in ENDINGS:
        save_weights(tmp_path / f"weights{ending}", params)
    with np.load(tmp_path / "weights.npz", allow_pickle=False) as file:
        by_numpy = dict(file)
    by_safetensors = load_file(tmp_path / "weights.safetensors")
    assert set(by_numpy) == set(by_safetensors)
    np.testing.assert_array_equal(by_numpy["0.backward.r_n"], params[0].backward.r_n)
    np.testing.assert_array_equal(by_safetensors["0.forward.w_z"], params[0].forward.w_z)
    np.testing.assert_array_equal(by_numpy["1.b"], params[1].b)
    assert not [name for name in by_numpy if "p_i" in name]  # what is None has no entry


def test_files_that_other_programs_wrote(tmp_path):
    params = random_params(CELLS["elman"](2, 3))
    arrays = {name: np.asarray(leaf) for name, leaf in params._asdict().items()}
    save_file(arrays, tmp_path / "a.safetensors", metadata={"by": "another program"})
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    for ending in ENDINGS:
        same_bits(load_weights(tmp_path / f"a{ending}", params), params)


@either
def test_what_is_loaded_is_a_copy(ending, tmp_path):
    params = {"w": np.ones(3, np.float32)}
    path = tmp_path / f"weights{ending}"
    save_weights(path, params)
    first = load_weights(path, params)
    save_weights(path, {"w": np.zeros(3, np.float32)})  # over the file that is there
    assert first["w"].tolist() == [1, 1, 1]
    assert load_weights(path, params)["w"].tolist() == [0, 0, 0]


def refused(do, words):
    with pytest.raises(ValueError, match=words) as caught:
        do()
    assert "\n" not in str(caught.value)
    return str(caught.value)


W, B = np.ones((2, 3), np.float32), np.ones(2, np.float32)


@either
@pytest.mark.parametrize(
    ("there", "needed", "words"),
    [
        ({"w": W}, {"w": W, "b": B}, r"'b' \(float32\[2\]\) is missing"),
        ({"w": W, "b": B}, {"w": W}, r"'b' \(float32\[2\]\) has no place"),
        ({"weight": W}, {"weights": W}, r"'weights'.*missing.*'weight'"),
        ({"w": W}, {"w": W.T}, r"'w' is float32\[2, 3\].*float32\[3, 2\] is needed"),
        ({"w": W}, {"w": W[0]}, r"'w'.*float32\[3\]"),
        ({"w": W}, {"w": W[None]}, r"'w'.*float32\[1, 2, 3\]"),
        ({"w": W}, {"w": W.astype(np.int32)}, r"'w' is float32\[2, 3\].*int32\[2, 3\]"),
        ({"w": W.astype(np.float16)}, {"w": W}, r"'w' is float16"),
        ({}, {"w": W}, "'w'.*missing"),
    ],
)
def test_what_does_not_fit_is_named(there, needed, words, ending, tmp_path):
    path = tmp_path / f"weights{ending}"
    save_weights(path, there)
    assert str(path) in refused(lambda: load_weights(path, needed), words)


@either
def test_damage_is_one_line_wherever_it_is(ending, tmp_path):
    """Cut at any byte, or with any byte changed: the same numbers, or a refusal; never others."""
    params = {"w": W, "deep": {"b": B}}
    path = tmp_path / f"weights{ending}"
    save_weights(path, params)
    data = path.read_bytes()

    def outcome(content):
        """None for a refusal, else whether the numbers are those that were saved."""
        path.write_bytes(content)
        try:
            loaded = load_weights(path, params)
        except ValueError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            return None
        return jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), loaded, params))

    cuts = [outcome(data[:stop]) for stop in range(0, len(data), 3)]
    assert cuts.count(None) > 0.8 * len(cuts)  # a zip's comment, at its end, can be spared
    changes = [
        outcome(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        for at in range(0, len(data), 2)
    ]
    assert outcome(data) is True and changes.count(None) > 0.2 * len(changes)
    assert False not in cuts + [outcome(data + b"x"), outcome(data + data)]
    if ending == ".npz":  # a zip carries checksums; a safetensors file has none
        assert False not in changes


@either
def test_files_of_another_kind_are_refused(ending, tmp_path):
    path = tmp_path / f"weights{ending}"
    pickled = io.BytesIO()
    np.save(pickled, W)
    for content in (b"", b"\x00" * 64, b"{}", pickled.getvalue(), pickle.dumps({"w": W})):
        path.write_bytes(content)
        refused(lambda: load_weights(path, {"w": W}), "damaged, or not")


class Bomb:
    """Unpickling it leaves a trace."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (self.trace,)


def test_a_pickle_in_an_npz_is_refused_and_never_run(tmp_path):
    path, trace = tmp_path / "weights.npz", tmp_path / "trace"
    objects = np.empty(1, object)
    objects[0] = Bomb(str(trace))
    np.savez(path, w=objects)
    refused(lambda: load_weights(path, {"w": W}), "damaged, or not|pickle")
    with zipfile.ZipFile(path, "w") as archive:  # an entry that is a bare pickle
        archive.writestr("w.npy", pickle.dumps(Bomb(str(trace))))
    refused(lambda: load_weights(path, {"w": W}), "damaged, or not|pickle")
    assert not trace.exists()
    with pytest.raises(ValueError, match="'w'.*object"):
        save_weights(path, {"w": objects})


def test_a_header_that_lies_is_refused(tmp_path):
    """Offsets outside of the data, a dtype unknown to us, a header longer than the file."""
    path = tmp_path / "weights.safetensors"

    def write(header, data=b"\x00" * 24):
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + data)

    def entry(dtype="F32", shape=(2, 3), offsets=(0, 24)):
        return {"w": {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}}

    write(entry())
    same_bits(load_weights(path, {"w": W}), {"w": 0 * W})
    for header in (
        entry(offsets=(0, 240)),
        entry(offsets=(-24, 0)),
        entry(shape=(2, 300)),
        entry(dtype="F8_E4M3"),
        entry(dtype="NOPE"),
        {"w": 1},
    ):
        write(header)
        refused(lambda: load_weights(path, {"w": W}), "weights.safetensors")
    path.write_bytes(struct.pack("<Q", 2**62) + b"{}")
    refused(lambda: load_weights(path, {"w": W}), "damaged, or not")


@pytest.mark.parametrize("name", ["weights", "weights.pkl", "weights.npy", "weights.npz.tmp"])
def test_another_ending_is_refused(name, tmp_path):
    for do in (save_weights, load_weights):
        refused(lambda do=do: do(tmp_path / name, {"w": W}), r"\.safetensors.*\.npz")


def test_two_leaves_of_one_name_are_refused(tmp_path):
    refused(lambda: save_weights(tmp_path / "weights.npz", {"a": {"b": W}, "a.b": W}), "'a.b'")


@either
def test_a_failed_save_leaves_the_old_file(ending, tmp_path):
    path = tmp_path / f"weights{ending}"
    save_weights(path, {"w": W})
    with pytest.raises(ValueError, match="object"):
        save_weights(path, {"w": W, "bad": np.array([None])})
    same_bits(load_weights(path, {"w": W}), {"w": W})


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(OSError, match="weights.npz"):
        load_weights(tmp_path / "weights.npz", {"w": W})
