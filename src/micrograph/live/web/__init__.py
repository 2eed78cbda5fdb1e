"""The page in the browser: its server, what it may read, and the page itself."""
