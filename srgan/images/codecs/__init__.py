"""Pixels of each format: from the bytes of a file to arrays, and back."""
