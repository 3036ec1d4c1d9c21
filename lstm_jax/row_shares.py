"""The rows of a command on several machines: dealt out to shares, and opened with what they did."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lstm_jax.plan import BLOCK, vector_of
from lstm_jax.record import RunFolder
from lstm_jax.record.opening import CONFIG
from lstm_jax.record.reading import read_run
from lstm_jax.record.refusal import refuse
from lstm_jax.rows import FREE_FIELDS, PICTURE, Row, open_row, say
from lstm_jax.shares import WHOLE, Share, gather, share_folders


def deal(rows: Sequence[Row], share: Share) -> list[Row]:
    """The rows with the trials that are a share's; rows of which it has none are left out.

    Trials that take no longer together than one, a block of lanes, stay together; the blocks of
    all rows are dealt out in turn.

    Example:
      >>> from configs.adding import get_config
      >>> from lstm_jax.build import build_trial
      >>> config = get_config("t100")
      >>> config.num_trials = 40
      >>> row = Row("t100", config, build_trial(config), None, "")
      >>> [(row.name, row.numbers[0], len(row.numbers)) for row in deal([row], Share(2, 3))]
      [('t100', 16, 16)]
    """
    if share.is_whole:
        return list(rows)
    blocks = []
    for place, row in enumerate(rows):
        size = BLOCK if vector_of(row.built) > 1 else 1
        numbers = range(row.config.num_trials)
        blocks += [(place, numbers[start : start + size]) for start in numbers[::size]]
    dealt: dict[int, tuple[int, ...]] = {}
    for place, numbers in share.of(blocks):
        dealt[place] = (*dealt.get(place, ()), *numbers)
    return [rows[place]._replace(dealt=numbers) for place, numbers in dealt.items()]


@contextmanager
def opened_rows(
    rows: Sequence[Row],
    workdir: Path,
    share: Share = WHOLE,
    *,
    apart: bool = True,
    free_fields: Sequence[str] = FREE_FIELDS,
) -> Iterator[list[RunFolder]]:
    """The folders of the rows that a command runs, and in them what shares have finished.

    All are opened before any row is run: a refusal of the last row must not come after an hour.

    Args:
      rows: as dealt to the share.
      workdir: of the whole.
      share: whose rows they are.
      apart: whether each row has a folder in the workdir, as where there are several.
      free_fields: config fields that may differ from those on file.

    Raises:
      RunFolderError: for a folder that cannot be used, a share's included.
    """

    def place(folder: Path, row: Row) -> Path:
        return folder / row.name if apart else folder

    def opened(folder: Path, row: Row) -> RunFolder:
        return open_row(place(folder, row), row, free_fields=free_fields)

    parts = share_folders(workdir) if share.is_whole else []
    for path in parts:  # before anything is made
        if (path / CONFIG).exists() == apart:
            none = f"holds no run (no {CONFIG}): a share of several rows, or half a copy"
            refuse(path, f"{'is a share of one row alone' if apart else none}; take it away")
    with ExitStack() as stack:
        folders = [stack.enter_context(opened(share.workdir(workdir), row)) for row in rows]
        for path in parts:
            for row, folder in zip(rows, folders, strict=True):
                if not place(path, row).is_dir():
                    continue  # its share has none of the row's trials
                with opened(path, row) as part:
                    run = read_run(part.path)
                    if not folder.is_complete(record["trial"] for record in run.trials):
                        (folder.path / PICTURE).unlink(missing_ok=True)  # it is without these
                    taken = gather(folder, run, path.name, say)
                if taken:
                    say(f"{row.name}: {taken} trials of {part.path}")
        yield folders
