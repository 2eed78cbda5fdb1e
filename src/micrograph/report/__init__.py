"""Result and run record to one HTML page."""
