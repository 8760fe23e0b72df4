"""Scores of folders of videos: finding pairs, reading them once, measuring, telling."""
