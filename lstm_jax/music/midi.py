"""Piano rolls as MIDI files that any player opens; written by mido."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from lstm_jax.data.chorales import LOWEST
from lstm_jax.record.archive import write_whole

TICKS_PER_FRAME = 480
"""A frame is a quarter note, as in the chorales."""


def notes_of(roll: np.ndarray) -> list[tuple[int, int, int]]:
    """The notes of a piano roll as ``(first frame, MIDI pitch, frames)``, in that order.

    A key that sounds in successive frames is one note that is held: a roll cannot tell it from
    one that is struck again.

    Example:
      >>> roll = np.zeros((4, 88))
      >>> roll[0:3, 39] = roll[3, 43] = 1
      >>> notes_of(roll)
      [(0, 60, 3), (3, 64, 1)]
    """
    wide = np.pad(np.asarray(roll) > 0, ((1, 1), (0, 0))).astype(int)
    change = np.diff(wide, axis=0)
    notes = []
    for pitch in range(change.shape[1]):
        starts, ends = (np.flatnonzero(change[:, pitch] == sign) for sign in (1, -1))
        notes += [(int(a), LOWEST + pitch, int(b - a)) for a, b in zip(starts, ends, strict=True)]
    return sorted(notes)


def write_midi(path: Path, roll: np.ndarray, *, frames_per_minute: int = 80) -> None:
    """Writes a Standard MIDI File of type 0: one track, a quarter note a frame.

    Args:
      path: of the file; its folder must be there.
      roll: ``[T, 88]``, positive where a key sounds; key k is MIDI pitch 21 + k.
      frames_per_minute: quarter notes a minute.

    Raises:
      ImportError: without the extra `music`.
      RunFolderError: in one line, where the file cannot be written.
    """
    import mido

    file = mido.MidiFile(type=0, ticks_per_beat=TICKS_PER_FRAME)
    track = mido.MidiTrack()
    file.tracks.append(track)
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(frames_per_minute)))
    # What ends at a tick ends before what begins there.
    events = [
        event
        for start, pitch, length in notes_of(roll)
        for event in ((start, 1, pitch), (start + length, 0, pitch))
    ]
    now = 0
    for frame, is_on, pitch in sorted(events):
        time = TICKS_PER_FRAME * (frame - now)
        kind, velocity = ("note_on", 72) if is_on else ("note_off", 0)
        track.append(mido.Message(kind, note=pitch, velocity=velocity, time=time))
        now = frame
    track.append(mido.MetaMessage("end_of_track", time=TICKS_PER_FRAME * (len(roll) - now)))
    content = io.BytesIO()
    file.save(file=content)
    write_whole(path, content.getvalue())
