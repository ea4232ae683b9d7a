"""Calls `seqmodels analyze`."""

from seqmodels.cli import script

if __name__ == "__main__":
    script("analyze")
