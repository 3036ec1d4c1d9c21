"""Forecasts of a series, walked forward in time, beside simple ones; nothing sees the future."""
