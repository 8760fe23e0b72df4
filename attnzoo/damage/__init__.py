"""Damage of known strength to clips, to see which metric notices which.

One file a damage; every file here whose name begins with no underscore calls
`attnzoo.damage._damage.register`.
"""

from attnzoo.damage._damage import Damage, Kind, Scene, damages, register

__all__ = ["Damage", "Kind", "Scene", "damages", "register"]
