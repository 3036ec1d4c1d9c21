"""Cells put together: in layers, in both directions, over each other, in segments of time."""

from lstm_jax.structures.bidirectional import (
    MERGES,
    BidirectionalParams,
    BidirectionalSpec,
    BidirectionalState,
    bidirectional,
)
from lstm_jax.structures.layer import LayerSpec, layer
from lstm_jax.structures.segments import SegmentGradient, truncated_bptt
from lstm_jax.structures.stack import StackSpec, stack
from lstm_jax.structures.stacked_cell import stacked_cell
from lstm_jax.unroll import Structure

__all__ = [
    "MERGES",
    "BidirectionalParams",
    "BidirectionalSpec",
    "BidirectionalState",
    "LayerSpec",
    "SegmentGradient",
    "StackSpec",
    "Structure",
    "bidirectional",
    "layer",
    "stack",
    "stacked_cell",
    "truncated_bptt",
]
