"""Objects over time: drift, links, motion, states, rates. Runs without torch."""
