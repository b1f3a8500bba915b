"""Training of the generators that come with the project, on photographs with a free licence."""
