"""Kubernetes objects as frozen values, parsed once for both kinds of decision."""
