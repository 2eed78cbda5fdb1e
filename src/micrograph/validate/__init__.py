"""Metrics, physical limits, calibration of confidence, reference sets, checks."""
