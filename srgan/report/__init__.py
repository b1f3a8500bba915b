"""The report of a retraining: page, card, charts and chain of origin; data in, text out."""
