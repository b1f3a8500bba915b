"""Defaults of a study, the same for the command and the flow."""

SCREENS = {"ratings": (960, 540), "pairs": (624, 540)}
"""Largest picture, width and height, by the way of judging."""
RATERS = 24
REPEATS = 0.05
BREAK_AFTER = 100
SEED = 0
