"""The engine: one generation loop behind one protocol, inside Triton's Python backend; and the server around it."""
