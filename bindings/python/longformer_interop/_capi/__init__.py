"""The default backend: liblongformer.so through ctypes (docs/decisions/0040)."""
