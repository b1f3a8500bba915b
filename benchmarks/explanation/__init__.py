"""Figures and numbers of the pages in docs/explanation."""
