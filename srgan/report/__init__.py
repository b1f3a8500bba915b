"""The page that a retraining ends in: data in, HTML out."""
