"""The comparison of the paper's Table 2: every network trained and measured by one command.

    python -m benchmarks.quality --train PHOTOS --eval SETS --weights SQUEEZENET --out FOLDER

See ``docs/benchmarks/quality.md``, which it writes.
"""
