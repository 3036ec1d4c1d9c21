"""Looking at runs: learning curves as pictures, and a TensorBoard writer.

Each module imports its heavy library (matplotlib, tensorboardX) when it is first used.
"""
