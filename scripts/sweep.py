"""Calls `seqmodels sweep`."""

from seqmodels.cli import script

if __name__ == "__main__":
    script("sweep")
