"""What tests mechanisms: references that say what each computes, token by token."""
