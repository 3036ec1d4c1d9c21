"""Pictures of a recorded sequence and of a trial's training, as matplotlib figures."""

from lstm_jax.inspect.pictures.heat_maps import draw_gates
from lstm_jax.inspect.pictures.sequence import draw_sequence
from lstm_jax.inspect.pictures.style import png_of, svg_of, write_pictures
from lstm_jax.inspect.pictures.traces import draw_answers, draw_cells
from lstm_jax.inspect.pictures.training import draw_saturation, draw_training

__all__ = [
    "draw_answers",
    "draw_cells",
    "draw_gates",
    "draw_saturation",
    "draw_sequence",
    "draw_training",
    "png_of",
    "svg_of",
    "write_pictures",
]
