"""What mechanisms are held to: references that compute token by token, and receptive fields."""
