"""The start of a plugin of one's own: templates, and the code that fills them in."""
