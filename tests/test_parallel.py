"""A batch spread over devices gives what it gives on one; settings for larger networks."""

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax import lstm, runtime, unroll
from lstm_jax.parallel import spread, spreads


@pytest.mark.skipif(jax.device_count() < 2, reason="one device: nothing to spread over")
def test_gradients_are_those_of_one_device():
    cell, num_examples = lstm(3, 5), 2 * jax.device_count()
    params = cell.init(jax.random.key(0))
    xs = jax.random.normal(jax.random.key(1), (7, num_examples, 3))

    def loss(params, xs, wide):
        xs = spread(xs, axis=1) if wide else xs
        run = jax.vmap(lambda x: unroll(cell, params, x, kernel="deferred")[1], 1, 1)
        return jnp.mean(run(xs) ** 2)

    one, all_of_them = (
        jax.jit(jax.grad(loss), static_argnums=2)(params, xs, wide) for wide in (False, True)
    )
    assert len(one.w_z.sharding.device_set) == 1
    assert len(all_of_them.w_z.sharding.device_set) == jax.device_count()
    assert all_of_them.w_z.sharding.is_fully_replicated
    for a, b in zip(*map(jax.tree.leaves, (one, all_of_them)), strict=True):
        np.testing.assert_allclose(b, a, rtol=2e-5, atol=1e-7)


def test_what_does_not_divide_stays_as_it_is():
    odd = jnp.ones((3, 2 * jax.device_count() + 1))
    assert not spreads(odd.shape[1]) or jax.device_count() == 1
    assert spread(odd, axis=1) is odd


def test_larger_networks_get_none_of_the_settings_of_tiny_ones(monkeypatch):
    others = ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES", "JAX_COMPILATION_CACHE_DIR", "GLIBC_TUNABLES")
    others += (runtime.SHORTEST,)
    for name in (*others, *runtime.MALLOC):
        monkeypatch.delenv(name, raising=False)
    tiny, larger = ({s.name for s in runtime.settings(small=small)} for small in (True, False))
    assert {runtime.SMALL_WHILE, runtime.NO_UNROLLING} <= tiny - larger
    malloc = set(runtime.MALLOC) if runtime.mallopt() else set()
    always = {"JAX_NUM_CPU_DEVICES", "JAX_COMPILATION_CACHE_DIR", runtime.SHORTEST}
    assert larger == {runtime.FEWER_KERNELS} | always | malloc
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.mmap_max=9")  # the user's own choice
    assert not set(runtime.MALLOC) & {s.name for s in runtime.settings(small=False)}


def test_a_step_takes_fewer_kernels_if_configure_said_so():
    code = (
        "import sys\n"
        "from lstm_jax import lstm, runtime, unroll\n"
        "if sys.argv[1] == 'configured':\n"
        "    runtime.configure(1, small=False)\n"
        "import jax, jax.numpy as jnp\n"
        "cell = lstm(8, 64)\n"
        "loss = lambda p, xs: jnp.sum(jax.vmap(lambda x: unroll(cell, p, x)[1])(xs))\n"
        "args = cell.init(jax.random.key(0)), jnp.ones((4, 20, 8))\n"
        "text = jax.jit(jax.grad(loss)).lower(*args).compile().as_text()\n"
        "print(text.count('kind=kLoop'))"
    )
    clean = os.environ | {"XLA_FLAGS": "", "JAX_ENABLE_COMPILATION_CACHE": "false"}
    counts = {
        name: int(
            subprocess.run(
                [sys.executable, "-c", code, name],
                env=clean,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for name in ("configured", "plain")
    }
    assert counts["configured"] < counts["plain"]


def test_a_process_does_not_inherit_what_another_chose_for_its_own_programs(tmp_path):
    """The user's own flags stay; those of a `configure` go with the networks they were for."""

    def configured(small, environment):
        """The environment that a process would hand on, had it configured itself."""
        code = (
            "import json, os\n"
            "from lstm_jax import runtime\n"
            f"runtime.configure(1, small={small})\n"
            "print(json.dumps(dict(os.environ)))"
        )
        line = [sys.executable, "-c", code]
        done = subprocess.run(line, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    own = "--xla_cpu_enable_fast_math=false --xla_backend_extra_options=xla_cpu_some_option"
    user = os.environ | {"XLA_FLAGS": own, "XDG_CACHE_HOME": str(tmp_path)}
    small, large = configured(True, user), configured(False, user)
    assert runtime.SMALL_WHILE in small["XLA_FLAGS"]
    assert runtime.FEWER_KERNELS in large["XLA_FLAGS"]
    assert all(env["XLA_FLAGS"].startswith(own) for env in (small, large))
    assert configured(True, large)["XLA_FLAGS"] == small["XLA_FLAGS"]
    assert configured(False, small)["XLA_FLAGS"] == large["XLA_FLAGS"]


@pytest.mark.skipif(runtime.mallopt() is None, reason="the C library is not glibc")
@pytest.mark.parametrize("where", ["here()", "Thread(target=here).start()"])
def test_memory_of_a_call_serves_the_next(tmp_path, where):
    """Of a block's pages few are new where the block is allocated again, if `configure` said so.

    In threads as well, in which XLA runs its programs, and above the 64 MB of a thread's own heap.
    """
    code = (
        "import resource, sys\n"
        "from threading import Thread\n"
        "from lstm_jax import runtime\n"
        "runtime.configure(small=False)\n"
        "faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "make = lambda: len(b'x' * int(sys.argv[1]))\n"
        "def here():\n"
        "    make(); before = faults(); make(); print(faults() - before)\n"
        f"{where}"
    )
    ours = ("MALLOC_", "GLIBC_", "JAX_COMPILATION")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    clean["XDG_CACHE_HOME"] = str(tmp_path)
    line = [sys.executable, "-c", code, str(2**27)]
    done = subprocess.run(line, capture_output=True, text=True, env=clean)
    assert int(done.stdout) < 2**27 / 4096 / 4, done.stderr  # without: 32,768


def test_a_gpu_gets_its_loops_captured_unless_the_user_said_otherwise(monkeypatch):
    monkeypatch.setattr(runtime, "gpu_expected", lambda: True)
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    assert runtime.WHILE_GRAPHS in {s.name for s in runtime.settings(small=False)}
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_enable_command_buffer=FUSION")
    assert runtime.WHILE_GRAPHS not in {s.name for s in runtime.settings(small=False)}


@pytest.mark.parametrize("version", ["0.11.1", "0.11.2.dev20260819"])
def test_unsound_versions_are_refused_in_one_line(monkeypatch, capsys, version):
    monkeypatch.setattr("importlib.metadata.version", lambda name: version)
    with pytest.raises(SystemExit) as stop:
        runtime.configure()
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: jaxlib {version} writes the whole")


@pytest.mark.parametrize("version", ["0.10.2", "0.11.0", "0.11.2", "0.12.0.1"])
def test_sound_versions_are_taken(version):
    assert runtime.refusal(version) is None


def fresh(tmp_path, code, **env):
    """What a process without settings prints, in lines."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "XLA_", "LSTM_"))}
    clean |= {"JAX_PLATFORMS": "cpu", "XDG_CACHE_HOME": str(tmp_path)} | env
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=clean)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_setting_that_comes_too_late_is_not_made(tmp_path):
    code = (
        "import os, jax.numpy as jnp; jnp.ones(2).block_until_ready()\n"
        "from lstm_jax import runtime\n"
        "made = [setting.name for setting in runtime.configure(num_devices=2)]\n"
        "import jax; print(jax.device_count())\n"
        "print({'JAX_NUM_CPU_DEVICES', runtime.SMALL_WHILE} & set(made), 'XLA_FLAGS' in os.environ)"
    )
    assert fresh(tmp_path, code) == ["1", "set() False"]


def test_the_flags_on_record_are_those_that_xla_has_read(tmp_path):
    """And not those of a second `configure`, in a notebook, say."""
    code = (
        "import os\n"
        "from lstm_jax import runtime\n"
        "runtime.configure(num_devices=1)\n"
        "first = os.environ['XLA_FLAGS']\n"
        "import jax.numpy as jnp; jnp.ones(2).block_until_ready()\n"
        "made = runtime.configure(small=False)\n"
        "print(os.environ['XLA_FLAGS'] == first)\n"
        "print(runtime.FEWER_KERNELS in [setting.name for setting in made])"
    )
    assert fresh(tmp_path, code) == ["True", "False"]


@pytest.mark.parametrize("small", [True, False])
def test_a_file_of_flags_is_left_alone(tmp_path, small):
    """XLA reads a file where XLA_FLAGS names one, and takes nothing beside it."""
    file = tmp_path / "flags"
    file.write_text("--xla_cpu_enable_fast_math=false\n")
    code = (
        "import os\n"
        "from lstm_jax import runtime\n"
        f"runtime.configure(1, small={small})\n"
        "import jax.numpy as jnp; print(float(jnp.ones(2).sum()), os.environ['XLA_FLAGS'])"
    )
    assert fresh(tmp_path, code, XLA_FLAGS=str(file)) == [f"2.0 {file}"]


def test_a_cache_chosen_in_python_stays(tmp_path):
    code = (
        "import os, jax\n"
        "jax.config.update('jax_persistent_cache_min_compile_time_secs', 60.0)\n"
        "jax.config.update('jax_compilation_cache_dir', 'mine')\n"
        "from lstm_jax import runtime\n"
        "made = runtime.configure(1)\n"
        "print(jax.config.jax_compilation_cache_dir)\n"
        "print(jax.config.jax_persistent_cache_min_compile_time_secs)\n"
        "print([s.name for s in made if s.name in runtime.JAX_HAS or s.name in os.environ])"
    )
    assert fresh(tmp_path, code) == ["mine", "60.0", "['JAX_NUM_CPU_DEVICES']"]
