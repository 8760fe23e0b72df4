"""The tables of the paper, run again: a protocol's cells become records, costs, clips, curves."""
