"""``moorage image push``: an image from a layout, an archive or an engine into the registry."""
