"""What makes sequences fast: `native` is C for the CPU, compiled on first use. Without it all runs in plain torch.

Both compute the same. SKETCHRNN_BACKEND=plain turns the kernels off.
"""
