"""`make chaos`: see README.md."""
