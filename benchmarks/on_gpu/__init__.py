"""Measure one GPU with this project's code, in at most eight minutes.

    python -m benchmarks.on_gpu PHOTOS SETS [--minutes 8] [--tiny --device cpu]

PHOTOS is a folder to train on, SETS a folder with Set5.
"""
