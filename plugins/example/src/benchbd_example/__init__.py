"""A defense and an observer for benchbd, as a third party writes them."""
