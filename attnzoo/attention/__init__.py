"""Mechanisms, one file each. Files that begin with an underscore hold what they share."""
