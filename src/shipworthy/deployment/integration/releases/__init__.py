"""The release folder: written once, signed, opened only if whole; which one is champion, and how it became so."""
