"""Live lines on a terminal: a small terminal of our own shows what is left on the screen."""

import io
import os
import re
import sys

from lstm_jax.progress import LiveLine, print_above


class Terminal(io.StringIO):
    def isatty(self):
        return True

    def fileno(self):
        return 2

    def screen(self):
        """The lines on it, for the few things that are sent: CR, LF, one up, clear below."""
        rows, row, column = [""], 0, 0
        for part in re.findall(r"\x1b\[\d*[AJ]|[\r\n]|[^\x1b\r\n]+", self.getvalue()):
            if part == "\r":
                column = 0
            elif part == "\n":
                row, column = row + 1, 0
                rows += [""] * (row + 1 - len(rows))
            elif part.endswith("A"):
                row -= int(part[2:-1])
                assert row >= 0
            elif part == "\x1b[J":
                rows[row:] = [rows[row][:column]]
            else:
                rows[row] = rows[row][:column] + part + rows[row][column + len(part) :]
                column += len(part)
        return rows


def on_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((30, 24)))
    return terminal


def test_one_line_is_written_over_and_stays_at_the_end(monkeypatch):
    terminal = on_terminal(monkeypatch)
    line = LiveLine()
    line.write("a long first text")
    line.write("short")
    assert terminal.screen() == ["short"]
    line.say("said")
    assert terminal.screen() == ["said", "short"]
    line.close()
    line.close()
    assert terminal.screen() == ["said", "short", ""]


def test_two_lines_stand_below_each_other_and_end_one_by_one(monkeypatch):
    terminal = on_terminal(monkeypatch)
    a, b = LiveLine(), LiveLine()
    a.write("a 1")
    b.write("b 1")
    a.write("a 2")
    b.write("b 2, which is wider than all the columns there are")
    assert terminal.screen() == ["a 2", "b 2, which is wider than all "]
    print_above("a row is through")
    assert terminal.screen() == ["a row is through", "a 2", "b 2, which is wider than all "]
    b.close()
    a.write("a 3")
    assert terminal.screen()[-2:] == ["b 2, which is wider than all the columns there are", "a 3"]
    a.close()
    print_above("end")
    assert terminal.screen()[-3:] == ["a 3", "end", ""]


def test_elsewhere_lines_come_as_they_are(capsys):
    a, b = LiveLine(), LiveLine()
    a.write("a", due=True)
    b.write("b", due=True)
    b.write("too soon")
    b.close()
    print_above("c")
    out, error = capsys.readouterr()
    assert (out, error) == ("c\n", "a\nb\n")
