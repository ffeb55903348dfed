"""Models and features: numpy, LightGBM and friends, and no Kafka.

Importing this package loads none of the heavy libraries; each model imports its own when it learns or predicts.
"""
