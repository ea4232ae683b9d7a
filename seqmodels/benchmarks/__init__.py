"""Measurements of this library on the machine at hand; nothing imports them but the command line."""
