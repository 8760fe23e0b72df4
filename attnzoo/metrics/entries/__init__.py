"""One file a metric: what it states about itself and how it is computed.

Every file here whose name begins with no underscore calls `attnzoo.metrics.registry.register`.
"""
