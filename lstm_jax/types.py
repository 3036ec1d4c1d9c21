"""Names of types, and the one legend of dimensions.

Every shape comment in the package (``# [T, D]``) uses these letters:

====  =====================================================================
T     time steps (the static bound of a sequence)
D     inputs per time step
H     outputs of a cell (what the next layer or the readout sees)
K     targets, and so output units
B     memory-cell blocks of the 1997 cell
S     memory cells per block
C     memory cells, ``C = B * S``
U     hidden units of the 1997 cell: input gates, output gates, cells
R     recurrent sources a hidden unit of the 1997 cell sees
L     lanes: networks trained side by side in one program
N     trials: networks trained in one run, over all lanes and refills
====  =====================================================================

Arrays are time-major, and written for ONE network and ONE sequence: batches and
lanes are the caller's ``jax.vmap``.
"""

from typing import Any

import jax

Array = jax.Array
Params = Any
"""A pytree of weights; its leaves are exactly the weights a paper would count."""
State = Any
"""A pytree that a cell hands from one time step to the next."""
