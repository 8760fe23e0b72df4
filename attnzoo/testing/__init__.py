"""What tests mechanisms: named checks of what an entry declares, references, receptive fields."""

from attnzoo.testing.contract import Check, Outcome, Verdict, check_attention
from attnzoo.testing.subject import CheckFailed

__all__ = ["Check", "CheckFailed", "Outcome", "Verdict", "check_attention"]
