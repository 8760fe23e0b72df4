"""The checks, each a function of a `Subject` that raises `CheckFailed`; its name is the check's."""
