"""What the microscope makes of a structure: optics, dose, scan, contamination."""
