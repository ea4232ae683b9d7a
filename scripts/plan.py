"""Calls `seqmodels plan`."""

from seqmodels.cli import script

if __name__ == "__main__":
    script("plan")
