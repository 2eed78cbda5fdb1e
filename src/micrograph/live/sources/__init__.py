"""Where frames come from while they are recorded: folders, streams, recordings played again."""
