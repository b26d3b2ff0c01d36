"""What makes sequences fast: `native`, C for the CPU, compiled on first use (`compiled`), and `gpu`, matrix products of
torch with what stands between them in Triton (`fused`). Where neither can run, all is plain torch.

All compute the same. SKETCHRNN_BACKEND=plain turns the kernels off.
"""
