"""Kernels of the losses over all tuples of a batch, with a NumPy and a torch backend."""
