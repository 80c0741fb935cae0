"""`make flash`: see README.md of the folder above."""
