"""Data before any training: what is damaged, odd or doubled, and what a split would let leak. Knows no torch."""
