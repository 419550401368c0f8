"""The public face: frames in, frames out."""
