"""Pure functions from results to matplotlib figures."""
