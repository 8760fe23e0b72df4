"""Other people's implementations on the same input: a file each, measured and never offered.

A file that has `UNET` (`unet_*.py`) is a U-Net of a size that `attnzoo.bench.unets` knows; one that
has `PEER` is a module that computes what one of ours computes, made from ours with its weights.
"""
