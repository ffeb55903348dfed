"""Features of candles, one a file. Each is declared once and computed both one candle at a time and on whole arrays.

>>> make_feature({"kind": "log_return", "candles": 3}).name
'log_return_3'
"""

from models.features.base import Feature, feature_kinds, make_feature

__all__ = ["Feature", "feature_kinds", "make_feature"]
