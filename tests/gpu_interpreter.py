"""Pallas's GPU interpreter with what `lstm_jax.loops.resident` needs beyond it.

The interpreter of jax 0.10 and 0.12 runs the blocks of a grid one after the other and has no
semaphores between them. Here the blocks of a launch run as one cluster, each in a thread of its
own; a semaphore is a counter that threads wait for, and a wait of `PATIENCE` seconds is a deadlock.
From 0.11 on the interpreter looks for races by vector clocks, which a signal hands on to who waits;
it then also knows when a copy is through. A thread is evaluated here operation by operation: as
compiled programs they would wait for each other in XLA's pool of as many threads as cores.
"""

import faulthandler
import itertools
import threading
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax._src import callback
from jax._src import core as jax_core
from jax._src.pallas import primitives
from jax._src.pallas.mosaic.interpret import thread_map
from jax._src.pallas.mosaic_gpu import primitives as gpu_primitives
from jax._src.pallas.mosaic_gpu.interpret import gpu_callbacks, jaxpr_interpret
from jax._src.pallas.mosaic_gpu.interpret.params import InterpretGPUParams
from jax.experimental.pallas import mosaic_gpu as plgpu

FINDS_RACES = hasattr(gpu_callbacks, "kernel_thread_finished")
"""Whether this interpreter has clocks for copies: that of jax 0.11 and 0.12 has, of 0.10 not."""
RAISES_RACES = hasattr(InterpretGPUParams, "on_race")
"""Whether a race is an error: in jax 0.12; 0.11 prints it and goes on."""
PATIENCE, HOPELESS = 60.0, 600.0
"""Seconds that a block waits for others, and that a launch may take."""
NUMBERS = itertools.count()


def launch() -> tuple[Any, Any, list[Exception], dict[tuple[int, ...], list[Any]]]:
    """Of the one under way: memory, condition, what failed, and for each semaphore its clocks."""
    shared = gpu_callbacks._get_shared_memory()
    with shared.lock:
        own = shared.__dict__.setdefault("launch", (threading.Condition(), [], {}))
    return shared, *own


def signal(thread, token, *semaphore):
    """Adds one, and leaves what the thread knows, with what those before it did."""
    shared, changed, _, signalled = launch()
    assert int(semaphore[-1]) == 1
    with changed:
        clocks = signalled.setdefault(tuple(map(int, semaphore[:-1])), [])
        clock = shared.incr_clock(thread) if FINDS_RACES else None
        if clock is not None and clocks:
            clock.update(clocks[-1])
        clocks.append(clock)
        changed.notify_all()
    return token


def wait(thread, token, *semaphore):
    """Until the count is there; the thread then knows what so many knew, and no more than these."""
    shared, changed, failures, signalled = launch()
    value = int(semaphore[-1])
    with changed:
        clocks = signalled.setdefault(tuple(map(int, semaphore[:-1])), [])
        came = changed.wait_for(lambda: failures or len(clocks) >= value, PATIENCE)
        if failures:
            raise failures[0]
        if not came:
            raise RuntimeError(f"deadlock: a semaphore stays at {len(clocks)}, waited for: {value}")
        if FINDS_RACES and value:
            with shared.lock:
                shared.clocks[thread].update(clocks[value - 1])
    return token


OWN = {gpu_primitives.semaphore_signal_p: signal, gpu_primitives.semaphore_wait_p: wait}
PLAIN = jaxpr_interpret.JaxprInterpreter.interpret


def read(env, atom):
    return atom.val if isinstance(atom, jax_core.Literal) else env[atom]


def interpret(self, jaxpr, token, *args):
    """The interpreter's own way for all but semaphores, and fences, which it knows nothing of."""
    env = dict(zip([*jaxpr.constvars, *jaxpr.invars], args, strict=True))
    for eqn in jaxpr.eqns:
        if eqn.primitive is primitives.get_global_p:
            env[eqn.outvars[0]] = jnp.int32(next(NUMBERS))
        elif eqn.primitive in OWN:
            given = [read(env, atom) for atom in eqn.invars]
            number, transforms, value, *_ = jax.tree.unflatten(eqn.params["args_tree"], given)
            index = sum((tuple(t.indices) for t in transforms), ())
            thread = self.thread if FINDS_RACES else self.thread_id
            operands = thread, token, number, *index, value
            token = callback.io_callback(
                OWN[eqn.primitive], gpu_callbacks.TOKEN_SHAPE_DTYPE, *operands
            )
        elif eqn.primitive is not gpu_primitives.inline_mgpu_p:
            ins = list(dict.fromkeys(a for a in eqn.invars if not isinstance(a, jax_core.Literal)))
            outs = [v for v in eqn.outvars if not isinstance(v, jax_core.DropVar)]
            info = jaxpr.debug_info.with_unknown_names()
            one = jaxpr.replace(constvars=[], invars=ins, outvars=outs, eqns=[eqn], debug_info=info)
            token, results = PLAIN(self, one, token, *(env[atom] for atom in ins))
            env |= zip(outs, results, strict=True)
    return token, [read(env, atom) for atom in jaxpr.outvars]


def evaluate(jaxpr, consts, *args):
    """A thread's program in this Python thread: loops and branches here, callbacks called."""
    jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
    env = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))
    for eqn in jaxpr.eqns:
        given, params = [read(env, atom) for atom in eqn.invars], eqn.params
        inner = params.get("jaxpr")
        match eqn.primitive.name:
            case "scan":
                num = len(given) - len(eqn.outvars)  # what does not change from step to step
                results = given[num:]
                for _ in range(params["length"]):
                    results = evaluate(inner, inner.consts, *given[:num], *results)
            case "jit" | "pjit":
                results = evaluate(inner, inner.consts, *given)
            case "io_callback":
                results = [np.asarray(leaf) for leaf in params["callback"](*given)]
            case _:
                results = eqn.primitive.bind(*given, **eqn.primitive.get_bind_params(params))
                results = results if eqn.primitive.multiple_results else [results]
        env |= zip(eqn.outvars, results, strict=True)
    return [read(env, atom) for atom in jaxpr.outvars]


def block(jaxpr, consts, *args):
    """A whole thread; where it fails the others, which wait for it, fail with its error.

    JAX reports the error of the first thread in number, and what counts is the first in time.
    """
    try:
        evaluate(jaxpr, consts, *args)
    except Exception as error:
        _, changed, failures, _ = launch()
        with changed:
            failures.append(error)
            changed.notify_all()
        raise


@contextmanager
def interpreted(monkeypatch):
    """Kernels of Mosaic GPU that are traced in this block run on the CPU."""
    kernel = plgpu.kernel

    def launched(body, *, grid, grid_names, compiler_params, **rest):
        params = InterpretGPUParams(detect_races=FINDS_RACES)
        rest |= {"cluster": grid, "cluster_names": grid_names}
        return kernel(body, interpret=params, **rest)

    with monkeypatch.context() as patch:
        patch.setattr(plgpu, "kernel", launched)
        patch.setattr(jaxpr_interpret.JaxprInterpreter, "interpret", interpret)
        patch.setattr(thread_map, "_run_jaxpr", block)
        # A block that waits for its own copies does so for ever: rather no tests than no end.
        faulthandler.dump_traceback_later(HOPELESS, exit=True)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            gpu_callbacks.reset_gpu_interpret_mode_state()
