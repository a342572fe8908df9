"""One module for a page, or for pages of one thing: read the question, call the operation, fill the view."""
