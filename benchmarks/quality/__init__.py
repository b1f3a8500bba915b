"""Repeat the comparison of the paper's Table 2: train and measure every network by one command.

    python -m benchmarks.quality --train PHOTOS --eval SETS --weights SQUEEZENET --out FOLDER

It writes ``docs/benchmarks/quality.md``.
"""
