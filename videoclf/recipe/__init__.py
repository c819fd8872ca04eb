"""What a model is, as checked data: the recipe, and the header of a model file. Knows no torch."""
