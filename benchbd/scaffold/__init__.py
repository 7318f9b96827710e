"""The start of a plugin of one's own: templates, and what fills them in."""
