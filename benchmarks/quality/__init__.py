"""Repeat the comparison of the paper's Table 2: train and measure every network by one command.

    python -m benchmarks.quality --train PHOTOS --eval SETS [--weights NETWORK=FILE] [--minutes M]

It writes ``docs/benchmarks/quality.md`` from the trainings that there are.
"""
