"""Monitoring: is what is served still what was judged, and does it matter?"""
