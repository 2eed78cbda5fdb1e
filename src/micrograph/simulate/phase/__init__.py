"""Phase contrast: high-resolution images behind strong and weak specimens."""
