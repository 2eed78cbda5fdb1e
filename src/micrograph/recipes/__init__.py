"""The reviewed systems, one short file each."""
