"""Describes a model as validated data: the recipe and the header of a model file. Does not import torch."""
