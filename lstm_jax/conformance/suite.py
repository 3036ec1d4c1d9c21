"""The table of checks, and what runs it over a cell."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import NamedTuple

import jax

from lstm_jax.conformance import forms, programs, slopes, tracing, values
from lstm_jax.conformance.subject import Broken, Note, Subject

OK, FAILED, NOTE = "ok", "FAILED", "note"


class Check(NamedTuple):
    """One property.

    Attributes:
      name: what it is called.
      run: ``subject -> detail``; a `Note` where there is nothing to pass. Raises `Broken`.
      wide: whether it runs in float64, where a wrong term cannot hide in the rounding.
      first: whether the others mean nothing where it fails.
    """

    name: str
    run: Callable[[Subject], str]
    wide: bool = True
    first: bool = False

    @property
    def meaning(self) -> str:
        """What holds where it passes."""
        return (self.run.__doc__ or "").strip().splitlines()[0]


class Result(NamedTuple):
    """What a check found."""

    verdict: str  # "ok", "FAILED" or "note"
    name: str
    detail: str


_TABLE = (
    Check("sizes", forms.sizes, wide=False, first=True),
    Check("trees", forms.trees, wide=False, first=True),
    Check("bad_sizes", forms.bad_sizes, wide=False),
    Check("wrong_input", forms.wrong_input, wide=False),
    Check("init_key", forms.init_key, wide=False),
    Check("init_range", forms.init_range, wide=False),
    Check("gates", forms.gates),
    Check("float64", tracing.float64),
    Check("promotion", tracing.promotion, wide=False),
    Check("recompilation", tracing.recompilation, wide=False),
    Check("scan", values.scan),
    Check("two_parts", values.two_parts),
    Check("vmap", values.vmap),
    Check("jit", values.jit),
    Check("float32", values.float32, wide=False),
    Check("length", values.length),
    Check("reverse", values.reverse),
    Check("parts", values.parts),
    Check("associative", values.associative),
    Check("oracle", values.oracle),
    Check("gradients", slopes.gradients),
    Check("memory", slopes.memory),
    Check("truncate", slopes.truncate),
    Check("padding", slopes.padding),
    Check("large", slopes.large, wide=False),
    Check("lowering", programs.lowering, wide=False),
    Check("learning", programs.learning, wide=False),
    Check("speed", programs.speed, wide=False),
)

CHECKS: dict[str, Check] = {check.name: check for check in _TABLE}
"""All checks by name, in the order in which they run."""


def run_check(check: Check, subject: Subject) -> Result:
    """Runs one check in JAX's own settings, whatever those around it are.

    Example:
      >>> from lstm_jax.cells import lstm
      >>> run_check(CHECKS["bad_sizes"], Subject(lstm, "lstm")).verdict
      'ok'
    """
    with ExitStack() as settings:
        settings.enter_context(jax.numpy_dtype_promotion("standard"))
        settings.enter_context(jax.numpy_rank_promotion("allow"))
        settings.enter_context(jax.enable_x64(check.wide))
        try:
            detail = check.run(subject)
        except Broken as error:
            return Result(FAILED, check.name, _one_line(str(error)))
        except (Exception, SystemExit) as error:
            text = _one_line(str(error)) or "no text"
            return Result(FAILED, check.name, f"{type(error).__name__}: {text:.300}")
    return Result(NOTE if isinstance(detail, Note) else OK, check.name, detail)


def run_checks(
    subject: Subject,
    names: Iterable[str] | None = None,
    tell: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Runs the checks of these names, all unless given, in the table's order.

    Where one fails that the others rest on, what follows is not run.

    Args:
      subject: the cell.
      names: of `CHECKS`.
      tell: called with each result as it comes.

    Example:
      >>> from lstm_jax.cells import lstm
      >>> [result.verdict for result in run_checks(Subject(lstm, "lstm"), ["trees", "gates"])]
      ['ok', 'ok']
    """
    asked = list(CHECKS) if names is None else [name for name in CHECKS if name in set(names)]
    results = []
    for check in (CHECKS[name] for name in asked):
        results.append(run_check(check, subject))
        tell(results[-1])
        if check.first and results[-1].verdict == FAILED:
            break
    return results


def line(result: Result) -> str:
    """A result as the command prints it.

    Example:
      >>> line(Result("ok", "scan", "largest difference 0"))
      'ok      scan           largest difference 0'
    """
    width = max(map(len, CHECKS))
    return f"{result.verdict:6}  {result.name:{width}}  {result.detail}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
