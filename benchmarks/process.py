"""A worker in a process of its own: a line of JSON asks, a line of JSON answers.

Each library is measured in its own process, with its own flags and threads, and is idle until it
is asked; so that rows can take turns, and a slow minute of the machine hits all of them.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.machine import ROOT


class Ended(Exception):
    """The process is gone; what it said is above on stderr."""


class Process:
    """``python -m module --worker=TASK``, waiting for questions.

    Attributes:
      ready: its first answer, given once it is built and warm.

    Raises:
      Ended: where it ends without an answer.
    """

    def __init__(self, module: str, task: Any, env: Mapping[str, str] | None = None):
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, f"--worker={json.dumps(task)}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | dict(env or {}),
        )
        self.ready = self._read()

    def ask(self, question: Any) -> dict[str, Any]:
        """Its answer.

        Raises:
          Ended: where it ends without one.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # reading tells why
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """Ends it."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.wait()

    def _read(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            status = self._process.wait()
            raise Ended(f"failed with exit status {status}; its message is above")
        return json.loads(line)


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
