"""Images that were not fully seen or not cleanly: denoised, completed, decoded, on finer pixels."""
