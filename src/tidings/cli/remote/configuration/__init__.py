"""Configuration as a file: read, compared with what a server has, and made so (`tidings export`, `tidings apply`)."""
