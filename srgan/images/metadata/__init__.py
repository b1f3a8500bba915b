"""All that files say about a photo besides its pixels: read it, keep it true, write it."""
