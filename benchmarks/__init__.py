"""Benchmarks: time of the main path, memory over a long movie, start-up, speed of the image model. `make bench`."""
