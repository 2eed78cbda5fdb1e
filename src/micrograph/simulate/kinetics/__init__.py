"""What happens over time: events on sites with rates, simulated exactly."""
