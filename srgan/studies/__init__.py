"""Studies in which people judge pictures: create, serve, collect, hand on."""
