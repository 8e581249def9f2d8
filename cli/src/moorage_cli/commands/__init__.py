"""One module per noun; ``moorage_cli.main`` imports the one that is asked for."""
