"""Other people's implementations on the same input: a file each, measured and never offered.

A file that has `UNET` is a U-Net of a size that `attnzoo.bench.unets` knows.
"""
