"""From maps and images to tables of objects: peaks, refinement, graph, lattice, strain."""
