"""What is there: lattices, layers, defects, edges, crystals (ASE)."""
