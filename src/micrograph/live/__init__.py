"""Analysis while the experiment runs: sources of frames, the engine, triggers, and the page that shows it all."""
