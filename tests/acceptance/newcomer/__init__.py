"""A newcomer: plays what pages print, as somebody would who has nothing but the page."""
