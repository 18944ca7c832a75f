"""The default door: liblongformer.so through ctypes (docs/decisions/0040)."""
