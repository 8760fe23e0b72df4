"""Clips from a trained model: any person in any place in any dance, of any length."""
