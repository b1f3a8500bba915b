"""Proof of the analysis of opinion studies: simulated raters whose opinions are known."""
