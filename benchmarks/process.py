"""A worker in a process of its own: a line of JSON asks, a line of JSON answers.

Each library is measured in its own process, with its own flags and threads, and is idle until it
is asked; so that rows can take turns, and a slow minute of the machine hits all of them.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.machine import ROOT

PATIENCE = (1800.0, 600.0)
"""Seconds for a worker's first answer, which builds and compiles, and for each later one."""


class Ended(Exception):
    """The process is gone; what it said is above on stderr."""


class Process:
    """``python -m module --worker=TASK``, waiting for questions.

    Attributes:
      ready: its first answer, given once it is built and warm.

    Args:
      module, task: what runs, and what it gets, as JSON.
      env: beside the environment of this process.
      patience: seconds for the first answer, and for each later one; then it is killed.

    Raises:
      Ended: where it ends without an answer.
    """

    def __init__(
        self,
        module: str,
        task: Any,
        env: Mapping[str, str] | None = None,
        patience: tuple[float, float] = PATIENCE,
    ):
        self._patience = patience
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, f"--worker={json.dumps(task)}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | dict(env or {}),
        )
        self.ready = self._read(patience[0])

    def ask(self, question: Any) -> dict[str, Any]:
        """Its answer.

        Raises:
          Ended: where it ends without one.
        """
        assert self._process.stdin is not None
        if self._process.stdin.closed:
            raise Ended("is gone")
        with contextlib.suppress(BrokenPipeError):  # reading tells why
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        return self._read(self._patience[1])

    def close(self) -> None:
        """Ends it."""
        self._close_pipes()
        try:
            self._process.wait(self._patience[1])
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _read(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(seconds, stop)
        timer.daemon = True  # Ctrl-C does not wait for it
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if line:
            return json.loads(line)
        status = self._process.wait()
        self._close_pipes()
        if late.is_set():
            raise Ended(f"gave no answer within {seconds:g} s and was stopped")
        raise Ended(f"failed with exit status {status}; its message is above")


def serve(build: Callable[[], tuple[dict[str, Any], Callable[[Any], dict[str, Any]]]]) -> None:
    """The worker's side: builds, says so, then answers line by line until its input ends.

    What a library prints on the way goes to stderr. A library that is not installed is the
    answer ``{"missing": name}``.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        ready, answer = build()
    except ModuleNotFoundError as error:
        root = (error.name or "").split(".")[0]
        if root in ("lstm_jax", "benchmarks", ""):
            raise
        print(json.dumps({"missing": root}), file=answers, flush=True)
        return
    print(json.dumps(ready), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)
