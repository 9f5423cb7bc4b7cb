"""Configuration, networks, weights, model folders and the list of them."""
