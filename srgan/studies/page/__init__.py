"""Pages of a study, their script and style, and all texts in `texts.json`."""
