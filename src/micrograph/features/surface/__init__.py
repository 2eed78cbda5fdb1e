"""What is read off images of surfaces: lattices, motifs, states of sites and molecules."""
