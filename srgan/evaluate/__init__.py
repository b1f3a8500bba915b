"""Figures, pictures and the gate that say whether a model is better."""
