"""`tidings bench`: what Tidings does on this machine. How each figure is measured is told in docs/benchmarks.md."""
