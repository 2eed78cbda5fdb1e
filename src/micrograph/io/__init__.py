"""Files and folders to recordings, tables and maps to files."""
